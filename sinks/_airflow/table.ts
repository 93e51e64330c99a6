// Airflow's `connection` table as this database really has it: introspected, never guessed from a version.
// Finds before any write what would not fit, and says which ALTER TABLE mends it.
import { AirflowError } from "./error.ts"
import type { Session } from "./session.ts"

const OURS = [
  "id",
  "conn_id",
  "conn_type",
  "host",
  "login",
  "port",
  "password",
  "is_encrypted",
  "is_extra_encrypted",
]

/** Refuses a table that cannot be Airflow's. AirflowError `table-unknown`. */
export function requireConnectionTable({ table, columns }: Pick<Session, "table" | "columns">): void {
  const names = new Set(columns.map(({ name }) => name))
  const missing = OURS.filter((name) => !names.has(name))
  if (missing.length === 0) return
  throw new AirflowError(`${table} is not Airflow's table: it has no column ${missing.join(", ")}`, {
    code: "table-unknown",
    hint: "point the database URL at Airflow's own metadata database",
  })
}

/** Why a new connection cannot be created, or undefined: a column that must be given and that we do not know. */
export function insertRefusal({
  table,
  columns,
}: Pick<Session, "table" | "columns">): AirflowError | undefined {
  const unknown = columns
    .filter(({ name, required }) => required && !OURS.includes(name))
    .map(({ name }) => name)
  if (unknown.length === 0) return undefined
  return new AirflowError(
    `${table} requires ${unknown.join(", ")}, which this version does not know how to fill in`,
    {
      code: "column-unknown",
      hint: "create the connection once in Airflow (type docker); after that it is kept fresh",
    },
  )
}

/** Why so many characters do not fit the password column, or undefined. AIRFLOW-3014: VARCHAR(500), later 5000. */
export function widthRefusal(
  session: Pick<Session, "dialect" | "table" | "columns">,
  characters: number,
): AirflowError | undefined {
  const limit = session.columns.find(({ name }) => name === "password")?.maxCharacters
  if (limit === undefined || characters <= limit) return undefined
  return new AirflowError(
    `the password column holds ${limit} characters, and this login needs ${characters}`,
    {
      code: "column-too-narrow",
      hint: `run ${wideningStatement(session)} or let ecrelay run it with widen_password=true`,
    },
  )
}

/** The statement that makes the password column what Airflow 2.8 made of it. */
export function wideningStatement({ dialect, table }: Pick<Session, "dialect" | "table">): string {
  return dialect === "mysql"
    ? `ALTER TABLE ${table} MODIFY COLUMN password TEXT NULL;`
    : `ALTER TABLE ${table} ALTER COLUMN password TYPE TEXT;`
}

// Airflow's own rule for ids; its \w is Python's, letters and digits of every script.
const CONN_ID = /^[\p{L}\p{N}_#!()\-.:/\\]+$/u
const MAX_CONN_ID = 250

/** What is wrong with a connection id by Airflow's own rule, or undefined. Airflow drops such ids silently. */
export function connIdProblem(connId: string): string | undefined {
  if ([...connId].length > MAX_CONN_ID)
    return `is longer than the ${MAX_CONN_ID} characters that Airflow's table holds`
  if (!CONN_ID.test(connId)) return "may hold only letters, digits and _ # ! ( ) - . : / \\"
  return undefined
}
