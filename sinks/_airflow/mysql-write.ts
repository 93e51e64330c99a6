// The two statements that write, for MySQL and MariaDB: a chunk of rows as a table of literals. Written so that every
// version takes it that Airflow ever ran on: no VALUES ROW(), no JSON_TABLE, no temporary table.
import type { Query, Transaction } from "./session.ts"

/** How a chunk is updated and inserted; nothing in MySQL skips a row in silence. `table` is quoted. */
export function writersOf(query: Query, table: string): Pick<Transaction, "update" | "insert"> {
  return {
    async update(rows, encrypted) {
      const selects = rows.map((_, i) =>
        i === 0 ? "SELECT ? AS id, ? AS host, ? AS login, ? AS password" : "SELECT ?, ?, ?, ?",
      )
      await query(
        `UPDATE ${table} AS c JOIN (${selects.join(" UNION ALL ")}) AS v ON c.id = v.id
         SET c.conn_type = 'docker', c.host = v.host, c.login = v.login, c.port = NULL,
           c.is_encrypted = CASE WHEN v.password IS NULL THEN c.is_encrypted ELSE ${encrypted} END,
           c.password = coalesce(v.password, c.password)`,
        rows.flatMap(({ id, host, login, password }) => [id, host, login, password ?? null]),
      )
      return rows.length
    },
    async insert(rows, encrypted) {
      const values = rows.map(() => `(?, 'docker', ?, ?, ?, ${encrypted}, false)`)
      await query(
        `INSERT INTO ${table} (conn_id, conn_type, host, login, password, is_encrypted, is_extra_encrypted)
         VALUES ${values.join(", ")}`,
        rows.flatMap(({ connId, host, login, password }) => [connId, host, login, password]),
      )
      return rows.length
    },
  }
}
