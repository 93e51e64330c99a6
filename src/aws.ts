// Settings of the AWS SDK, from the environment and the profile, read by us and handed to every client.
// The SDK would read them itself, but ignores AWS_DEFAULT_REGION, AWS_CA_BUNDLE and, under Bun, the proxy variables.
import { existsSync, readFileSync, statSync } from "node:fs"
import type { FetchHttpHandler } from "@smithy/fetch-http-handler"
import type { AirflowIdentity } from "./airflow-identity.ts"
import { NO_PEM } from "./aws-failure.ts"
import type { Environment } from "./environment.ts"
import { ConfigError } from "./errors.ts"
import { VERSION } from "./version.ts"

/** What this machine tells about talking to AWS; `region` is where the next call goes. */
export type AwsSettings = {
  readonly env: Environment
  readonly region: string
  readonly requestHandler: FetchHttpHandler
  /** The keys of the profile in use, empty where there is none. */
  readonly profileKeys: ProfileKeys
  /** What an Airflow connection says, where one is asked as; it comes before environment and profile. */
  readonly identity?: AirflowIdentity
}

type ProfileKeys = Readonly<Record<string, string | undefined>>

/** The services that ecrelay calls, by the names of their endpoint variables and profile keys. */
export type AwsService = "ecr" | "ecr_public" | "sts" | "ssm" | "secrets_manager" | "mwaa"

/**
 * The keys of a profile in AWS's config and credentials files: the named one, else AWS_PROFILE, else `default`.
 * Undefined where neither file has a profile of that name.
 */
export async function loadProfileKeys(
  env: Environment,
  profile: string | undefined,
): Promise<ProfileKeys | undefined> {
  const home = env.HOME ?? ""
  const configFilepath = inHome(env.AWS_CONFIG_FILE || "~/.aws/config", home)
  const filepath = inHome(env.AWS_SHARED_CREDENTIALS_FILE || "~/.aws/credentials", home)
  refusePipe("AWS_CONFIG_FILE", configFilepath)
  refusePipe("AWS_SHARED_CREDENTIALS_FILE", filepath)
  // Where there is no file, the SDK's reader need not be loaded.
  if (!existsSync(configFilepath) && !existsSync(filepath)) return undefined
  const { loadSharedConfigFiles } = await import("@smithy/core/config")
  // The SDK remembers both files for the life of the process, for its credential chain too, unless they are read anew.
  const files = await loadSharedConfigFiles({ configFilepath, filepath, ignoreCache: true })
  const name = profile || env.AWS_PROFILE || "default"
  const [settings, credentials] = [files.configFile[name], files.credentialsFile[name]]
  if (!settings && !credentials) return undefined
  const services = settings?.services ? files.configFile[`services.${settings.services}`] : undefined
  return { ...settings, ...waysOf(credentials), ...regionOf(credentials), ...services }
}

// What says in a profile whose keys it stands for.
const WAYS = [
  ...["aws_access_key_id", "credential_process", "login_session", "role_arn", "sso_account_id"],
  "web_identity_token_file",
]

function waysOf(keys: ProfileKeys = {}): ProfileKeys {
  return Object.fromEntries(WAYS.filter((key) => keys[key]).map((key) => [key, keys[key]]))
}

/** Whether a profile says whose keys it stands for. */
export function namesKeys(profileKeys: ProfileKeys): boolean {
  return Object.keys(waysOf(profileKeys)).length > 0
}

// Whoever reads it a second time would wait for ever.
function refusePipe(variable: string, path: string): void {
  if (!existsSync(path) || !statSync(path).isFIFO()) return
  const message = `${path} is a pipe, and has to be a file: it is read again for every call`
  throw new ConfigError([{ path: variable, message }])
}

// AWS's own tool takes a region from the credentials file too, before the one of the config file.
function regionOf(keys: ProfileKeys | undefined): ProfileKeys {
  return keys?.region ? { region: keys.region } : {}
}

function inHome(path: string, home: string): string {
  return path.startsWith("~/") ? `${home}${path.slice(1)}` : path
}

/** The region where nothing names one: AWS_REGION, AWS_DEFAULT_REGION, the profile, in this order. */
export function defaultRegion(env: Environment, profileKeys: ProfileKeys | undefined): string | undefined {
  return env.AWS_REGION || env.AWS_DEFAULT_REGION || profileKeys?.region || undefined
}

const SERVICES: readonly AwsService[] = ["ecr", "ecr_public", "sts", "ssm", "secrets_manager", "mwaa"]

/** The variables that name an endpoint and count, with their texts. */
export function endpointVariables(
  env: Environment,
): readonly { readonly name: string; readonly text: string }[] {
  if (isTrue(env.AWS_IGNORE_CONFIGURED_ENDPOINT_URLS)) return []
  return ["", ...SERVICES.map((service) => `_${service.toUpperCase()}`)].flatMap((suffix) => {
    const name = `AWS_ENDPOINT_URL${suffix}`
    const text = env[name]
    return text ? [{ name, text }] : []
  })
}

/** The endpoint that Airflow, environment or profile give for a service, in the order of AWS's SDKs. */
function configuredEndpoint(
  { env, profileKeys, identity }: AwsSettings,
  service: AwsService,
): string | undefined {
  const { byService = {}, all } = identity?.endpoints ?? {}
  const botoName = service === "secrets_manager" ? "secretsmanager" : service.replace("_", "-")
  const fromAirflow = byService[botoName] ?? (service === "sts" ? undefined : all)
  if (fromAirflow) return fromAirflow
  if (isTrue(env.AWS_IGNORE_CONFIGURED_ENDPOINT_URLS || profileKeys.ignore_configured_endpoint_urls))
    return undefined
  return (
    env[`AWS_ENDPOINT_URL_${service.toUpperCase()}`] ||
    env.AWS_ENDPOINT_URL ||
    profileKeys[`${service}.endpoint_url`] ||
    profileKeys.endpoint_url ||
    undefined
  )
}

// As CloudTrail shows it: without the commit.
const USER_AGENT: [string, string][] = [["ecrelay", VERSION.replace(/ .*/, "")]]

/** The configuration that every SDK client is made with. Nothing is left for the SDK to look up at run time. */
export function clientConfig(settings: AwsSettings, service: AwsService, endpointUrl?: string) {
  const { env, profileKeys, region, requestHandler, identity } = settings
  const endpoint = endpointUrl ?? configuredEndpoint(settings, service)
  return {
    region,
    requestHandler,
    customUserAgent: USER_AGENT,
    ...(endpoint ? { endpoint } : {}),
    maxAttempts: identity?.maxAttempts ?? (Number(env.AWS_MAX_ATTEMPTS || profileKeys.max_attempts) || 3),
    retryMode: identity?.retryMode ?? (env.AWS_RETRY_MODE || profileKeys.retry_mode || "standard"),
    useFipsEndpoint: identity?.useFips ?? isTrue(env.AWS_USE_FIPS_ENDPOINT || profileKeys.use_fips_endpoint),
    useDualstackEndpoint:
      identity?.useDualstack ?? isTrue(env.AWS_USE_DUALSTACK_ENDPOINT || profileKeys.use_dualstack_endpoint),
  }
}

/**
 * A `fetch` that trusts AWS_CA_BUNDLE (or the profile's `ca_bundle`) instead of the built-in roots where one is
 * named, and what an Airflow connection says before that. Proxy variables are honoured by the runtime's own fetch.
 * Rejects with what reading the bundle throws.
 */
export async function trustingFetch(
  real: typeof fetch,
  env: Environment,
  profileKeys: ProfileKeys,
  identity?: Pick<AirflowIdentity, "verify" | "proxies">,
): Promise<typeof fetch> {
  const bundle = identity?.verify ?? (env.AWS_CA_BUNDLE || profileKeys.ca_bundle || undefined)
  const proxies = identity?.proxies
  if (bundle === undefined && !proxies) return real
  const tls = bundle === false ? { rejectUnauthorized: false } : bundle && { ca: await loadBundle(bundle) }
  const withTrust = (input: Parameters<typeof fetch>[0], init?: RequestInit) => {
    const scheme = new URL(input instanceof Request ? input.url : input).protocol.slice(0, -1)
    // As in botocore: where a connection names proxies, those of the environment do not count.
    const proxy = proxies && (proxies[scheme] ?? false)
    // `tls` and `proxy` are Bun's; Deno ignores them and has DENO_CERT and the proxy variables for the same.
    const more = { ...(tls ? { tls } : {}), ...(proxy === undefined ? {} : { proxy }) }
    return real(input, { ...init, ...more } as RequestInit)
  }
  return withTrust as typeof fetch
}

// Looked at here: of a file without a certificate the runtime would say that the server cannot be reached.
async function loadBundle(path: string): Promise<string> {
  const text = readFileSync(path, "utf8")
  const [first] =
    /-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----.*?-----END \1?CERTIFICATE-----/s.exec(text) ?? []
  // Imported here, since few runs need it and it would make every start a tenth slower.
  const { X509Certificate } = await import("node:crypto")
  try {
    new X509Certificate(first ?? "")
    return text
  } catch (cause) {
    throw Object.assign(new Error(path, { cause }), { code: NO_PEM })
  }
}

function isTrue(text: string | undefined): boolean {
  return text?.toLowerCase() === "true"
}
