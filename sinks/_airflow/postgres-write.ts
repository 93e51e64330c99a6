// The two statements that write, for PostgreSQL: a chunk of rows as columns of texts, each joined into one value.
// The driver would escape an array element by element, which is a third of all the time; base64url needs none of it.
import type { ChangedRow, NewRow, Query, Transaction } from "./session.ts"

/** How a chunk is updated and inserted. `table` is quoted. */
export function writersOf(query: Query, table: string): Pick<Transaction, "update" | "insert"> {
  return {
    async update(rows: readonly ChangedRow[], encrypted) {
      const columns = [
        rows.map(({ id }) => String(id)),
        rows.map(({ host }) => host),
        rows.map(({ login }) => login),
        // Empty stands for NULL, and NULL for the password that is there.
        rows.map(({ password }) => password ?? ""),
      ]
      const written = await query(
        `UPDATE ${table} AS c
         SET conn_type = 'docker', host = v.host, login = v.login, port = NULL,
           password = coalesce(v.password, c.password),
           is_encrypted = CASE WHEN v.password IS NULL THEN c.is_encrypted ELSE ${encrypted} END
         FROM unnest(string_to_array(?, ?)::int[], ${"string_to_array(?, ?, ''), ".repeat(3).slice(0, -2)})
           AS v (id, host, login, password)
         WHERE c.id = v.id RETURNING 1`,
        joined(columns),
      )
      return written.length
    },
    async insert(rows: readonly NewRow[], encrypted) {
      const columns = [
        rows.map(({ connId }) => connId),
        rows.map(({ host }) => host),
        rows.map(({ login }) => login),
        rows.map(({ password }) => password),
      ]
      const written = await query(
        `INSERT INTO ${table} (conn_id, conn_type, host, login, password, is_encrypted, is_extra_encrypted)
         SELECT v.conn_id, 'docker', v.host, v.login, v.password, ${encrypted}, false
         FROM unnest(${"string_to_array(?, ?, ''), ".repeat(4).slice(0, -2)}) AS v (conn_id, host, login, password)
         RETURNING 1`,
        joined(columns),
      )
      return written.length
    },
  }
}

function joined(columns: readonly (readonly string[])[]): readonly string[] {
  return columns.flatMap((texts) => {
    const separator = separatorFor(texts)
    return [texts.join(separator), separator]
  })
}

/** A character that none of the texts holds: nearly always the comma. */
export function separatorFor(texts: readonly string[]): string {
  const isFree = (separator: string) => !texts.some((text) => text.includes(separator))
  if (isFree(",")) return ","
  for (let code = 1; ; code += 1) if (isFree(String.fromCharCode(code))) return String.fromCharCode(code)
}
