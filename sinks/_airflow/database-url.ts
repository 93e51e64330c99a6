// Airflow's database URL, read as SQLAlchemy reads it (its regular expression, not WHATWG's URL), made a plain value.
// `name` is the only form in which a URL may reach a text: it has no password.
import type { Secret } from "../../src/credential.ts"

export type Dialect = "postgresql" | "mysql" | "sqlite"

/** One place to try: a host, or for PostgreSQL the path of a socket; in the order given. */
export type Address =
  | { readonly host: string; readonly port: number; readonly socket?: undefined }
  | { readonly socket: string; readonly host?: undefined; readonly port?: undefined }

/** A database URL. `options` are the query's other keys, lower case, as given (last value wins). */
export type DatabaseUrl = {
  readonly dialect: Dialect
  /** SQLAlchemy's driver name, such as `psycopg2`; undefined where the URL names none. */
  readonly driver: string | undefined
  /** Where the server may be, at least one; empty for SQLite. `localhost` where the URL names no host. */
  readonly addresses: readonly Address[]
  readonly user: string | undefined
  readonly password: Secret | undefined
  /** Undefined where the URL names none (PostgreSQL then takes the user's name) and for SQLite. */
  readonly database: string | undefined
  /** SQLite's absolute path; undefined for servers. */
  readonly file: string | undefined
  readonly options: Readonly<Record<string, string>>
  /** For messages, without password and options: `postgresql://airflow@db:5432/airflow`. */
  readonly name: string
}

/** A database URL from SQLAlchemy's text. AirflowError `database-url-invalid` or `-unsupported`, with a hint. */
export function parseDatabaseUrl(_text: string): DatabaseUrl {
  throw new Error("not there yet")
}
