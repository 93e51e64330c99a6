// Databases for the bulk benchmark: an empty one of its own on each server, and a plain row-by-row writer on it.
import { randomBytes } from "node:crypto"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import Sqlite from "better-sqlite3"
import mysql from "mysql2/promise"
import postgres from "postgres"
import type { Dialect } from "../../sinks/_airflow/database-url.ts"

export type Place = "sqlite" | "postgres" | "mariadb" | "mysql"

export type Database = {
  readonly dialect: Dialect
  readonly url: string
  run(statement: string): Promise<unknown>
  /** One statement, one commit. */
  update(connId: string, password: string): Promise<unknown>
  close(): Promise<void>
}

const UPDATE = "UPDATE connection SET password = $1 WHERE conn_id = $2"

/** Opens an empty database in a place; `serverUrl` names the server, with the right to create databases. */
export async function openPlace(place: Place, serverUrl: string | undefined): Promise<Database> {
  if (place === "sqlite" || serverUrl === undefined) return openFile()
  const name = `bench_${randomBytes(4).toString("hex")}`
  const url = serverUrl.replace(/\/[^/?]*(\?|$)/, `/${name}$1`)
  return place === "postgres" ? openPostgres(serverUrl, url, name) : openMysql(serverUrl, url, name)
}

async function openFile(): Promise<Database> {
  const folder = await mkdtemp(join(tmpdir(), "ecrelay-bench-"))
  const file = join(folder, "airflow.db")
  const db = new Sqlite(file)
  return {
    dialect: "sqlite",
    url: `sqlite:///${file}`,
    run: async (statement) => db.exec(statement),
    update: async (connId, password) =>
      db.prepare(UPDATE.replace("$1", "?").replace("$2", "?")).run(password, connId),
    close: async () => {
      db.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function openPostgres(serverUrl: string, url: string, name: string): Promise<Database> {
  const server = postgres(serverUrl, { max: 1 })
  await server.unsafe(`CREATE DATABASE ${name}`)
  // The servers of the tests do not sync; a commit that does not is no commit to compare with.
  await server.unsafe("ALTER SYSTEM SET fsync = on")
  await server.unsafe("SELECT pg_reload_conf()")
  const sql = postgres(url, { max: 1 })
  return {
    dialect: "postgresql",
    url,
    run: (statement) => sql.unsafe(statement),
    update: (connId, password) => sql.unsafe(UPDATE, [password, connId]),
    close: async () => {
      await sql.end()
      await server.unsafe(`DROP DATABASE ${name}`)
      await server.end()
    },
  }
}

async function openMysql(serverUrl: string, url: string, name: string): Promise<Database> {
  const server = await mysql.createConnection(serverUrl)
  await server.query(`CREATE DATABASE ${name}`)
  const sql = await mysql.createConnection(url)
  return {
    dialect: "mysql",
    url,
    run: (statement) => sql.query(statement),
    update: (connId, password) =>
      sql.query("UPDATE connection SET password = ? WHERE conn_id = ?", [password, connId]),
    close: async () => {
      await sql.end()
      await server.query(`DROP DATABASE ${name}`)
      await server.end()
    },
  }
}
