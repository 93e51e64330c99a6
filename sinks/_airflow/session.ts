// One connection to Airflow's database for the length of one call, whatever its dialect. What differs between
// PostgreSQL, MySQL and SQLite stands behind this interface; every decision is made above it, once for all three.
import type { Dialect } from "./database-url.ts"

/** What a statement takes for a `?`. Booleans are written into the statement, since not every driver binds them. */
export type Value = string | number | null

/** A row as the driver gives it, by the names in the statement. */
export type ResultRow = Readonly<Record<string, unknown>>

/** A value that a driver gave, as a text; empty for NULL. */
export function textOf(value: unknown): string {
  return value === null || value === undefined ? "" : String(value)
}

/** Whether a flag is set: a boolean in PostgreSQL, 0 or 1 elsewhere; NULL is false to Airflow. */
export function isSet(flag: unknown): boolean {
  return flag === true || flag === 1
}

/** Runs one statement, a `?` for each value. */
export type Query = (statement: string, values?: readonly Value[]) => Promise<readonly ResultRow[]>

/** A column of the `connection` table as the database describes it. */
export type Column = {
  readonly name: string
  /** Must be given in an INSERT: NOT NULL, no default, not the primary key. */
  readonly required: boolean
  /** As in `VARCHAR(500)`; undefined where the database sets no limit. */
  readonly maxCharacters: number | undefined
  /** By which MySQL compares its texts; undefined where they are compared exactly. */
  readonly collation?: Collation | undefined
}

/** How texts are compared, such as `utf8mb3_bin`, and the character set that they are kept in. */
export type Collation = { readonly charset: string; readonly name: string }

/** A connection to create. */
export type NewRow = {
  readonly connId: string
  readonly host: string
  readonly login: string
  readonly password: string
}

/** A connection to repair, by its primary key; without a password the stored one stays, with its flag. */
export type ChangedRow = {
  readonly id: number
  readonly host: string
  readonly login: string
  readonly password: string | undefined
}

/**
 * What a transaction may do beside queries. Both take a chunk, and whether its passwords are encrypted, and tell how many
 * rows were written.
 */
export type Transaction = {
  readonly query: Query
  update(rows: readonly ChangedRow[], encrypted: boolean): Promise<number>
  insert(rows: readonly NewRow[], encrypted: boolean): Promise<number>
}

/** An open connection. */
export type Session = {
  readonly dialect: Dialect
  /** The `connection` table, quoted, with its schema where it has one. */
  readonly table: string
  readonly columns: readonly Column[]
  /** The longest statement that the server takes, its values included. */
  readonly maxStatementBytes: number
  /** What makes a SELECT lock its rows until the transaction ends. */
  readonly lockClause: "" | " FOR UPDATE"
  /** Whether nobody else has changed anything since the session was opened, where that can be told at once. */
  readonly isUntouched?: () => Promise<boolean>
  readonly query: Query
  /** Commits when `work` resolves, rolls back when it rejects. */
  transaction(work: (transaction: Transaction) => Promise<void>): Promise<void>
  /** Runs an ALTER TABLE, giving up soon where others hold the table. */
  alter(statement: string): Promise<void>
  close(): Promise<void>
}

/** How many rows with all that they hold go into one statement at most, or come out of it. */
const CHUNK_ROWS = 500

// For the statement's own words and each value's quotes and escapes.
const STATEMENT_OVERHEAD_BYTES = 4096
const ROW_OVERHEAD_BYTES = 64

/** Rows in chunks that fit a statement; `sizeOf` a row is that of its texts, in bytes. */
export function chunksOf<Row>(
  rows: readonly Row[],
  { maxStatementBytes }: Pick<Session, "maxStatementBytes">,
  sizeOf: (row: Row) => number,
  maxRows = CHUNK_ROWS,
): readonly (readonly Row[])[] {
  const roomBytes = maxStatementBytes - STATEMENT_OVERHEAD_BYTES
  // Without a limit nothing need be measured.
  const isLimited = Number.isFinite(roomBytes)
  const chunks: Row[][] = []
  let leftBytes = 0
  for (const row of rows) {
    const sizeBytes = isLimited ? sizeOf(row) + ROW_OVERHEAD_BYTES : 0
    const last = chunks.at(-1)
    if (last && last.length < maxRows && sizeBytes <= leftBytes) {
      last.push(row)
      leftBytes -= sizeBytes
      continue
    }
    chunks.push([row])
    leftBytes = roomBytes - sizeBytes
  }
  return chunks
}

/** Whether a single row of this size fits a statement. */
export function fitsStatement(
  sizeBytes: number,
  { maxStatementBytes }: Pick<Session, "maxStatementBytes">,
): boolean {
  return sizeBytes + ROW_OVERHEAD_BYTES <= maxStatementBytes - STATEMENT_OVERHEAD_BYTES
}
