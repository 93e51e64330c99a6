// Clients of AWS: what one is made with for a principal in a region. Looked up anew for every call, so that rotated
// keys, profiles and Airflow connections need no restart.
import type { FetchHttpHandler } from "@smithy/fetch-http-handler"
import type { AirflowIdentity } from "./airflow-identity.ts"
import {
  type AwsService,
  type AwsSettings,
  clientConfig,
  defaultRegion,
  loadProfileKeys,
  trustingFetch,
} from "./aws.ts"
import { loadCredentials } from "./credentials.ts"
import type { Environment } from "./environment.ts"
import { FetchError } from "./errors.ts"
import { formatPrincipal, type Principal } from "./principal.ts"

/** What speaking to AWS uses of the world. */
export type AwsDeps = {
  readonly env: Environment
  readonly fetch: typeof fetch
  /** The identity that an Airflow connection holds now. Rejects with a FetchError. */
  readonly loadAirflowIdentity: (connId: string, signal: AbortSignal) => Promise<AirflowIdentity>
  /** Told whose keys sign a call. */
  readonly debug?: (text: string) => void
}

/** How to make a client, and with whose credentials. */
export type ClientConfig = ReturnType<typeof clientConfig> & {
  credentials: Awaited<ReturnType<typeof loadCredentials>>
}

/** Which service is asked, as whom and where; without a region the default one. */
export type Asking = {
  readonly service: AwsService
  readonly principal: Principal
  readonly region: string | undefined
  readonly endpointUrl?: string | undefined
}

/** Settings and credentials for clients of one principal. Rejects with a FetchError or the SDK's own error. */
export async function loadClientConfig(
  { service, principal, region, endpointUrl }: Asking,
  deps: AwsDeps,
  signal: AbortSignal,
): Promise<ClientConfig> {
  const settings = await loadSettings(principal, region, deps, signal)
  const credentials = await loadCredentials(principal, settings, signal).catch(async (cause) => {
    throw (await unknownProfile(principal, settings)) ?? cause
  })
  const config = { ...clientConfig(settings, service, endpointUrl), credentials }
  deps.debug?.(whoSigns(principal, config))
  return config
}

// Of the access key id, which is no secret, as much as AWS's own tool shows; of the endpoint the server alone, since the URL
// of a profile or connection may hold a password.
function whoSigns(principal: Principal, { credentials, endpoint }: ClientConfig): string {
  const { accessKeyId, $source = {} } = credentials
  const links = Object.keys($source).map((link) => link.replace("CREDENTIALS_", ""))
  const from = links.length > 0 ? ` (${links.join(", ")})` : ""
  const { protocol, host } = URL.parse(endpoint ?? "") ?? {}
  const where = endpoint ? `endpoint ${protocol}//${host}` : "AWS's own endpoint"
  return `${formatPrincipal(principal)}: access key ending in ${accessKeyId.slice(-4)}${from}, ${where}`
}

/** What the environment, the profile and the Airflow connection of a principal say about talking to AWS. */
async function loadSettings(
  principal: Principal,
  givenRegion: string | undefined,
  deps: AwsDeps,
  signal: AbortSignal,
): Promise<AwsSettings> {
  const { env } = deps
  const { airflowConnection } = principal
  const airflow = airflowConnection && (await deps.loadAirflowIdentity(airflowConnection, signal))
  const identity = airflow || undefined
  const profile = principal.profile ?? identity?.profile
  const found = await loadProfileKeys(env, profile)
  // The SDK would pass over a profile that is not there and take the machine's own role.
  if (!found && profile) throw noProfile(principal, profile)
  const profileKeys = found ?? {}
  const region = givenRegion ?? identity?.region ?? defaultRegion(env, profileKeys)
  if (!region) throw noRegion(principal)
  const { FetchHttpHandler } = await import("./ecr-client.ts")
  const customFetch = await trustingFetch(deps.fetch, env, profileKeys, identity)
  return {
    env,
    region,
    profileKeys,
    requestHandler: new FetchHttpHandler({ customFetch, requestInit: followNoRedirect }) as FetchHttpHandler,
    ...(identity ? { identity } : {}),
  }
}

// AWS sends none. Whoever follows takes session token and login along, to a host that nobody named.
const followNoRedirect = () => ({ redirect: "manual" }) as const

// Where AWS_PROFILE names a profile that is not there, the SDK skips the keys of the environment too, and does not say why.
async function unknownProfile(
  principal: Principal,
  { env, identity }: AwsSettings,
): Promise<FetchError | undefined> {
  const { AWS_PROFILE: name } = env
  if (!name || principal.profile || identity || (await loadProfileKeys(env, name))) return undefined
  return noProfile(principal, name)
}

function noProfile(principal: Principal, profile: string): FetchError {
  return new FetchError(`AWS's config and credentials files have no profile ${profile}`, {
    code: "no-profile",
    hint: `${whoNames(principal)}\`aws configure list-profiles\` shows which there are; the files are ~/.aws/config and ~/.aws/credentials, or what AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name`,
    retryable: false,
    principal: formatPrincipal(principal),
    registry: "",
  })
}

function whoNames({ profile, airflowConnection }: Principal): string {
  if (profile) return ""
  return `${airflowConnection ? "profile_name in the connection's extra" : "AWS_PROFILE"} names it; `
}

function noRegion(principal: Principal): FetchError {
  return new FetchError("no AWS region is named", {
    code: "no-region",
    hint: "name one with the option region, AWS_REGION, or in the profile",
    retryable: false,
    principal: formatPrincipal(principal),
    registry: "",
  })
}
