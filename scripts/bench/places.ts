// Databases for the bulk benchmark: an empty one of its own on each server, and the plainest writers on it, by the same
// drivers that the sink uses: one row at a time, and all at once.
import { randomBytes } from "node:crypto"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import Sqlite from "better-sqlite3"
import mysql, { type ResultSetHeader } from "mysql2/promise"
import postgres from "postgres"
import type { Dialect } from "../../sinks/_airflow/database-url.ts"

/** Where a database lies. */
export type Place = "sqlite" | "postgres" | "mariadb" | "mysql"

/** An empty database with the plainest writers on it. */
export type Database = {
  readonly dialect: Dialect
  readonly url: string
  run(statement: string): Promise<unknown>
  /** One statement, one commit. */
  update(connId: string, password: string): Promise<unknown>
  /** As many rows as the sink takes at a time, in one transaction. The rows have the ids 1, 2, 3 …; gives their count. */
  updateAll(passwords: readonly string[]): Promise<number>
  close(): Promise<void>
}

const UPDATE = "UPDATE connection SET password = $1 WHERE conn_id = $2"
const CHUNK_ROWS = 500

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
    updateAll: async (passwords) => {
      const statement = db.prepare("UPDATE connection SET password = ? WHERE id = ?")
      return db.transaction(() => sum(passwords.map((text, i) => statement.run(text, i + 1).changes)))()
    },
    close: async () => {
      db.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function openPostgres(serverUrl: string, url: string, name: string): Promise<Database> {
  const server = postgres(serverUrl, { max: 1 })
  await server.unsafe(`CREATE DATABASE ${name}`)
  const sql = postgres(url, { max: 1 })
  return {
    dialect: "postgresql",
    url,
    run: (statement) => sql.unsafe(statement),
    update: (connId, password) => sql.unsafe(UPDATE, [password, connId]),
    updateAll: async (passwords) => {
      const counts: number[] = []
      await sql.unsafe("BEGIN")
      for (const { ids, texts } of chunksOf(passwords)) {
        const columns =
          "unnest(string_to_array($1, ',')::int[], string_to_array($2, ',')) AS v (id, password)"
        const statement = `UPDATE connection AS c SET password = v.password FROM ${columns} WHERE c.id = v.id`
        counts.push((await sql.unsafe(statement, [ids.join(), texts.join()])).count)
      }
      await sql.unsafe("COMMIT")
      return sum(counts)
    },
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
    updateAll: async (passwords) => {
      const counts: number[] = []
      await sql.query("START TRANSACTION")
      for (const { ids, texts } of chunksOf(passwords)) {
        const rows = ids.map((_, i) => (i === 0 ? "SELECT ? AS id, ? AS password" : "SELECT ?, ?"))
        const statement = `UPDATE connection AS c JOIN (${rows.join(" UNION ALL ")}) AS v ON c.id = v.id
          SET c.password = v.password`
        const values = ids.flatMap((id, i) => [id, texts[i]])
        counts.push((await sql.query<ResultSetHeader>(statement, values))[0].affectedRows)
      }
      await sql.query("COMMIT")
      return sum(counts)
    },
    close: async () => {
      await sql.end()
      await server.query(`DROP DATABASE ${name}`)
      await server.end()
    },
  }
}

type Chunk = { readonly ids: readonly number[]; readonly texts: readonly string[] }

function chunksOf(passwords: readonly string[]): readonly Chunk[] {
  return Array.from({ length: Math.ceil(passwords.length / CHUNK_ROWS) }, (_, i) => {
    const texts = passwords.slice(CHUNK_ROWS * i, CHUNK_ROWS * (i + 1))
    return { texts, ids: texts.map((_, k) => CHUNK_ROWS * i + k + 1) }
  })
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}
