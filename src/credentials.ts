// The credentials that prove a principal: by the SDK's chain, an Airflow connection's keys, and the roles assumed from there.
// Looked up anew for every token, so that rotated keys and profiles need no restart.
import type { AttributedAwsCredentialIdentity } from "@aws-sdk/types"
import type { AirflowIdentity } from "./airflow-identity.ts"
import { type AwsSettings, namesKeys } from "./aws.ts"
import type { Principal } from "./principal.ts"

/** Keys as clients of the SDK take them; `$source` tells which links of the SDK's chain they came by. */
export type Credentials = AttributedAwsCredentialIdentity

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
  const credentials = await chain()
  if (namesKeys(settings.profileKeys) && !isOfProfile(credentials)) throw wayFailed()
  return credentials
}

// Where a profile's own way to keys fails, the chain goes on to whoever the machine is, and we would ask as somebody else.
function isOfProfile({ $source = {} }: Credentials): boolean {
  return Object.keys($source).some((link) => /^CREDENTIALS_(PROFILE|SSO|PROCESS|LOGIN)/.test(link))
}

function wayFailed(): Error {
  const words =
    "the profile's own way to them failed, and this machine has others, which are not taken instead"
  return Object.assign(new Error(words), { name: "CredentialsProviderError" })
}

// The chain would write its own warnings straight to the terminal.
const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} }
