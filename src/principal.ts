// Principals: the AWS identity that asks for a token, and the credentials that prove it.
// Credentials are looked up anew for every token, so that rotated keys and profiles need no restart.
import type { AttributedAwsCredentialIdentity } from "@aws-sdk/types"
import type { AirflowIdentity } from "./airflow-identity.ts"
import type { AwsSettings } from "./aws.ts"

/** Who asks: the default chain, a profile or an Airflow connection, and the roles assumed from there. */
export type Principal = {
  readonly profile?: string
  /** The id of the `aws` connection that Airflow holds. */
  readonly airflowConnection?: string
  /** Each assumed from the one before it. */
  readonly roleArns?: readonly [string, ...string[]]
  /** For the last of the roles. */
  readonly externalId?: string
}

/** Keys as clients of the SDK take them; `$source` tells which links of the SDK's chain they came by. */
export type Credentials = AttributedAwsCredentialIdentity

/** What is wrong where a role's ARN is expected. */
export const NOT_A_ROLE_ARN = "is not the ARN of a role, such as arn:aws:iam::123456789012:role/pull"

/** Whether `text` is the ARN of a role, in whatever partition. */
export function isRoleArn(text: string): boolean {
  return /^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]+$/.test(text)
}

/** A principal without the parts that are not given. */
export function principalOf({
  profile,
  airflowConnection,
  roleArns = [],
  externalId,
}: {
  readonly profile?: string | undefined
  readonly airflowConnection?: string | undefined
  readonly roleArns?: readonly string[] | undefined
  readonly externalId?: string | undefined
}): Principal {
  const [first, ...more] = roleArns
  return {
    ...(profile ? { profile } : {}),
    ...(airflowConnection ? { airflowConnection } : {}),
    ...(first ? { roleArns: [first, ...more] as const } : {}),
    ...(externalId ? { externalId } : {}),
  }
}

/** What is wrong with the parts of an identity taken together, by the key of the part. */
export function principalProblem({
  profile,
  airflowConnection,
  roleArns,
  externalId,
}: Principal): { readonly key: string; readonly message: string } | undefined {
  if (profile && airflowConnection)
    return { key: "aws_conn_id", message: "names who asks, and so does the profile; leave one of them out" }
  if (roleArns?.some((arn) => !isRoleArn(arn))) return { key: "role_arn", message: NOT_A_ROLE_ARN }
  if (externalId && !roleArns) return { key: "external_id", message: "is for a role, and none is named" }
  return undefined
}

/** The principal in words: `default credentials`, `profile ci`, `role arn:… from profile ci`. */
export function formatPrincipal({ profile, airflowConnection, roleArns = [] as never }: Principal): string {
  const base = profile
    ? `profile ${profile}`
    : airflowConnection
      ? `Airflow connection ${airflowConnection}`
      : "default credentials"
  return [...roleArns]
    .reverse()
    .map((arn) => `role ${arn} from `)
    .join("")
    .concat(base)
}

/** The credentials of a principal. Rejects with the SDK's own error; `asFetchError` puts it into words. */
export async function loadCredentials(
  { roleArns, externalId, profile }: Principal,
  settings: AwsSettings,
  signal: AbortSignal,
): Promise<Credentials> {
  let credentials = await baseCredentials(profile, settings, signal)
  for (const [i, arn] of (roleArns ?? []).entries()) {
    const { assumeRole } = await import("./sts.ts")
    const isLast = i + 1 === roleArns?.length
    const parameters = isLast && externalId ? { ExternalId: externalId } : {}
    credentials = await assumeRole(credentials, { arn, parameters }, settings, signal)
  }
  return credentials
}

async function baseCredentials(
  profile: string | undefined,
  settings: AwsSettings,
  signal: AbortSignal,
): Promise<Credentials> {
  const { identity } = settings
  if (!identity) return chainCredentials(profile, settings)
  const { role } = identity
  if (!role) return ownCredentials(identity, settings)
  const { assumeRole, assumeRoleWithWebIdentity } = await import("./sts.ts")
  return role.webIdentityTokenFile
    ? assumeRoleWithWebIdentity({ ...role, tokenFile: role.webIdentityTokenFile }, settings, signal)
    : assumeRole(await ownCredentials(identity, settings), role, settings, signal)
}

async function ownCredentials(
  { keys, profile }: AirflowIdentity,
  settings: AwsSettings,
): Promise<Credentials> {
  if (!keys) return chainCredentials(profile, settings)
  const { accessKeyId, secretAccessKey, sessionToken } = keys
  return {
    accessKeyId,
    secretAccessKey: secretAccessKey.reveal(),
    ...(sessionToken ? { sessionToken: sessionToken.reveal() } : {}),
  }
}

async function chainCredentials(profile: string | undefined, settings: AwsSettings): Promise<Credentials> {
  const { env } = settings
  // The chain's first link, taken by hand: loading the whole chain would cost more than the rest of the start.
  if (!profile && !env.AWS_PROFILE && env.AWS_ACCESS_KEY_ID && env.AWS_SECRET_ACCESS_KEY)
    return {
      accessKeyId: env.AWS_ACCESS_KEY_ID,
      secretAccessKey: env.AWS_SECRET_ACCESS_KEY,
      ...(env.AWS_SESSION_TOKEN ? { sessionToken: env.AWS_SESSION_TOKEN } : {}),
    }
  const { defaultProvider } = await import("@aws-sdk/credential-provider-node")
  const chain = defaultProvider({
    ...(profile ? { profile } : {}),
    clientConfig: { region: settings.region, requestHandler: settings.requestHandler },
    logger: SILENT,
  })
  return chain()
}

// The chain would write its own warnings straight to the terminal.
const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} }
