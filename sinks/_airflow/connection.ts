// A connection as Airflow itself would find it, for --aws-conn-id: the variable AIRFLOW_CONN_<ID> first, then the
// metadata database. A secrets backend, which Airflow asks before both, is not asked, and that is said.
import type { AirflowConnection } from "../../src/airflow-identity.ts"
import { Secret } from "../../src/credential.ts"
import { DeliveryError, FetchError } from "../../src/errors.ts"
import { loadAirflowConfig } from "./config.ts"
import { findConnection } from "./connection-row.ts"
import { type ConnectionFields, parseConnectionText } from "./connection-text.ts"
import { withDatabase } from "./database.ts"
import { AirflowError } from "./error.ts"
import { asFailure } from "./failure.ts"
import type { FailureContext } from "./meanings.ts"
import { loadPlace, type Place, type PlaceDeps, type PlaceOptions } from "./place.ts"

/** The connection of this id, read anew. Rejects with a FetchError, or with the signal's reason. */
export async function loadAirflowConnection(
  connId: string,
  options: PlaceOptions,
  deps: PlaceDeps,
  signal: AbortSignal,
): Promise<AirflowConnection> {
  signal.throwIfAborted()
  const variable = `AIRFLOW_CONN_${connId.toUpperCase()}`
  let place: Place | undefined
  let table: string | undefined
  try {
    const backend = await secretsBackend(deps)
    const text = deps.env[variable]
    // To Airflow an empty variable is none.
    if (text?.trim()) return connectionOf(connId, parseConnectionText(text, variable), variable, backend)
    place = await loadPlace(options, deps, signal)
    const { fernet, url } = place
    const fields = await withDatabase(place, signal, (session) => {
      table = session.table
      return findConnection(session, connId, fernet)
    })
    if (!fields) throw missing(variable, url.name, backend)
    return connectionOf(connId, fields, url.name, backend)
  } catch (error) {
    signal.throwIfAborted()
    const known = { url: place?.url, policy: place?.policy, table }
    throw asFetchError(error, { connId, variable, known })
  }
}

function missing(variable: string, database: string, backend: string | undefined): AirflowError {
  const unasked = backend ? `, but not at the secrets backend of ${backend}, which ecrelay does not ask` : ""
  return new AirflowError("Airflow holds no such connection", {
    code: "connection-missing",
    hint: `create it in Airflow, or set ${variable}; looked at ${variable} (not set) and ${database}${unasked}`,
  })
}

// Where it is only matters for a warning: a configuration that cannot be read is told where it is needed.
async function secretsBackend(deps: PlaceDeps): Promise<string | undefined> {
  try {
    return await loadAirflowConfig(deps).secretsBackend()
  } catch (error) {
    if (error instanceof AirflowError) return undefined
    throw error
  }
}

function connectionOf(
  id: string,
  { connType, login, password, extra }: ConnectionFields,
  from: string,
  backend: string | undefined,
): AirflowConnection {
  const unasked = `${nameOf(id)} was taken from ${from}: Airflow asks the secrets backend of ${backend} first, which ecrelay does not`
  return {
    id,
    connType,
    login,
    password: password === "" ? undefined : new Secret(password),
    extra,
    from,
    warnings: backend ? [unasked] : [],
  }
}

const nameOf = (connId: string) => `Airflow connection ${connId}`

type Known = Omit<FailureContext, "sink" | "target">

function asFetchError(
  error: unknown,
  about: { readonly connId: string; readonly variable: string; readonly known: Known },
): unknown {
  const { known } = about
  const principal = nameOf(about.connId)
  const failure = asFailure(error, { sink: "aws_conn_id", target: principal, ...known })
  if (!(failure instanceof DeliveryError)) return failure
  const { message, code, retryable, cause } = failure
  const where = known.url && !message.includes(known.url.name) ? ` (${known.url.name})` : ""
  return new FetchError(`${message}${where}`, {
    code,
    hint: hintOf(failure, about.variable, known),
    retryable,
    cause,
    principal,
    registry: "",
  })
}

const OPTIONS =
  "url and fernet_key stand under [airflow] in the config file, and --airflow-url is the same url"

// Where the sink's hints would lead astray: here nothing is written, and its options have other places.
function hintOf({ code, hint }: DeliveryError, variable: string, { url, table = "connection" }: Known) {
  if (code === "permission-denied" && url && url.dialect !== "sqlite")
    return `reading is enough: GRANT SELECT ON ${table} for the user of the URL`
  if (code === "airflow-config-missing") return `set ${variable}, or ${hint}; ${OPTIONS}`
  if (code.startsWith("fernet-key-") || code.startsWith("tls-")) return `${hint}; ${OPTIONS}`
  return hint
}
