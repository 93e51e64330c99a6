// Where Airflow's database and its Fernet key are: given by the options, or found where Airflow finds them.
// References are resolved anew at every call, so what a target is called cannot depend on what they resolve to.
import { dirname } from "node:path"
import { ConfigError, type DeliveryError } from "../../src/errors.ts"
import { isReference, type SinkDeps } from "../../src/sink.ts"
import { type AirflowConfig, type FernetSetting, loadAirflowConfig } from "./config.ts"
import { type DatabaseUrl, parseDatabaseUrl } from "./database-url.ts"
import { AirflowError } from "./error.ts"
import { parseFernetKeys } from "./fernet.ts"
import { type TlsPolicy, tlsPolicy } from "./tls.ts"

/** The options that say where the database is and how its passwords are sealed. */
export type PlaceOptions = {
  readonly url?: string | undefined
  readonly fernet_key?: string | undefined
}

/** A database to connect to, how far to trust it, and the key of its passwords. */
export type Place = {
  readonly url: DatabaseUrl
  /** Undefined for SQLite, which has no server to trust. */
  readonly policy: TlsPolicy | undefined
  /** Airflow's `sql_alchemy_schema`; undefined where it sets none, or where the URL did not come from Airflow. */
  readonly schema: string | undefined
  readonly fernet: FernetSetting
}

/** The place's name in targets: the URL without its password, the reference to one, or Airflow's own. */
export function namePlace({ url }: PlaceOptions): string {
  if (url === undefined) return "Airflow's database"
  return isReference(url) ? url : parseDatabaseUrl(url).name
}

/** Refuses a URL or key that can be seen to be wrong without any I/O. Throws a ConfigError. */
export function requireUsable({ url, fernet_key }: PlaceOptions): void {
  if (url !== undefined && !isReference(url))
    inConfig("url", () => databaseOf(url, "given", { home: undefined }))
  if (fernet_key !== undefined && !isReference(fernet_key))
    inConfig("fernet_key", () => parseFernetKeys(fernet_key))
}

function inConfig(path: string, parse: () => unknown): void {
  try {
    parse()
  } catch (error) {
    if (!(error instanceof AirflowError)) throw error
    throw new ConfigError([{ path, message: [error.message, error.hint].filter(Boolean).join("; ") }])
  }
}

/** What finding a place takes of the world: nothing of AWS. */
export type PlaceDeps = Omit<SinkDeps, "aws">

/** Database and key as they are configured now. AirflowError. */
export async function loadPlace(options: PlaceOptions, deps: PlaceDeps, signal: AbortSignal): Promise<Place> {
  // Read once for both, and not at all where both are given.
  const airflow = loadAirflowConfig(deps)
  const database = await loadDatabase(options, airflow, deps, signal)
  const fernet =
    options.fernet_key === undefined
      ? await airflow.fernet(signal)
      : await givenFernet(options.fernet_key, deps)
  return { ...database, fernet }
}

/** The folder of a database that is a file, whatever its key; a server's is nobody's business here. AirflowError. */
export async function foldersOf(
  options: PlaceOptions,
  deps: PlaceDeps,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { url } = await loadDatabase(options, loadAirflowConfig(deps), deps, signal)
  return url.file === undefined ? [] : [dirname(url.file)]
}

async function loadDatabase(
  { url }: PlaceOptions,
  airflow: AirflowConfig,
  deps: PlaceDeps,
  signal: AbortSignal,
): Promise<Omit<Place, "fernet">> {
  if (url !== undefined) return databaseOf(await loadReference("url", url, deps), "given", deps)
  const { value } = await airflow.databaseUrl(signal)
  return { ...databaseOf(value.reveal(), "airflow", deps), schema: await airflow.schema() }
}

function databaseOf(text: string, origin: "airflow" | "given", { home }: Pick<PlaceDeps, "home">) {
  const url = parseDatabaseUrl(text)
  const policy = url.dialect === "sqlite" ? undefined : tlsPolicy(url, origin, home)
  return { url, policy, schema: undefined }
}

async function givenFernet(reference: string, deps: PlaceDeps): Promise<FernetSetting> {
  const from = isReference(reference) ? reference : "fernet_key"
  const keys = parseFernetKeys(await loadReference("fernet_key", reference, deps), from)
  return keys ? { state: "set", keys, from } : { state: "empty", from }
}

async function loadReference(option: string, reference: string, deps: PlaceDeps): Promise<string> {
  try {
    return (await deps.secret(reference)).reveal()
  } catch (cause) {
    // Says what is missing, never what was found. Only here is it known for which option.
    const { message, hint } = cause as Partial<DeliveryError>
    throw new AirflowError(`${option}=${message}`, {
      code: "reference-unresolved",
      hint: hint ?? `check that what ${option}=${isReference(reference) ? reference : "…"} names is there`,
      cause,
    })
  }
}
