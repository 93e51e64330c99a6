// Airflow's metadata database for a test: a new, empty one on a real server or in a file, with the `connection` table
// of a version. The test looks into it by other drivers than the ones under test.
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { SQL } from "bun"
import type { Dialect } from "../../sinks/_airflow/database-url.ts"
import { type AirflowVersion, connectionTable } from "./airflow-tables.ts"
import { type DatabaseService, freshDatabase } from "./services.ts"

/** Where a database can be: a file, or one of the services. */
export type Place = "sqlite" | DatabaseService

/** An Airflow database. */
export type AirflowDatabase = {
  readonly dialect: Dialect
  /** As Airflow's `sql_alchemy_conn` takes it. */
  readonly url: string
  /** Runs one statement and returns its rows. */
  run(statement: string): Promise<readonly Readonly<Record<string, unknown>>[]>
  /** Disconnects, and removes the database where it is a file. */
  [Symbol.asyncDispose](): Promise<void>
}

/** A new database with the tables of a version, or none at all without one; hold it by `await using`. */
export async function airflowDatabase(place: Place, version?: AirflowVersion): Promise<AirflowDatabase> {
  const folder = place === "sqlite" ? await mkdtemp(join(tmpdir(), "airflow-")) : undefined
  const file = folder && join(folder, "airflow.db")
  const url = file ? `sqlite:///${file}` : await freshDatabase(place as DatabaseService, "airflow")
  const sql = file ? new SQL({ adapter: "sqlite", filename: file }) : new SQL({ url, max: 1 })
  const database: AirflowDatabase = {
    dialect: dialectOf(place),
    url,
    run: async (statement) => [...(await sql.unsafe(statement))],
    async [Symbol.asyncDispose]() {
      await sql.close()
      if (folder) await rm(folder, { recursive: true })
    },
  }
  if (version)
    for (const statement of connectionTable(version, database.dialect)) await database.run(statement)
  return database
}

/** The dialect that a place speaks. */
export function dialectOf(place: Place): Dialect {
  if (place === "sqlite") return "sqlite"
  return place === "mysql" || place === "mariadb" ? "mysql" : "postgresql"
}
