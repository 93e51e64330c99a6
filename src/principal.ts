// Principals: the AWS identity that asks for a token, and the credentials that prove it.
// Credentials are looked up anew for every token, so that rotated keys and profiles need no restart.
import type { AwsCredentialIdentity, AwsCredentialIdentityProvider } from "@aws-sdk/types"
import type { AwsSettings } from "./aws.ts"

/** Who asks: the default chain, a profile, or a role assumed from one of them. */
export type Principal = {
  readonly profile?: string
  readonly roleArn?: string
  readonly externalId?: string
}

/** What is wrong where a role's ARN is expected. */
export const NO_ROLE_ARN = "is not the ARN of a role, such as arn:aws:iam::123456789012:role/pull"

/** Whether `text` is the ARN of a role, in whatever partition. */
export function isRoleArn(text: string): boolean {
  return /^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]+$/.test(text)
}

/** A principal without the parts that are not given. */
export function principalOf({
  profile,
  roleArn,
  externalId,
}: { [Key in keyof Principal]: Principal[Key] | undefined }): Principal {
  return {
    ...(profile ? { profile } : {}),
    ...(roleArn ? { roleArn } : {}),
    ...(externalId ? { externalId } : {}),
  }
}

/** The principal in words: `default credentials`, `profile ci`, `role arn:… from profile ci`. */
export function formatPrincipal({ profile, roleArn }: Principal): string {
  const base = profile ? `profile ${profile}` : "default credentials"
  return roleArn ? `role ${roleArn} from ${base}` : base
}

/** The credentials of a principal. Rejects with the SDK's own error; `asFetchError` puts it into words. */
export async function loadCredentials(
  principal: Principal,
  settings: AwsSettings,
  signal: AbortSignal,
): Promise<AwsCredentialIdentity | AwsCredentialIdentityProvider> {
  const base = await baseCredentials(principal, settings)
  if (!principal.roleArn) return base
  const { assumeRole } = await import("./sts.ts")
  return assumeRole(base, principal.roleArn, principal.externalId, settings, signal)
}

async function baseCredentials({ profile }: Principal, settings: AwsSettings) {
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
    // Otherwise the SDK remembers ~/.aws for the life of the process.
    ignoreCache: true,
    logger: SILENT,
  })
  return chain()
}

// The chain would write its own warnings straight to the terminal.
const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} }
