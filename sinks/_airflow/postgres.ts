// PostgreSQL, also through PgBouncer in transaction mode: no named prepared statements, no state in the session, and a
// table named with its schema, since two statements may reach two servers. What was lost is never opened again here.
import type { Sql } from "postgres"
import type { Address } from "./address.ts"
import type { DatabaseUrl } from "./database-url.ts"
import { AirflowError } from "./error.ts"
import type { Place } from "./place.ts"
import { type Connection, connect } from "./postgres-connection.ts"
import { openWithOptions, parseServerOptions } from "./postgres-options.ts"
import { writersOf } from "./postgres-write.ts"
import type { Column, Query, ResultRow, Session } from "./session.ts"
import type { TlsPolicy } from "./tls.ts"

// Per address, so that one that swallows packets leaves time for the next; libpq's connect_timeout is in seconds.
const CONNECT_TIMEOUT_MS = 10_000

/** Opens the first of the URL's addresses that answers and fits. Rejects with the driver's errors or AirflowError. */
export async function openPostgres(place: Place, policy: TlsPolicy, signal: AbortSignal): Promise<Session> {
  const { url, schema } = place
  const { searchPath, rest } = parseServerOptions(url.options.options, url.user)
  const schemas = schema === undefined ? searchPath : [schema]
  for (const [i, address] of url.addresses.entries()) {
    const isLast = i === url.addresses.length - 1
    try {
      const session = await openWithOptions(rest, (options) =>
        openAddress(url, { policy, address, schemas, options }, signal),
      )
      if (session) return session
    } catch (error) {
      // What one server refuses for our login, the next would refuse too.
      if (isLast || signal.aborted || !isUnreachable(error)) throw error
    }
  }
  throw new AirflowError("none of the servers takes writes", {
    code: "read-only",
    hint: "target_session_attrs of the URL asks for one that does; check which server is the primary",
  })
}

/** How to connect to one address. */
type Connecting = {
  readonly policy: TlsPolicy
  readonly address: Address
  readonly schemas: readonly string[]
  /** What the server is told at the start of the session. */
  readonly options: string | undefined
}

async function openAddress(
  url: DatabaseUrl,
  { policy, address, schemas, options: startup }: Connecting,
  signal: AbortSignal,
): Promise<Session | undefined> {
  const timeoutMs = Number(url.options.connect_timeout) * 1000 || CONNECT_TIMEOUT_MS
  const connection = await connect(address, policy, timeoutMs, signal)
  const { default: postgres } = await import("postgres")
  const options: object = {
    ...driverOptions(timeoutMs),
    host: address.host ?? "localhost",
    port: address.port ?? 0,
    ...(url.user === undefined ? {} : { user: url.user }),
    ...(url.database === undefined ? {} : { database: url.database }),
    // A function, since the driver would take PGPASSWORD for an empty text.
    password: () => url.password?.reveal() ?? "",
    connection: { application_name: "ecrelay", ...(startup ? { options: startup } : {}) },
    // The driver would call it again to reconnect: what was lost stays lost, and the core tries again.
    socket: () => connection.take(),
  }
  const sql = postgres(options)
  const cut = () => connection.destroy()
  signal.addEventListener("abort", cut, { once: true })
  const close = async () => {
    signal.removeEventListener("abort", cut)
    // Says goodbye to the server. On a connection that is gone, the driver would wait in vain.
    if (connection.isOpen()) await sql.end({ timeout: 1 })
    connection.destroy()
  }
  try {
    const query = queryOf(sql, connection)
    if (await fits(query, url.options.target_session_attrs))
      return await sessionOf(sql, query, schemas, close)
    await close()
    return undefined
  } catch (error) {
    await close()
    throw error
  }
}

// Every key that the driver would otherwise look up in the environment.
function driverOptions(timeoutMs: number) {
  return {
    max: 1,
    prepare: false,
    fetch_types: false,
    ssl: false,
    sslnegotiation: null,
    idle_timeout: 0,
    max_lifetime: null,
    max_pipeline: 1,
    connect_timeout: timeoutMs / 1000,
    backoff: false,
    keep_alive: 60,
    debug: false,
    publications: "none",
    no_subscribe: true,
    onnotice: () => {},
  } as const
}

function isUnreachable(error: unknown): boolean {
  const code = (error as { code?: unknown }).code
  return typeof code === "string" && /^(E[A-Z_]+|CONNECT.*|57P0[1-3])$/.test(code)
}

// libpq's words for the server that several hosts are searched for.
async function fits(query: Query, wanted: string | undefined): Promise<boolean> {
  if (wanted !== "read-write" && wanted !== "primary") return true
  const [row] = await query(
    "SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') AS off",
  )
  return row?.standby === false && (wanted === "primary" || row.off === "off")
}

// What is asked of a socket that has just broken, such as a ROLLBACK, the driver would leave without an answer.
function queryOf(sql: Pick<Sql, "unsafe">, { requireOpen }: Pick<Connection, "requireOpen">): Query {
  return async (statement, values = []) => {
    requireOpen()
    let mark = 0
    const numbered = statement.replaceAll("?", () => `$${++mark}`)
    return (await sql.unsafe(numbered, [...values])) as readonly ResultRow[]
  }
}

async function sessionOf(
  sql: Sql,
  query: Query,
  schemas: readonly string[],
  close: () => Promise<void>,
): Promise<Session> {
  const { schema, columns } = await findTable(query, schemas)
  const table = schema === undefined ? "connection" : `${quote(schema)}.connection`
  return {
    dialect: "postgresql",
    table,
    columns,
    maxStatementBytes: Number.POSITIVE_INFINITY,
    lockClause: " FOR UPDATE",
    query,
    transaction: (work) => inTransaction(sql, query, () => work({ query, ...writersOf(query, table) })),
    alter: (statement) =>
      inTransaction(sql, query, async () => {
        await query(statement)
      }),
    close,
  }
}

// Waits for others' locks for a moment only: the core tries again, and while an ALTER waits for the table, everybody else who
// wants it waits behind it. LOCAL, since through PgBouncer the session is not ours.
const BEGIN = "BEGIN; SET LOCAL lock_timeout = '3s'"

// By plain statements on the one connection. Where the server goes away in the midst, the driver's own `begin` writes its
// ROLLBACK to a socket that is gone, and nobody can catch that error.
async function inTransaction(sql: Sql, query: Query, work: () => Promise<void>): Promise<void> {
  await sql.unsafe(BEGIN).simple()
  try {
    await work()
  } catch (error) {
    await query("ROLLBACK").catch(() => {})
    throw error
  }
  await query("COMMIT")
}

// The schemas in question, in order; without any it is the server's own search_path that counts.
async function findTable(
  query: Query,
  schemas: readonly string[],
): Promise<{ readonly schema: string | undefined; readonly columns: readonly Column[] }> {
  const names = schemas.length > 0 ? schemas.map((schema) => `${quote(schema)}.connection`) : ["connection"]
  for (const name of names) {
    const rows = await query(COLUMNS, [name])
    if (rows.length === 0) continue
    const columns = rows.map((row) => ({
      name: String(row.name),
      required: row.required === true,
      maxCharacters: typeof row.width === "number" ? row.width : undefined,
    }))
    return { schema: String(rows[0]?.schema), columns }
  }
  return { schema: schemas[0], columns: [] }
}

// `atttypmod` of a VARCHAR(n) is n and the four bytes of its header.
const COLUMNS = `
  SELECT n.nspname AS schema, a.attname AS name,
    a.attnotnull AND NOT a.atthasdef AND a.attname <> 'id' AS required,
    CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 END AS width
  FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
  WHERE a.attrelid = to_regclass(?::text) AND a.attnum > 0 AND NOT a.attisdropped`

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
