// Airflow's `aws` connection for tests: a row with its keys and extra, and the lookup of it with its password readable.
import { loadAirflowConnection } from "../../sinks/_airflow/connection.ts"
import type { PlaceDeps, PlaceOptions } from "../../sinks/_airflow/place.ts"
import { FetchError } from "../../src/errors.ts"
import { type Airflow, seal } from "./airflow-db.ts"
import { fernetKey } from "./airflow-rows.ts"
import { calm, testDeps } from "./sinks.ts"

/** A secret key with what is awkward in a URI. */
export const SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

/** A row with its keys; `insert` encrypts the secret one. */
export const ROW = { conn_id: "aws_eu", conn_type: "aws", login: "AKIAROW", plain: SECRET }

/** What an `extra` may hold. */
export const EXTRA = { region_name: "eu-west-1", assume_role_kwargs: { ExternalId: "of the partner" } }

/** The columns that hold it, encrypted. */
export const SEALED_EXTRA = { extra: seal(JSON.stringify(EXTRA)), is_extra_encrypted: true }

/** Where the database is, and its key. */
export function placeOf({ url }: Airflow): PlaceOptions {
  return { url, fernet_key: fernetKey }
}

/** The connection `aws_eu`, or another one. */
export async function load(options: PlaceOptions, deps: Partial<PlaceDeps> = {}, connId = "aws_eu") {
  const { password, ...others } = await loadAirflowConnection(connId, options, testDeps(deps), calm())
  return { ...others, password: password?.reveal() }
}

/** The error with which it is not found. */
export async function refusalOf(...call: Parameters<typeof load>): Promise<FetchError> {
  const error = await load(...call).catch((error: unknown) => error)
  if (error instanceof FetchError) return error
  throw error instanceof Error ? error : new Error("it was found")
}
