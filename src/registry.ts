// Registries: whose ECR, in which region and partition, and under which host name images are pulled from it.
// A host is only ever taken for ECR when the whole of it matches: a look-alike suffix must not get a password.

/** AWS's partitions that have ECR. */
export type Partition =
  | "aws"
  | "aws-cn"
  | "aws-us-gov"
  | "aws-eusc"
  | "aws-iso"
  | "aws-iso-b"
  | "aws-iso-e"
  | "aws-iso-f"

/** An account's ECR in a region, or ECR Public, under one of its host names. */
export type Registry = {
  /** As it stands in image names: lower case, no scheme, no port. */
  readonly host: string
  /** Twelve digits, a leading zero included; `public` for ECR Public, which has no account. */
  readonly account: string
  readonly region: string
  readonly partition: Partition
  readonly service: "ecr" | "ecr-public"
}

/** ECR Public answers for its one registry in this region only. */
const ECR_PUBLIC_REGION = "us-east-1"

// Domain suffixes: those of the SDK's partition data, and for dual-stack hosts those that ECR's own documentation
// and awslabs/amazon-ecr-credential-helper know.
const PARTITIONS: readonly {
  readonly partition: Partition
  readonly regions: RegExp
  readonly suffix: string
  readonly dualStack?: string
}[] = [
  {
    partition: "aws-cn",
    regions: /^cn-/,
    suffix: "amazonaws.com.cn",
    dualStack: "on.amazonwebservices.com.cn",
  },
  { partition: "aws-us-gov", regions: /^us-gov-/, suffix: "amazonaws.com", dualStack: "on.aws" },
  { partition: "aws-eusc", regions: /^eusc-/, suffix: "amazonaws.eu", dualStack: "on.amazonwebservices.eu" },
  { partition: "aws-iso-b", regions: /^us-isob-/, suffix: "sc2s.sgov.gov" },
  { partition: "aws-iso-e", regions: /^eu-isoe-/, suffix: "cloud.adc-e.uk" },
  { partition: "aws-iso-f", regions: /^us-isof-/, suffix: "csp.hci.ic.gov" },
  { partition: "aws-iso", regions: /^us-iso-/, suffix: "c2s.ic.gov" },
  { partition: "aws", regions: /^/, suffix: "amazonaws.com", dualStack: "on.aws" },
]

const REGION = /^[a-z]{2,4}(?:-[a-z]+){1,2}-\d{1,2}$/
const PRIVATE_HOST = /^(\d{12})\.dkr(\.|-)ecr(?:-fips)?\.([a-z0-9-]+)\.([a-z0-9.-]+)$/
const PUBLIC_HOSTS = new Set(["public.ecr.aws", "ecr-public.aws.com"])

/** Whether `text` has the form of a region, such as `eu-central-1`; new regions need no new release. */
export function isRegion(text: string): boolean {
  return REGION.test(text)
}

/** Whether `text` is an account id: twelve digits. */
export function isAccount(text: string): boolean {
  return /^\d{12}$/.test(text)
}

function partitionRow(region: string) {
  // The last row takes every region.
  return PARTITIONS.find((row) => row.regions.test(region)) as (typeof PARTITIONS)[number]
}

/** The partition that a region belongs to. */
export function partitionOf(region: string): Partition {
  return partitionRow(region).partition
}

/** The registry that a bare host names, or undefined where it is not exactly an ECR host. */
export function parseRegistry(text: string): Registry | undefined {
  const host = text.toLowerCase()
  if (PUBLIC_HOSTS.has(host))
    return { host, account: "public", region: ECR_PUBLIC_REGION, partition: "aws", service: "ecr-public" }
  const match = PRIVATE_HOST.exec(host)
  if (!match) return undefined
  const [, account = "", separator, region = "", suffix] = match
  if (!isRegion(region)) return undefined
  const row = partitionRow(region)
  if (suffix !== (separator === "-" ? row.dualStack : row.suffix)) return undefined
  return { host, account, region, partition: row.partition, service: "ecr" }
}

/** The registry of an account in a region under its ordinary host name. */
export function ownRegistry(account: string, region: string): Registry {
  const { partition, suffix } = partitionRow(region)
  return { host: `${account}.dkr.ecr.${region}.${suffix}`, account, region, partition, service: "ecr" }
}

/** The host of a registry as other programs may have written it: without scheme, port, path and upper case. */
export function bareHost(text: string): string {
  return text
    .trim()
    .toLowerCase()
    .replace(/^[a-z][a-z0-9+.-]*:\/\//, "")
    .replace(/[:/].*$/s, "")
}

/** Whether `text` names an ECR registry in any form: with `https://`, a port or a path, of any account or region. */
export function isEcrHost(text: string): boolean {
  return parseRegistry(bareHost(text)) !== undefined
}
