// What is read from the `connection` table: rows by exact id, their passwords, and which rows are encrypted.
// Reading is two steps, since a password is 3.7 kB and its first 32 characters mostly tell enough.
import type { Row } from "./rows.ts"
import { chunksOf, isSet, type ResultRow, type Session, textOf, type Value } from "./session.ts"

// Covers a Fernet token's version, time and most of its random IV: enough to know that it is still the same.
const HEAD_CHARACTERS = 32
const FIELDS = `id, conn_id, conn_type, host, login, port, is_encrypted,
  substr(password, 1, ${HEAD_CHARACTERS}) AS password_head`

// Heads are small, and a server that looks for few rows at a time may scan the whole table each time.
const HEAD_ROWS = 5000

type Readable = Pick<Session, "table" | "query" | "maxStatementBytes">

/** The rows of these connection ids; on MySQL, of those that it takes for them too. */
export async function findRows(session: Readable, connIds: readonly string[]): Promise<readonly Row[]> {
  const select = `SELECT ${FIELDS} FROM ${session.table} WHERE conn_id IN`
  const rows = await selectIn(session, select, connIds, { maxRows: HEAD_ROWS })
  // Not by the server: MySQL would walk the primary key from end to end, to have them in order.
  return rows.map(parseRow).sort((one, other) => one.id - other.id)
}

/** In a transaction: locks these rows, and tells whether they are still as they were found. */
export async function areUnchanged(
  session: Readable & Pick<Session, "lockClause" | "isUntouched">,
  rows: readonly Row[],
): Promise<boolean> {
  if (await session.isUntouched?.()) return true
  const select = `SELECT ${FIELDS} FROM ${session.table} WHERE id IN`
  const ids = rows.map(({ id }) => id)
  const rest = ` ORDER BY id${session.lockClause}`
  const locked = await selectIn(session, select, ids, { rest, maxRows: HEAD_ROWS })
  const byId = new Map(locked.map(parseRow).map((row) => [row.id, JSON.stringify(row)]))
  return rows.every((row) => byId.get(row.id) === JSON.stringify(row))
}

/** Passwords as they are stored, by row. */
export async function loadPasswords(
  session: Readable,
  rows: readonly Row[],
): Promise<ReadonlyMap<number, string>> {
  const ids = rows.map(({ id }) => id)
  const found = await selectIn(session, `SELECT id, password FROM ${session.table} WHERE id IN`, ids)
  return new Map(found.map(({ id, password }) => [Number(id), textOf(password)]))
}

/** What a row's `extra` holds, as it is stored. */
export type Extra = { readonly text: string; readonly encrypted: boolean }

/** Extras as they are stored, by row. */
export async function loadExtras(
  session: Readable,
  rows: readonly Row[],
): Promise<ReadonlyMap<number, Extra>> {
  const ids = rows.map(({ id }) => id)
  const select = `SELECT id, extra, is_extra_encrypted FROM ${session.table} WHERE id IN`
  const found = await selectIn(session, select, ids)
  return new Map(
    found.map(({ id, extra, is_extra_encrypted: encrypted }) => [
      Number(id),
      { text: textOf(extra), encrypted: isSet(encrypted) },
    ]),
  )
}

/** Which rows hold anything encrypted, the newest first. */
export async function findEncryptedIds({ table, query }: Readable): Promise<readonly number[]> {
  const rows = await query(
    `SELECT id FROM ${table} WHERE (is_encrypted = true AND password IS NOT NULL)
      OR (is_extra_encrypted = true AND extra IS NOT NULL) ORDER BY id DESC`,
  )
  return rows.map(({ id }) => Number(id))
}

/** The encrypted texts of these rows: passwords, and extras where only those are encrypted. */
export async function loadEncrypted(session: Readable, ids: readonly number[]): Promise<readonly string[]> {
  const select = `SELECT CASE WHEN is_encrypted = true AND password IS NOT NULL THEN password ELSE extra END AS token
    FROM ${session.table} WHERE id IN`
  const rows = await selectIn(session, select, ids)
  return rows.map(({ token }) => String(token))
}

async function selectIn(
  session: Readable,
  select: string,
  values: readonly Value[],
  { rest = "", maxRows }: { readonly rest?: string; readonly maxRows?: number } = {},
): Promise<readonly ResultRow[]> {
  const found: ResultRow[] = []
  const sizeOf = (value: Value) => Buffer.byteLength(String(value))
  for (const chunk of chunksOf(values, session, sizeOf, maxRows)) {
    const marks = chunk.map(() => "?").join(", ")
    found.push(...(await session.query(`${select} (${marks})${rest}`, chunk)))
  }
  return found
}

function parseRow(row: ResultRow): Row {
  return {
    id: Number(row.id),
    connId: textOf(row.conn_id),
    connType: textOf(row.conn_type),
    host: textOf(row.host),
    login: textOf(row.login),
    port: row.port === null ? undefined : Number(row.port),
    encrypted: isSet(row.is_encrypted),
    passwordHead: row.password_head === null ? undefined : String(row.password_head),
  }
}
