// Where Airflow's web server is and who we are to it, as the options say it. What can be seen to be wrong without any
// I/O is a ConfigError; secrets stay references until a delivery asks for them.
import { ConfigError, type DeliveryError } from "../../src/errors.ts"
import type { SinkDeps } from "../../src/sink.ts"
import { RestError } from "./error.ts"

/** Airflow's two REST APIs: that of Airflow 2 and that of Airflow 3. */
export type Api = "v1" | "v2"

// The options that each method takes, which are also the fields of what Airflow is told.
const AUTH_METHODS = {
  token: ["token"],
  password: ["username", "password"],
  client: ["client_id", "client_secret"],
  assertion: ["assertion"],
} as const

/** The options that say where Airflow is and who asks. */
export type PlaceOptions = {
  readonly url?: string | undefined
  readonly api: Api | "auto"
} & { readonly [Key in (typeof AUTH_METHODS)[keyof typeof AUTH_METHODS][number]]?: string | undefined }

/** A web server, and how we log in there. */
export type Place = {
  /** The address without a slash at its end; it is also the place's name in targets. */
  readonly root: string
  readonly apis: readonly Api[]
  readonly auth: AuthMethod
}

/** How we log in. `fields` are texts by option, each of which may be a reference to a secret. */
export type AuthMethod = {
  readonly kind: keyof typeof AUTH_METHODS
  readonly fields: Readonly<Record<string, string>>
}

/** The place that the options name. Throws a ConfigError. */
export function parsePlace(options: PlaceOptions): Place {
  const { api, url } = options
  if (url === undefined)
    throw refused("url", "is required: where people open Airflow; or name mwaa_environment for Amazon MWAA")
  const auth = authOf(options)
  if (api === "v1" && auth.kind !== "token" && auth.kind !== "password")
    throw refused("api", "Airflow 2 knows username and password, or a token")
  return { root: rootOf(url), apis: api === "auto" ? ["v2", "v1"] : [api], auth }
}

// No message quotes the URL: somebody may have put a password into it.
function rootOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol))
    throw refused("url", "must be a URL that starts with https:// or http://")
  if (url.username || url.password)
    throw refused("url", "must hold no user name and password: give them with username and password")
  if (url.search || url.hash) throw refused("url", "must end with the path: no ? and no #")
  const path = url.pathname.replace(/\/+$/, "")
  if (/\/api\/v\d+$/.test(path))
    throw refused("url", "must be the address under which people open Airflow, without /api/…")
  return `${url.origin}${path}`
}

function authOf(options: PlaceOptions): AuthMethod {
  const kinds = Object.keys(AUTH_METHODS) as AuthMethod["kind"][]
  const [kind, another] = kinds.filter((kind) => AUTH_METHODS[kind].some((key) => options[key] !== undefined))
  if (!kind)
    throw refused(
      "username",
      "say how to log in: username and password, or token, or Keycloak's client_id or assertion",
    )
  const [first] = AUTH_METHODS[kind]
  if (another)
    throw refused(AUTH_METHODS[another][0], `${first} already says how to log in: give one of the two`)
  const fields = Object.fromEntries(AUTH_METHODS[kind].map((key) => [key, options[key]]))
  const missing = AUTH_METHODS[kind].find((key) => fields[key] === undefined)
  if (missing) throw refused(missing, `is required: ${AUTH_METHODS[kind].join(" and ")} belong together`)
  return { kind, fields: fields as AuthMethod["fields"] }
}

function refused(path: string, message: string): ConfigError {
  return new ConfigError([{ path, message }])
}

/** What the fields of a method say or refer to, now. Rejects with a RestError. */
export async function loadFields({ fields }: AuthMethod, deps: Pick<SinkDeps, "secret">) {
  const loaded = Object.entries(fields).map(async ([option, text]) => [
    option,
    await loadField(option, text, deps),
  ])
  return Object.fromEntries(await Promise.all(loaded)) as AuthMethod["fields"]
}

async function loadField(option: string, text: string, deps: Pick<SinkDeps, "secret">): Promise<string> {
  try {
    return (await deps.secret(text)).reveal()
  } catch (cause) {
    // Says what is missing, never what was found. Only here is it known for which option.
    const { message, hint } = cause as Partial<DeliveryError>
    throw new RestError(`${option}=${message}`, {
      code: "reference-unresolved",
      hint: hint ?? `check that what ${option} names is there`,
      cause,
    })
  }
}

/** Whether what we send goes over the network without TLS. */
export function isCleartext({ root }: { readonly root: string }): boolean {
  // What is no URL is reached through AWS.
  if (!URL.canParse(root)) return false
  const { protocol, hostname } = new URL(root)
  return protocol === "http:" && !/^(localhost|127(\.\d+){3}|\[::1\]|.*\.localhost)$/.test(hostname)
}
