// Where Airflow finds its database URL and Fernet key: environment, commands and airflow.cfg, in Airflow's own order.
// Read anew at every delivery; commands run without a shell, and as root only from a file that root owns.
import type { Secret } from "../../src/credential.ts"
import type { SinkDeps } from "../../src/sink.ts"
import type { FernetKeys } from "./fernet.ts"

export type AirflowConfigDeps = Pick<SinkDeps, "env" | "home" | "uid">

/** A value and where it came from, in words: `AIRFLOW__CORE__FERNET_KEY` or `/etc/airflow.cfg [core] fernet_key`. */
export type Found = { readonly value: Secret; readonly from: string }

/** What Airflow's configuration says of encryption: a key, a key set but empty (plaintext), or nothing at all. */
export type FernetSetting =
  | { readonly state: "set"; readonly keys: FernetKeys; readonly from: string }
  | { readonly state: "empty"; readonly from: string }
  | { readonly state: "absent"; readonly hint: string }

/** Airflow's configuration; each question is answered (and a command run) only when asked. */
export type AirflowConfig = {
  /** The URL's text. AirflowError `airflow-config-missing`, `-unreadable`, `-command`, `-secrets-backend`. */
  databaseUrl(signal: AbortSignal): Promise<Found>
  /** The Fernet key. The same errors, and `fernet-key-invalid`; `absent` where nothing is configured. */
  fernet(signal: AbortSignal): Promise<FernetSetting>
  /** `[database] sql_alchemy_schema`: the schema that holds Airflow's tables; undefined for the default. */
  schema(): Promise<string | undefined>
}

/** Airflow's configuration as this environment and its airflow.cfg give it; the file is read at the first question. */
export function loadAirflowConfig(_deps: AirflowConfigDeps): AirflowConfig {
  throw new Error("not there yet")
}
