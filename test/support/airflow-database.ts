// Airflow's metadata database for a test: a new, empty one on a real server or in a file, with the `connection` table
// of a version. A file is opened by the library that the sink uses: a second SQLite in one process drops the first
// one's locks when it closes the file, and what the first commits afterwards may be lost (seen with WAL).
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import Sqlite from "better-sqlite3"
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
  const database = place === "sqlite" ? await openFile() : await openService(place)
  if (version)
    for (const statement of connectionTable(version, database.dialect)) await database.run(statement)
  return database
}

async function openFile(): Promise<AirflowDatabase> {
  const folder = await mkdtemp(join(tmpdir(), "airflow-"))
  const file = join(folder, "airflow.db")
  const sqlite = new Sqlite(file)
  return {
    dialect: "sqlite",
    url: `sqlite:///${file}`,
    async run(statement) {
      const prepared = sqlite.prepare<[], Readonly<Record<string, unknown>>>(statement)
      if (prepared.reader) return prepared.all()
      prepared.run()
      return []
    },
    async [Symbol.asyncDispose]() {
      sqlite.close()
      await rm(folder, { recursive: true })
    },
  }
}

async function openService(place: DatabaseService): Promise<AirflowDatabase> {
  const url = await freshDatabase(place, "airflow")
  const sql = new SQL({ url, max: 1 })
  return {
    dialect: dialectOf(place),
    url,
    run: async (statement) => [...(await sql.unsafe(statement))],
    [Symbol.asyncDispose]: () => sql.close(),
  }
}

/** The dialect that a place speaks. */
export function dialectOf(place: Place): Dialect {
  if (place === "sqlite") return "sqlite"
  return place === "mysql" || place === "mariadb" ? "mysql" : "postgresql"
}
