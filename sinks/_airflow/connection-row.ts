// A connection as the `connection` table holds it, found by its exact id and decrypted: password and extra by their own
// flags. Reads only; no piece of a row but its id reaches an error.
import type { FernetSetting } from "./config.ts"
import { type ConnectionFields, parseExtra } from "./connection-text.ts"
import { AirflowError } from "./error.ts"
import { decrypt } from "./fernet.ts"
import { isSet, type ResultRow, type Session, textOf } from "./session.ts"

/**
 * The connection of this id, undefined where there is none. AirflowErrors: `connection-ambiguous`,
 * `connection-invalid`, `fernet-key-missing`, `fernet-key-wrong`, `conn-id-taken`.
 */
export async function findConnection(
  { table, query }: Pick<Session, "table" | "query">,
  connId: string,
  setting: FernetSetting,
): Promise<ConnectionFields | undefined> {
  const found = await query(
    `SELECT conn_id, conn_type, login, password, extra, is_encrypted, is_extra_encrypted
     FROM ${table} WHERE conn_id = ? ORDER BY id`,
    [connId],
  )
  const rows = found.filter((row) => row.conn_id === connId)
  if (rows.length === 0 && found[0]) throw likeOf(String(found[0].conn_id))
  const [first, ...others] = rows.map((row) => readRow(row, setting))
  const isSame = (other: ConnectionFields) => JSON.stringify(other) === JSON.stringify(first)
  if (others.every(isSame)) return first
  throw new AirflowError(`there are ${rows.length} connections of this id, and they differ`, {
    code: "connection-ambiguous",
    hint: "Airflow itself picks any of them, not always the same: delete all but one",
  })
}

// MySQL's collation equates the two ids, and so does Airflow on it. We refuse to, since a person would not.
function likeOf(connId: string): AirflowError {
  return new AirflowError(`the database treats it as ${connId}`, {
    code: "conn-id-taken",
    hint: `its collation does not tell the two apart: write it as ${connId}`,
  })
}

function readRow(row: ResultRow, setting: FernetSetting): ConnectionFields {
  const extra = open("extra", row.extra, row.is_extra_encrypted, setting)
  return {
    connType: textOf(row.conn_type),
    login: textOf(row.login),
    password: open("password", row.password, row.is_encrypted, setting),
    extra: parseExtra(extra),
  }
}

function open(column: string, value: unknown, flag: unknown, setting: FernetSetting): string {
  const stored = textOf(value)
  if (stored === "" || !isSet(flag)) return stored
  if (setting.state !== "set")
    throw new AirflowError(`its ${column} is encrypted, and there is no fernet key`, {
      code: "fernet-key-missing",
      hint:
        setting.state === "empty"
          ? `${setting.from} is empty: give the key that Airflow itself uses`
          : setting.hint,
    })
  const text = decrypt(setting.keys, stored)
  if (text !== undefined) return text
  throw new AirflowError(`the fernet key of ${setting.from} does not decrypt its ${column}`, {
    code: "fernet-key-wrong",
    hint: "give the key that Airflow itself uses, or all of them separated by commas",
  })
}
