// MySQL and MariaDB: one connection in a mode that escaping can rely on and that never cuts a value short. No upsert:
// it would burn ids, and the collation would let `ecr_docker` overwrite `Ecr_Docker`.
import type { Duplex } from "node:stream"
import type { Connection, ConnectionOptions } from "mysql2"
import { isTransient } from "../../src/errors.ts"
import type { Address } from "./address.ts"
import { writersOf } from "./mysql-write.ts"
import type { Place } from "./place.ts"
import type { Column, Query, ResultRow, Session } from "./session.ts"
import type { TlsPolicy } from "./tls.ts"
import { loadMysqlTls, type MysqlTls } from "./tls-files.ts"

const CONNECT_TIMEOUT_MS = 10_000

// Strict, so that what does not fit is an error, and without NO_BACKSLASH_ESCAPES, since the driver escapes with
// backslashes. Waits for others' locks for a moment only: the core tries again.
const SETTINGS = `SET SESSION sql_mode = 'STRICT_ALL_TABLES', sql_safe_updates = 0,
  lock_wait_timeout = 3, innodb_lock_wait_timeout = 3`

/** Opens Airflow's database. Rejects with the driver's errors or AirflowError. */
export async function openMysql(place: Place, policy: TlsPolicy, signal: AbortSignal): Promise<Session> {
  // The URL names exactly one address.
  const address = place.url.addresses[0] as Address
  const tls = await loadMysqlTls(policy, address)
  try {
    return await openWith(place, address, tls, signal)
  } catch (error) {
    if (!tls.orPlain || (error as { code?: unknown }).code !== "HANDSHAKE_NO_SSL_SUPPORT") throw error
    return openWith(place, address, { ssl: undefined, stream: undefined, orPlain: false }, signal)
  }
}

async function openWith(
  place: Place,
  address: Address,
  tls: MysqlTls,
  signal: AbortSignal,
): Promise<Session> {
  signal.throwIfAborted()
  const { default: mysql } = await import("mysql2")
  const connection = mysql.createConnection(driverOptions(place, address, tls))
  keepLoss(connection)
  // The driver's own `destroy` goes on reading what the server has sent, and complains on the terminal about its order.
  const stream = () => (connection as unknown as { stream: Duplex }).stream
  const cut = () => stream().destroy()
  signal.addEventListener("abort", cut, { once: true })
  const close = async () => {
    signal.removeEventListener("abort", cut)
    // Says goodbye, so that the server does not log an aborted connection, and goes: the answer may never come.
    connection.end()
    stream().end(cut)
  }
  try {
    const query = queryOf(connection)
    await connected(connection)
    await query(SETTINGS)
    return await sessionOf(query, place, close)
  } catch (error) {
    signal.removeEventListener("abort", cut)
    cut()
    throw lossOf(error) ?? error
  }
}

// mysql2 gives whatever ends the handshake one code, and a connection that was lost in it is no matter of trust.
function keepLoss(connection: Connection): void {
  const driver = connection as unknown as { startTLS(done: (error?: Error) => void): void }
  const { startTLS } = driver
  driver.startTLS = (done) =>
    startTLS.call(driver, (cause) => done(isTransient(cause) ? new Error("lost", { cause }) : cause))
}

function lossOf(error: unknown): unknown {
  const { code, cause } = error as { readonly code?: unknown; readonly cause?: unknown }
  return code === "HANDSHAKE_SSL_ERROR" ? cause : undefined
}

function driverOptions({ url }: Place, address: Address, { ssl, stream }: MysqlTls): ConnectionOptions {
  const options: object = {
    ...(address.socket === undefined
      ? { host: address.host, port: address.port }
      : { socketPath: address.socket }),
    ...(url.user === undefined ? {} : { user: url.user }),
    ...(url.password === undefined ? {} : { password: url.password.reveal() }),
    ...(url.database === undefined ? {} : { database: url.database }),
    ...(ssl ? { ssl } : {}),
    ...(stream ? { stream } : {}),
    connectTimeout: Number(url.options.connect_timeout) * 1000 || CONNECT_TIMEOUT_MS,
    charset: "utf8mb4",
    multipleStatements: false,
  }
  return options
}

function connected(connection: Connection): Promise<void> {
  return new Promise((resolve, reject) => {
    connection.connect((error) => (error ? reject(error) : resolve()))
  })
}

function queryOf(connection: Connection): Query {
  let lost: Error | undefined
  // What happens to an idle connection would otherwise end the program; the next statement tells of it.
  connection.on("error", (error) => {
    lost = error
  })
  return (statement, values = []) =>
    new Promise((resolve, reject) => {
      if (lost) return reject(lost)
      connection.query(statement, [...values], (error, rows) => {
        if (error) reject(error)
        else resolve(Array.isArray(rows) ? (rows as readonly ResultRow[]) : [])
      })
    })
}

async function sessionOf(query: Query, { schema }: Place, close: () => Promise<void>): Promise<Session> {
  const table = schema === undefined ? "`connection`" : `${quote(schema)}.\`connection\``
  const [packet] = await query("SELECT @@max_allowed_packet AS bytes")
  return {
    dialect: "mysql",
    table,
    columns: await readColumns(query, schema),
    maxStatementBytes: Number(packet?.bytes),
    lockClause: " FOR UPDATE",
    query,
    transaction: async (work) => {
      await query("START TRANSACTION")
      try {
        await work({ query, ...writersOf(query, table) })
      } catch (error) {
        await query("ROLLBACK").catch(() => {})
        throw error
      }
      await query("COMMIT")
    },
    alter: async (statement) => {
      await query(statement)
    },
    close,
  }
}

async function readColumns(query: Query, schema: string | undefined): Promise<readonly Column[]> {
  const rows = await query(
    `SELECT column_name AS name, character_maximum_length AS width, character_set_name AS charset,
       collation_name AS collation,
       is_nullable = 'NO' AND column_default IS NULL AND extra NOT LIKE '%auto_increment%'
         AND extra NOT LIKE '% GENERATED' AS required
     FROM information_schema.columns
     WHERE table_schema = coalesce(?, database()) AND table_name = 'connection'`,
    [schema ?? null],
  )
  return rows.map(({ name, width, charset, collation, required }) => ({
    name: String(name),
    required: required === 1,
    maxCharacters: typeof width === "number" ? width : undefined,
    collation: collation === null ? undefined : { charset: String(charset), name: String(collation) },
  }))
}

function quote(name: string): string {
  return `\`${name.replaceAll("`", "``")}\``
}
