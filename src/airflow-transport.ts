// How Airflow's `aws` connection has AWS spoken to: endpoints, trust, and what of botocore's `config_kwargs` has a
// meaning here. What would make a call another one and cannot be honoured is refused; the rest is a warning.
import type { Fields, Reading } from "./airflow-fields.ts"

/** The way to AWS that a connection asks for. */
export type AirflowTransport = {
  /** `all` is for every service but STS, which Airflow never sends to it. */
  readonly endpoints: { readonly all?: string; readonly byService: Readonly<Record<string, string>> }
  /** Whom to trust: the file of an authority, or `false` for anybody. */
  readonly verify?: string | false
  /** Proxies by the scheme of what is asked for: `http`, `https`. One that is left out goes without any. */
  readonly proxies?: Readonly<Record<string, string>>
  readonly maxAttempts?: number
  readonly retryMode?: string
  readonly useFips?: boolean
  readonly useDualstack?: boolean
}

/** What a connection's `extra` says about the way to AWS. */
export function readTransport(extra: Fields, reading: Reading): AirflowTransport {
  const verify = readVerify(extra, reading)
  const config = extra.object("config_kwargs")
  requireHonourable(config, reading)
  const proxies = readProxies(config, reading)
  return {
    endpoints: readEndpoints(extra, reading),
    ...(verify === undefined ? {} : { verify }),
    ...(proxies ? { proxies } : {}),
    ...readRetries(config, reading),
    ...(config.has(FIPS) ? { useFips: config.flag(FIPS) } : {}),
    ...(config.has(DUALSTACK) ? { useDualstack: config.flag(DUALSTACK) } : {}),
  }
}

// By boto3's names, which differ from those of the variables.
const SERVICES = ["ecr", "ecr-public", "sts", "ssm", "secretsmanager", "mwaa"]

function readEndpoints(extra: Fields, { refuse, warn }: Reading): AirflowTransport["endpoints"] {
  const given = urlAt(extra, "endpoint_url", refuse)
  const old = given ? undefined : urlAt(extra, "host", refuse)
  if (old) warn("host works here, but no longer in Airflow: write endpoint_url instead")
  const all = given ?? old
  const services = extra.object("service_config")
  const byService = SERVICES.flatMap((service) => {
    const url = services.has(service) && urlAt(services.object(service), "endpoint_url", refuse)
    return url ? [[service, url] as const] : []
  })
  return { ...(all ? { all } : {}), byService: Object.fromEntries(byService) }
}

function urlAt(fields: Fields, name: string, refuse: Reading["refuse"]): string | undefined {
  const text = fields.text(name)
  if (text && !(/^https?:\/\/[^/]/i.test(text) && URL.canParse(text)))
    throw refuse(`${fields.path(name)} is not a URL`, "it begins with https:// or http://")
  return text
}

// In a connection that is given as a URI, every value is a text.
function readVerify(extra: Fields, { refuse, warn }: Reading): string | false | undefined {
  const value = extra.value("verify")
  const word = typeof value === "string" ? value.toLowerCase() : value
  if (word === undefined || word === true || word === "true") return undefined
  if (word === false || word === "false") {
    warn("verify=false lets anybody pose as AWS; name a CA file instead")
    return false
  }
  if (typeof value === "string") return value
  throw refuse(`${extra.path("verify")} is neither true, false nor a file`, "name a CA file")
}

// Without these a call would be another one, or fail where AWS or a proxy asks for a certificate.
const REFUSED = ["client_cert", "proxies_config"]
const FIPS = "use_fips_endpoint"
const DUALSTACK = "use_dualstack_endpoint"
const HONOURED = ["region_name", "signature_version", "proxies", "retries", FIPS, DUALSTACK]

function requireHonourable(config: Fields, { refuse, warn }: Reading): void {
  const signature = config.text("signature_version")
  if (signature === "unsigned")
    throw refuse(
      "it asks for unsigned calls, and AWS gives no login without a signature",
      "leave out config_kwargs.signature_version, or name another connection",
      "connection-unsupported",
    )
  const refused = REFUSED.filter((name) => config.has(name))
  if (refused.length > 0)
    throw refuse(
      `ecrelay cannot honour its config_kwargs.${refused.join(", ")}`,
      "name a connection without it, or --profile",
      "connection-unsupported",
    )
  const useless = config.names.filter((name) => !HONOURED.includes(name) && !REFUSED.includes(name))
  if (useless.length > 0)
    warn(`what config_kwargs holds other than ${HONOURED.join(", ")} has no effect here`)
}

function readProxies(config: Fields, { refuse, warn }: Reading): AirflowTransport["proxies"] {
  if (!config.has("proxies")) return undefined
  const proxies = config.object("proxies")
  if (proxies.names.some((name) => name !== "http" && name !== "https"))
    warn("of config_kwargs.proxies only http and https count")
  const found = ["http", "https"].flatMap((scheme) => {
    const text = proxies.text(scheme)
    if (!text) return []
    // As botocore: what names no scheme is an HTTP proxy.
    const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text.replace(/^\/\//, "")}`
    if (!URL.canParse(url) || !/^https?:/i.test(url))
      throw refuse(
        `${proxies.path(scheme)} is not the URL of a proxy`,
        "it looks like http://proxy.example:3128",
      )
    return [[scheme, url] as const]
  })
  return Object.fromEntries(found)
}

// botocore's `max_attempts` are the calls after the first one, and `total_max_attempts`, which wins, are all of them.
function readRetries(
  config: Fields,
  { refuse }: Reading,
): Pick<AirflowTransport, "maxAttempts" | "retryMode"> {
  const retries = config.object("retries")
  const total = retries.count("total_max_attempts")
  const more = retries.count("max_attempts")
  if (total === 0)
    throw refuse(
      `${retries.path("total_max_attempts")} is 0`,
      "the first call counts: write 1 for no retries",
    )
  const mode = retries.text("mode")
  if (mode && !["legacy", "standard", "adaptive"].includes(mode))
    throw refuse(`${retries.path("mode")} is not a retry mode`, "there are legacy, standard and adaptive")
  const maxAttempts = total ?? (more === undefined ? undefined : more + 1)
  return {
    ...(maxAttempts === undefined ? {} : { maxAttempts }),
    // AWS's SDK for JavaScript never knew the oldest one.
    ...(mode ? { retryMode: mode === "legacy" ? "standard" : mode } : {}),
  }
}
