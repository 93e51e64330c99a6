// What we take from Airflow's configuration: its database URL, the schema of its tables and its Fernet key.
// Read anew at every delivery; each answer says where it came from, and no answer where we looked.
import { join } from "node:path"
import { Secret } from "../../src/credential.ts"
import { type AirflowConfigDeps, airflowHome, type CfgFile, exists, loadCfgFile } from "./cfg-file.ts"
import { parseDatabaseUrl } from "./database-url.ts"
import { AirflowError } from "./error.ts"
import { type FernetKeys, parseFernetKeys } from "./fernet.ts"
import { type Found, listPlaces, lookUp, lookUpPlain, type Option, type Sources } from "./option.ts"
import { tlsPolicy } from "./tls.ts"

/** What Airflow's configuration says of encryption: a key, a key set but empty (plaintext), or nothing at all. */
export type FernetSetting =
  | { readonly state: "set"; readonly keys: FernetKeys; readonly from: string }
  | { readonly state: "empty"; readonly from: string }
  | { readonly state: "absent"; readonly hint: string }

/**
 * Airflow's configuration. Each question is answered, and a command run, only when asked. AirflowErrors:
 * `airflow-config-missing`, `-unreadable`, `-invalid`, `-command`, `-command-refused`, `-secrets-backend`.
 */
export type AirflowConfig = {
  /** The URL's text, of a URL that can be used; AirflowErrors of `parseDatabaseUrl` and `tlsPolicy` as well. */
  databaseUrl(signal: AbortSignal): Promise<Found>
  /** The Fernet key; AirflowError `fernet-key-invalid` as well. */
  fernet(signal: AbortSignal): Promise<FernetSetting>
  /** The schema that holds Airflow's tables; undefined for the database's default. */
  schema(): Promise<string | undefined>
  /** Where a secrets backend is configured, which Airflow asks for connections before anything else. */
  secretsBackend(): Promise<string | undefined>
}

const DATABASE_URL: Option = { sections: ["database", "core"], key: "sql_alchemy_conn", ours: "url" }
const SCHEMA: Option = { sections: ["database", "core"], key: "sql_alchemy_schema", ours: "url" }
// Airflow 3's workers may have one of their own.
const SECRETS_BACKENDS: readonly Option[] = [
  { sections: ["secrets"], key: "backend", ours: "" },
  { sections: ["workers"], key: "secrets_backend", ours: "" },
]
const FERNET_KEY: Option = { sections: ["core"], key: "fernet_key", ours: "fernet_key" }

/** Airflow's configuration by this environment; airflow.cfg is read once, when first needed. */
export function loadAirflowConfig(deps: AirflowConfigDeps): AirflowConfig {
  let reading: Promise<CfgFile> | undefined
  const file = () => {
    reading ??= loadCfgFile(deps)
    return reading
  }
  const sources = { ...deps, file }
  return {
    databaseUrl: (signal) => findDatabaseUrl(sources, signal),
    fernet: (signal) => findFernetKey(sources, signal),
    schema: async () => (await lookUpPlain(SCHEMA, sources))?.value.reveal() || undefined,
    secretsBackend: () => findSecretsBackend(sources),
  }
}

async function findDatabaseUrl(sources: Sources, signal: AbortSignal): Promise<Found> {
  const found = await lookUp(DATABASE_URL, sources, signal)
  if (found?.value.reveal() === "")
    throw new AirflowError(`${found.from}: Airflow's database URL is empty`, {
      code: "airflow-config-missing",
      hint: "set it, or give the option url",
    })
  if (found) {
    requireUsableUrl(found, sources)
    return found
  }
  const home = airflowHome(sources)
  const database = home && join(home, "airflow.db")
  // Airflow's own default, but only where that file is: on a machine without Airflow it would explain nothing.
  if (database && (await exists(database)))
    return { value: new Secret(`sqlite:///${database.replace(/[%?]/g, encodeURIComponent)}`), from: database }
  const places =
    listPlaces(DATABASE_URL, await sources.file()) + (database ? `, ${database} (not there)` : "")
  throw new AirflowError("Airflow's database is not configured here", {
    code: "airflow-config-missing",
    hint: `give the option url, or set what Airflow itself reads; looked at ${places}`,
  })
}

// Only here is it known where the URL stands, of which there may be several.
function requireUsableUrl({ value, from }: Found, { home }: Sources): void {
  try {
    const url = parseDatabaseUrl(value.reveal())
    if (url.dialect !== "sqlite") tlsPolicy(url, "airflow", home)
  } catch (error) {
    if (!(error instanceof AirflowError)) throw error
    const { message, code, hint } = error
    throw new AirflowError(`${from}: ${message}`, { code, ...(hint === undefined ? {} : { hint }) })
  }
}

async function findSecretsBackend(sources: Sources): Promise<string | undefined> {
  for (const option of SECRETS_BACKENDS) {
    const found = await lookUpPlain(option, sources)
    if (found?.value.reveal()) return found.from
  }
  return undefined
}

async function findFernetKey(sources: Sources, signal: AbortSignal): Promise<FernetSetting> {
  const found = await lookUp(FERNET_KEY, sources, signal)
  if (!found) {
    const places = listPlaces(FERNET_KEY, await sources.file())
    return {
      state: "absent",
      hint: `give the option fernet_key, or set what Airflow itself reads; looked at ${places}`,
    }
  }
  const keys = parseFernetKeys(found.value.reveal(), found.from)
  return keys ? { state: "set", keys, from: found.from } : { state: "empty", from: found.from }
}
