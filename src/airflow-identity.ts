// What Airflow's `aws` connection says about who asks AWS and how, with the meanings of Airflow's Amazon provider.
// What we cannot honour is refused in words, what no longer counts is a warning, never passed over in silence.
import { type Fields, fieldsOf, type Reading, type Refuse } from "./airflow-fields.ts"
import { type AirflowRole, readRole } from "./airflow-role.ts"
import { type AirflowTransport, readTransport } from "./airflow-transport.ts"
import { Secret } from "./credential.ts"
import type { Environment } from "./environment.ts"
import { FetchError } from "./errors.ts"
import { formatPrincipal } from "./principal.ts"

/** A connection as Airflow holds it: in `AIRFLOW_CONN_<ID>` or in its database, decrypted. */
export type AirflowConnection = {
  readonly id: string
  readonly connType: string
  readonly login: string
  readonly password: Secret | undefined
  /** The fields of `extra`, empty where there are none. */
  readonly extra: Readonly<Record<string, unknown>>
  /** Where it was found: `AIRFLOW_CONN_AWS_DEFAULT`, or the database's name. */
  readonly from: string
  /** What the person should know about where it was found. */
  readonly warnings?: readonly string[]
}

/** Who asks AWS by an Airflow connection, and how. */
export type AirflowIdentity = AirflowTransport & {
  readonly keys?: {
    readonly accessKeyId: string
    readonly secretAccessKey: Secret
    readonly sessionToken?: Secret
  }
  readonly profile?: string
  readonly region?: string
  readonly role?: AirflowRole
  /** What the connection holds that has no effect, in words. */
  readonly warnings: readonly string[]
}

/** What a connection says, in Airflow's order of precedence. Throws a FetchError that quotes no value of it. */
export function parseAirflowIdentity(connection: AirflowConnection, env: Environment): AirflowIdentity {
  const principal = formatPrincipal({ airflowConnection: connection.id })
  const refuse: Refuse = (problem, hint, code = "connection-invalid") =>
    new FetchError(`${principal}: ${problem}`, { code, hint, retryable: false, principal, registry: "" })
  const warnings = [...(connection.warnings ?? [])]
  const warn = (text: string) => void warnings.push(`${principal}: ${text}`)
  const extra = fieldsOf(connection.extra, "extra", refuse)
  const reading = { connId: connection.id, env, refuse, warn }
  if (connection.connType && connection.connType !== "aws")
    warn("its type is not aws, so it may be meant for something else")
  const keys = readKeys(connection, extra, reading)
  const profile = readProfile(extra, reading)
  const region = readRegion(extra, reading)
  const role = readRole(extra, reading)
  return {
    ...(keys ? { keys } : {}),
    ...(profile ? { profile } : {}),
    ...(region ? { region } : {}),
    ...(role ? { role } : {}),
    ...readTransport(extra, reading),
    warnings,
  }
}

const OLD = "session_kwargs"

// Login and password, then the two keys of extra, then the same two of session_kwargs; a session token goes with any.
function readKeys(
  { login, password }: AirflowConnection,
  extra: Fields,
  { refuse, warn }: Reading,
): AirflowIdentity["keys"] {
  const old = extra.object(OLD)
  const pairs = [extra, old].map(pairOf)
  if (!login !== !password) warn("its login and password count only where both are given")
  const found =
    login && password ? { accessKeyId: login, secretAccessKey: password } : pairs.find((pair) => pair)
  const token = extra.text("aws_session_token") ?? old.text("aws_session_token")
  if (found && found === pairs[1]) warn(deprecated("the pair of keys in session_kwargs"))
  if (found) return { ...found, ...(token ? { sessionToken: new Secret(token) } : {}) }
  const isHalf = token || [extra, old].some((fields) => KEYS.some((name) => fields.has(name)))
  if (!isHalf) return undefined
  throw refuse(
    "its AWS keys are not complete",
    "an access key id and its secret access key belong together, with a session token where there is one: login and password, or aws_access_key_id and aws_secret_access_key in extra",
  )
}

const KEYS = ["aws_access_key_id", "aws_secret_access_key"] as const

function pairOf(fields: Fields) {
  const [accessKeyId, secret] = KEYS.map((name) => fields.text(name))
  return accessKeyId && secret ? { accessKeyId, secretAccessKey: new Secret(secret) } : undefined
}

function readProfile(extra: Fields, { warn }: Reading): string | undefined {
  const given = extra.text("profile_name")
  const old = extra.object(OLD).text("profile_name")
  if (!given && old) warn(deprecated("session_kwargs.profile_name"))
  const useless = ["s3_config_file", "profile"].filter((name) => extra.has(name))
  if (useless.length > 0)
    warn(`${useless.join(", ")} no longer choose the credentials: write profile_name, or the keys themselves`)
  return given ?? old
}

// botocore's own configuration goes before the region of its session.
function readRegion(extra: Fields, { warn }: Reading): string | undefined {
  const given = extra.object("config_kwargs").text("region_name") ?? extra.text("region_name")
  const old = extra.object(OLD).text("region_name")
  if (!given && old) warn(deprecated("session_kwargs.region_name"))
  return given ?? old
}

function deprecated(what: string): string {
  return `${what} works here, but Airflow has deprecated or dropped that place: write it into extra itself`
}
