// The `connection` table as each Airflow itself creates it in a fresh database, per dialect, with the `team` table it
// refers to. Taken from what the real releases made of SQLite, PostgreSQL 15 and MySQL 9.7: columns in that order, with
// those types, constraints under those names. No alembic_version, no rows.
import type { Dialect } from "../../sinks/_airflow/database-url.ts"

/** Airflow's lines with a table of their own, and 3.0 beside 2.11, oldest first. */
export const airflowVersions = ["1.10.6", "1.10.15", "2.0", "2.7", "2.11", "3.0", "3.1", "3.3"] as const

/** A line whose table we know; taken from 2.0.2, 2.7.3, 2.11.2, 3.0.6, 3.1.8 and 3.3.2. */
export type AirflowVersion = (typeof airflowVersions)[number]

const firstOrder = [
  ...["id", "conn_id", "conn_type", "host", "schema", "login", "password", "port", "extra"],
  ...["is_encrypted", "is_extra_encrypted"],
]
const laterHead = ["id", "conn_id", "conn_type", "description", "host", "schema", "login"]
const laterOrder = [...laterHead, "password", "port", "is_encrypted", "is_extra_encrypted", "extra"]

const columnsOf: Readonly<Record<AirflowVersion, readonly string[]>> = {
  "1.10.6": firstOrder,
  "1.10.15": firstOrder,
  "2.0": [...firstOrder, "description"],
  "2.7": laterOrder,
  "2.11": laterOrder,
  "3.0": laterOrder,
  "3.1": [...laterHead, "password", "port", "is_encrypted", "is_extra_encrypted", "team_id", "extra"],
  "3.3": [...laterHead, "port", "team_name", "password", "extra", "is_encrypted", "is_extra_encrypted"],
}

/** Whether a version is at least as new as another. */
export function isSince(version: AirflowVersion, first: AirflowVersion): boolean {
  return airflowVersions.indexOf(version) >= airflowVersions.indexOf(first)
}

/** The statements that create Airflow's `connection` table in an empty database, to be run in order. */
export function connectionTable(version: AirflowVersion, dialect: Dialect): readonly string[] {
  const columns = columnsOf[version].map((name) => {
    const quoted = name === "schema" && dialect === "mysql" ? "`schema`" : name
    return `${quoted} ${columnType(name, version, dialect)}`
  })
  return [
    ...teamTable(version, dialect),
    createTable("connection", [...columns, ...constraints(version, dialect)]),
  ]
}

function columnType(name: string, version: AirflowVersion, dialect: Dialect): string {
  const required = isSince(version, "2.0") ? " NOT NULL" : ""
  switch (name) {
    case "id":
      return idTypes[dialect]
    case "conn_id":
      return `VARCHAR(250)${required}`
    case "conn_type":
      return `VARCHAR(500)${required}`
    case "description":
      return dialect === "sqlite" ? "VARCHAR(5000)" : "TEXT"
    case "login":
      return isSince(version, "2.11") ? "TEXT" : "VARCHAR(500)"
    case "password":
      if (isSince(version, "2.11")) return "TEXT"
      return isSince(version, "1.10.15") ? "VARCHAR(5000)" : "VARCHAR(500)"
    case "extra":
      return isSince(version, "2.0") ? "TEXT" : "VARCHAR(5000)"
    case "port":
      return "INTEGER"
    case "is_encrypted":
    case "is_extra_encrypted":
      return isSince(version, "3.3") ? "BOOLEAN NOT NULL" : "BOOLEAN"
    case "team_id":
      return uuidTypes[dialect]
    case "team_name":
      return "VARCHAR(50)"
    default:
      return "VARCHAR(500)"
  }
}

const idTypes: Readonly<Record<Dialect, string>> = {
  sqlite: "INTEGER NOT NULL",
  postgresql: "SERIAL NOT NULL",
  mysql: "INTEGER NOT NULL AUTO_INCREMENT",
}
const uuidTypes: Readonly<Record<Dialect, string>> = {
  sqlite: "CHAR(32)",
  postgresql: "UUID",
  mysql: "CHAR(32)",
}

function constraints(version: AirflowVersion, dialect: Dialect): readonly string[] {
  // SQLAlchemy before 1.4 checks booleans where the dialect has none; 1.10.6 added them to SQLite's table unchecked.
  const hasChecks =
    dialect !== "postgresql" && !isSince(version, "2.7") && !(version === "1.10.6" && dialect === "sqlite")
  const checks = ["CHECK (is_encrypted IN (0, 1))", "CHECK (is_extra_encrypted IN (0, 1))"]
  const old = ["PRIMARY KEY (id)", ...(hasChecks ? checks : [])]
  const named = [
    "CONSTRAINT connection_pkey PRIMARY KEY (id)",
    "CONSTRAINT connection_conn_id_uq UNIQUE (conn_id)",
  ]
  switch (version) {
    case "1.10.6":
    case "1.10.15":
      return old
    case "2.0":
      return [...old, "CONSTRAINT unique_conn_id UNIQUE (conn_id)"]
    case "3.1":
      return [...named, "CONSTRAINT connection_team_id_fkey FOREIGN KEY(team_id) REFERENCES team (id)"]
    case "3.3":
      return [
        ...named,
        "CONSTRAINT connection_team_name_fkey FOREIGN KEY(team_name) REFERENCES team (name) ON DELETE SET NULL",
      ]
    default:
      return named
  }
}

function teamTable(version: AirflowVersion, dialect: Dialect): readonly string[] {
  const name = "name VARCHAR(50) NOT NULL"
  if (version === "3.3") return [createTable("team", [name, "CONSTRAINT team_pkey PRIMARY KEY (name)"])]
  if (version !== "3.1") return []
  const keys = ["CONSTRAINT team_pkey PRIMARY KEY (id)", "CONSTRAINT team_name_uq UNIQUE (name)"]
  return [createTable("team", [`id ${uuidTypes[dialect]} NOT NULL`, name, ...keys])]
}

function createTable(name: string, lines: readonly string[]): string {
  return `CREATE TABLE ${name} (\n  ${lines.join(",\n  ")}\n)`
}
