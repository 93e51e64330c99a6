// `ecrelay check` on identity, clock and registry: each fault between the keys and the pull is made, found with its fix, and gone
// after the fix.
import { afterAll, beforeAll, describe } from "bun:test"
import { type Company, HOST, openCompany } from "./support/company.ts"
import { type Fault, proveEach, type Site } from "./support/doctor.ts"

let company: Company
beforeAll(async () => {
  company = await openCompany()
}, 60_000)
afterAll(() => company.stop())

const ALWAYS = Number.POSITIVE_INFINITY

/** AWS answers an operation with this error until `allow` takes it back. */
function refuse({ company: { aws } }: Site, operation: string, type: string, message = "no"): void {
  const status = operation === "GetAuthorizationToken" ? 400 : 403
  aws.fail(operation, { kind: "error", status, type, message }, ALWAYS)
}

function allow({ company: { aws } }: Site, ...operations: readonly string[]): void {
  for (const operation of operations) aws.fail(operation, { kind: "empty" }, 0)
}

const KEYS =
  "aws_access_key_id = AKIDECRELAYDEMO\naws_secret_access_key = a-secret-key-of-the-local-stand-in\n"
const ROLE = "arn:aws:iam::012345678901:role/external-ours"

const identity: readonly Fault[] = [
  {
    name: "no identity at all",
    level: "error",
    code: "no-credentials",
    says: "no AWS credentials found",
    fix: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    fault: () => ({ env: { AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "" } }),
  },
  {
    name: "a profile that is nowhere",
    level: "error",
    code: "no-profile",
    says: "no profile pull",
    fix: "AWS_PROFILE names it",
    fault: () => ({ env: { AWS_PROFILE: "pull" } }),
    mend: async (site) => {
      await site.write(".aws/credentials", `[pull]\n${KEYS}`)
      return { env: { AWS_PROFILE: "pull" } }
    },
  },
  {
    name: "an access key that AWS does not know",
    level: "error",
    code: "credentials-invalid",
    says: "AWS does not know this access key",
    fix: "fix AWS_ACCESS_KEY_ID",
    fault: () => ({ env: { AWS_ACCESS_KEY_ID: "AKIDDELETED" } }),
  },
  {
    name: "a secret key with a letter too many",
    level: "error",
    code: "signature",
    says: "AWS did not accept the signature",
    fix: "check AWS_SECRET_ACCESS_KEY for a missing or extra character",
    fault: () => ({ env: { AWS_SECRET_ACCESS_KEY: "a-secret-key-of-the-local-stand-in " } }),
  },
  {
    name: "a session that has expired",
    level: "error",
    code: "credentials-expired",
    says: "the AWS credentials have expired",
    fix: "renew the keys with their session token",
    fault: (site) => {
      refuse(site, "GetAuthorizationToken", "ExpiredTokenException")
      refuse(site, "GetCallerIdentity", "ExpiredToken")
      return { env: { AWS_SESSION_TOKEN: "yesterday's" } }
    },
    mend: (site) => {
      allow(site, "GetAuthorizationToken", "GetCallerIdentity")
      return { env: { AWS_SESSION_TOKEN: "today's" } }
    },
  },
  {
    name: "a denied sts:GetCallerIdentity",
    level: "warning",
    code: "identity-denied",
    says: "AWS refused to say which account is asking",
    fix: "allow sts:GetCallerIdentity",
    fault: (site) => {
      refuse(site, "GetCallerIdentity", "AccessDenied", "explicit deny of sts:GetCallerIdentity")
      return {}
    },
    mend: (site) => {
      allow(site, "GetCallerIdentity")
      return {}
    },
  },
  {
    name: "a denied sts:GetCallerIdentity, which nothing needs where registries are named",
    level: "warning",
    code: "identity-denied",
    says: "AWS refused to say which account is asking",
    fix: "or name the registries with --registry",
    fault: (site) => {
      refuse(site, "GetCallerIdentity", "AccessDenied", "explicit deny of sts:GetCallerIdentity")
      return {}
    },
    mend: () => ({ argv: ["--sink", "docker-config", "--registry", HOST] }),
  },
  {
    name: "a denied ecr:GetAuthorizationToken",
    level: "error",
    code: "access-denied",
    says: "AWS refused access (nothing allows ecr:GetAuthorizationToken)",
    fix: 'allow ecr:GetAuthorizationToken on resource "*" for this identity',
    fault: (site) => {
      const said = "nothing allows ecr:GetAuthorizationToken"
      refuse(site, "GetAuthorizationToken", "AccessDeniedException", said)
      return {}
    },
    mend: (site) => {
      allow(site, "GetAuthorizationToken")
      return {}
    },
  },
  {
    name: "a role that may not be assumed without its external id",
    level: "error",
    code: "access-denied",
    says: "not authorized to perform: sts:AssumeRole",
    fix: "with --role-arn also sts:AssumeRole, and --external-id where the role asks for one",
    fault: () => ({ argv: ["--sink", "docker-config", "--role-arn", ROLE] }),
    mend: () => ({ argv: ["--sink", "docker-config", "--role-arn", ROLE, "--external-id", "ours"] }),
  },
  {
    name: "an AWS that asks to slow down",
    level: "error",
    code: "throttled",
    says: "AWS throttled the call",
    fix: "this clears up by itself",
    fault: (site) => {
      refuse(site, "GetAuthorizationToken", "ThrottlingException")
      return { env: { AWS_MAX_ATTEMPTS: "1" } }
    },
    mend: (site) => {
      allow(site, "GetAuthorizationToken")
      return {}
    },
  },
  {
    name: "an answer that holds no token",
    level: "error",
    code: "no-token",
    says: "AWS answered without a usable authorization token",
    fix: "check that ECR's API answers there",
    fault: ({ company: { aws } }) => {
      aws.fail("GetAuthorizationToken", { kind: "empty" }, ALWAYS)
      return {}
    },
    mend: (site) => {
      allow(site, "GetAuthorizationToken")
      return {}
    },
  },
  {
    name: "a refusal of AWS that nobody foresaw",
    level: "error",
    code: "aws",
    says: "AWS gave no token (the moon is full)",
    fix: "`aws ecr get-login-password` in the same environment",
    fault: (site) => {
      refuse(site, "GetAuthorizationToken", "FullMoonException", "the moon is full")
      return {}
    },
    mend: (site) => {
      allow(site, "GetAuthorizationToken")
      return {}
    },
  },
]

const HOUR = 3_600_000
const clocks = (
  [
    ["three minutes behind", 180_000, "warning", "3m behind AWS's"],
    ["three minutes ahead", -180_000, "warning", "3m ahead of AWS's"],
    ["ten minutes behind, so that AWS says the signature has expired", 600_000, "error", "10m behind AWS's"],
    ["a day ahead", -24 * HOUR, "error", "1d ahead of AWS's"],
  ] as const
).map(
  ([name, byMs, level, says]): Fault => ({
    name: `a clock that is ${name}`,
    level,
    code: "clock",
    says: `this machine's clock is ${says}`,
    fix: "set the clock and keep it in sync with NTP",
    fault: (site) => ({ env: { AWS_ENDPOINT_URL: site.company.awsUrl({ byMs }) } }),
  }),
)

const registries: readonly Fault[] = [
  {
    name: "a registry that refuses the login",
    level: "error",
    code: "registry-refused",
    says: "the registry refuses the login (403)",
    fix: "check that the host leads to ECR, and that default credentials may read from it",
    fault: ({ company: { registry } }) => {
      registry.status = 403
      return {}
    },
    mend: ({ company: { registry } }) => {
      registry.status = 200
      return {}
    },
  },
  {
    name: "a registry that cannot be reached from here",
    level: "warning",
    code: "registry-unreachable",
    says: "the login cannot be tried at the registry from here",
    fix: "make sure that whoever pulls can reach it: DNS, proxy, VPC endpoint",
    fault: async ({ company }) => ({
      env: { HTTPS_PROXY: await company.proxyUrl({ others: { [HOST]: 9 } }) },
    }),
  },
]

describe("the identity", () => proveEach(() => company, identity))
describe("the clock", () => proveEach(() => company, clocks))
describe("the registry", () => proveEach(() => company, registries))
