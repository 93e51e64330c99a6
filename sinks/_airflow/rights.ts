// Whether new connections can be made at all: found before any write, and asked only where one is to be made. A user who
// may look and update and no more keeps alive what somebody else made.
import { AirflowError } from "./error.ts"
import type { Claim } from "./rows.ts"
import type { ResultRow, Session } from "./session.ts"
import { insertRefusal } from "./table.ts"

const COLUMNS = ["conn_id", "conn_type", "host", "login", "password", "is_encrypted", "is_extra_encrypted"]

/** The claims, in order: where no connection can be made, those that ask for one are refused. */
export async function refuseNew(session: Session, claims: readonly Claim[]): Promise<readonly Claim[]> {
  const isNew = ({ rows, refusal }: Claim) => rows.length === 0 && !refusal
  if (!claims.some(isNew)) return claims
  const refusal = insertRefusal(session) ?? (await rightRefusal(session))
  return claims.map((claim) => (isNew(claim) ? { ...claim, refusal } : claim))
}

async function rightRefusal(session: Session): Promise<AirflowError | undefined> {
  switch (session.dialect) {
    case "sqlite":
      return undefined
    case "postgresql":
      return postgresRefusal(session)
    case "mysql":
      return mysqlRefusal(session)
  }
}

// The right to a column is there too where it is one to the whole table. Ids that are GENERATED AS IDENTITY have no
// default, and their sequence asks for no right of its own.
const POSTGRES_RIGHTS = `
  SELECT current_user AS me, pg_get_serial_sequence(t.name, 'id') AS sequence,
    NOT a.atthasdef OR has_sequence_privilege(pg_get_serial_sequence(t.name, 'id'), 'USAGE, UPDATE') AS counts,
    (SELECT bool_and(has_column_privilege(t.name, c.name, 'INSERT'))
     FROM unnest(string_to_array('${COLUMNS.join()}', ',')) AS c (name)) AS inserts
  FROM (SELECT ?::text AS name) AS t JOIN pg_catalog.pg_attribute a ON a.attrelid = to_regclass(t.name)
  WHERE a.attname = 'id'`

async function postgresRefusal({ table, query }: Session): Promise<AirflowError | undefined> {
  const [row] = await query(POSTGRES_RIGHTS, [table])
  const me = `"${row?.me}"`
  const count = row?.counts === false ? `GRANT USAGE ON SEQUENCE ${row.sequence} TO ${me};` : ""
  if (row?.inserts === false)
    return mayNot("create new connections", `${grantFor(table, me)} ${count}`.trim())
  return count ? mayNot("take ids for new connections", count) : undefined
}

// Explaining a statement asks for the same rights as running it, and takes neither locks nor ids.
async function mysqlRefusal({ table, query }: Session): Promise<AirflowError | undefined> {
  const columns = COLUMNS.join(", ")
  try {
    await query(`EXPLAIN INSERT INTO ${table} (${columns}) SELECT ${columns} FROM ${table} WHERE 1 = 0`)
    return undefined
  } catch (error) {
    const { code } = error as { code?: unknown }
    if (code !== "ER_TABLEACCESS_DENIED_ERROR" && code !== "ER_COLUMNACCESS_DENIED_ERROR") throw error
  }
  const [row] = await query("SELECT current_user() AS me")
  return mayNot("create new connections", grantFor(table, accountOf(row)))
}

// As in `me@%`; a host holds no @.
function accountOf(row: ResultRow | undefined): string {
  const parts = /^(.*)@([^@]*)$/s.exec(String(row?.me)) ?? []
  const quote = (name = "") => `'${name.replaceAll("'", "''")}'`
  return `${quote(parts[1])}@${quote(parts[2])}`
}

// All that a delivery ever needs, so that nobody is sent away a second time.
function grantFor(table: string, user: string): string {
  return `GRANT SELECT, INSERT, UPDATE ON ${table} TO ${user};`
}

function mayNot(what: string, grants: string): AirflowError {
  return new AirflowError(`the user may not ${what}`, {
    code: "permission-denied",
    hint: `${grants} or create the connection once in Airflow (type docker)`,
  })
}
