// Where Airflow's database and its Fernet key are: given by the options, or found where Airflow finds them.
// References are resolved anew at every call, so what a target is called cannot depend on what they resolve to.
import { ConfigError } from "../../src/errors.ts"
import type { SinkDeps } from "../../src/sink.ts"
import { type FernetSetting, loadAirflowConfig } from "./config.ts"
import { type DatabaseUrl, parseDatabaseUrl } from "./database-url.ts"
import { AirflowError } from "./error.ts"
import { parseFernetKeys } from "./fernet.ts"
import { type TlsPolicy, tlsPolicy } from "./tls.ts"

export type PlaceOptions = {
  readonly url?: string | undefined
  readonly fernet_key?: string | undefined
}

/** A database to connect to, and how far to trust it. */
export type Place = {
  readonly url: DatabaseUrl
  /** Undefined for SQLite, which has no server to trust. */
  readonly policy: TlsPolicy | undefined
  /** Airflow's `sql_alchemy_schema`; undefined where it sets none, or where the URL did not come from Airflow. */
  readonly schema: string | undefined
}

/** The place's name in targets: the URL without its password, the reference to one, or Airflow's own. */
export function namePlace({ url }: PlaceOptions): string {
  if (url === undefined) return "Airflow's database"
  return isReference(url) ? url : parseDatabaseUrl(url).name
}

/** Refuses a URL or key that can be seen to be wrong without any I/O. Throws a ConfigError. */
export function requireUsable({ url, fernet_key }: PlaceOptions): void {
  if (url !== undefined && !isReference(url))
    inConfig("url", () => policyOf(parseDatabaseUrl(url), "given", undefined))
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

/** The database as it is configured now. AirflowError. */
export async function loadPlace(options: PlaceOptions, deps: SinkDeps, signal: AbortSignal): Promise<Place> {
  if (options.url !== undefined) {
    const text = await loadReference("url", options.url, deps)
    const url = parseDatabaseUrl(text)
    return { url, policy: policyOf(url, "given", deps.home), schema: undefined }
  }
  const config = loadAirflowConfig(deps)
  const url = parseDatabaseUrl((await config.databaseUrl(signal)).value.reveal())
  return { url, policy: policyOf(url, "airflow", deps.home), schema: await config.schema() }
}

function policyOf(
  url: DatabaseUrl,
  origin: "airflow" | "given",
  home: string | undefined,
): TlsPolicy | undefined {
  return url.dialect === "sqlite" ? undefined : tlsPolicy(url, origin, home)
}

/** The Fernet key as it is configured now. AirflowError. */
export async function loadFernet(
  options: PlaceOptions,
  deps: SinkDeps,
  signal: AbortSignal,
): Promise<FernetSetting> {
  if (options.fernet_key === undefined) return loadAirflowConfig(deps).fernet(signal)
  const from = isReference(options.fernet_key) ? options.fernet_key : "fernet_key"
  const keys = parseFernetKeys(await loadReference("fernet_key", options.fernet_key, deps), from)
  return keys ? { state: "set", keys, from } : { state: "empty", from }
}

function isReference(text: string): boolean {
  return /^(env|file|credential):/.test(text)
}

async function loadReference(option: string, reference: string, deps: SinkDeps): Promise<string> {
  try {
    return (await deps.secret(reference)).reveal()
  } catch (cause) {
    // The message says what is missing, never what was found.
    throw new AirflowError(`${option}: ${(cause as Error).message}`, {
      code: "reference-unresolved",
      hint: `see that ${option}=${isReference(reference) ? reference : "…"} names what is there`,
      cause,
    })
  }
}
