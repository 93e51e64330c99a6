// The `connection` table as each Airflow itself creates it in a fresh database, per dialect, with the `team` table it
// refers to. Only the table: no alembic_version, no rows. Statements are to be run in order, in an empty database.
import type { Dialect } from "../../sinks/_airflow/database-url.ts"

/** Airflow versions whose `connection` table differs from its neighbour's, and 3.0 beside 2.11, in order. */
export const airflowVersions = ["1.10.6", "1.10.15", "2.0", "2.7", "2.11", "3.0", "3.1", "3.3"] as const

/** A version of Airflow that we know the table of; `2.0` is 2.0.2, the others their line's newest release. */
export type AirflowVersion = (typeof airflowVersions)[number]

/** The statements that create Airflow's `connection` table, in order. */
export function connectionTable(version: AirflowVersion, dialect: Dialect): readonly string[] {
  const since = (first: AirflowVersion) => airflowVersions.indexOf(version) >= airflowVersions.indexOf(first)
  const required = since("2.0") ? " NOT NULL" : ""
  const flag = `${dialect === "mysql" ? "TINYINT(1)" : "BOOLEAN"}${since("3.3") ? " NOT NULL" : ""}`
  const uuid = dialect === "postgresql" ? "UUID" : "CHAR(32)"
  const columns = [
    `id ${idTypes[dialect]}`,
    `conn_id VARCHAR(250)${required}`,
    `conn_type VARCHAR(500)${required}`,
    `host VARCHAR(500)`,
    `${dialect === "mysql" ? "`schema`" : "schema"} VARCHAR(500)`,
    `login ${since("2.11") ? "TEXT" : "VARCHAR(500)"}`,
    `password ${since("2.11") ? "TEXT" : since("1.10.15") ? "VARCHAR(5000)" : "VARCHAR(500)"}`,
    "port INTEGER",
    `is_encrypted ${flag}`,
    `is_extra_encrypted ${flag}`,
    `extra ${since("2.0") ? "TEXT" : "VARCHAR(5000)"}`,
  ]
  if (since("2.0")) columns.push(`description ${dialect === "sqlite" ? "VARCHAR(5000)" : "TEXT"}`)
  if (version === "3.1") columns.push(`team_id ${uuid}`)
  if (version === "3.3") columns.push("team_name VARCHAR(50)")
  columns.push("CONSTRAINT connection_pkey PRIMARY KEY (id)")
  if (since("2.0"))
    columns.push(`CONSTRAINT ${since("2.7") ? "connection_conn_id_uq" : "unique_conn_id"} UNIQUE (conn_id)`)
  if (version === "3.1")
    columns.push("CONSTRAINT connection_team_id_fkey FOREIGN KEY(team_id) REFERENCES team (id)")
  if (version === "3.3")
    columns.push(
      "CONSTRAINT connection_team_name_fkey FOREIGN KEY(team_name) REFERENCES team (name) ON DELETE SET NULL",
    )
  const table = `CREATE TABLE connection (\n  ${columns.join(",\n  ")}\n)`
  if (version === "3.1")
    return [`CREATE TABLE team (id ${uuid} NOT NULL PRIMARY KEY, name VARCHAR(50) NOT NULL UNIQUE)`, table]
  if (version === "3.3") return ["CREATE TABLE team (name VARCHAR(50) NOT NULL PRIMARY KEY)", table]
  return [table]
}

const idTypes = {
  sqlite: "INTEGER NOT NULL",
  postgresql: "SERIAL NOT NULL",
  mysql: "INTEGER NOT NULL AUTO_INCREMENT",
} as const
