// Airflow's database URL, read as SQLAlchemy reads it (by its grammar, which is not WHATWG's), made a plain value.
// `name` is the only form in which a URL may reach a text; no error repeats any part of what it could not read.
import { isAbsolute } from "node:path"
import { Secret } from "../../src/credential.ts"
import { type Address, invalidUrl, mysqlAddresses, postgresAddresses } from "./address.ts"
import { AirflowError } from "./error.ts"
import { unquote } from "./unquote.ts"

/** The databases that Airflow keeps its connections in; MariaDB is `mysql`. */
export type Dialect = "postgresql" | "mysql" | "sqlite"

/** A database URL. */
export type DatabaseUrl = {
  readonly dialect: Dialect
  /** SQLAlchemy's driver, such as `psycopg2`; undefined where the URL names none. */
  readonly driver: string | undefined
  /** Where the server may be, to be tried in this order; at least one for a server, none for SQLite. */
  readonly addresses: readonly Address[]
  readonly user: string | undefined
  readonly password: Secret | undefined
  /** Undefined for SQLite, and where a PostgreSQL URL names neither database nor user. */
  readonly database: string | undefined
  /** SQLite's file, an absolute path; undefined for servers. */
  readonly file: string | undefined
  /** The query's other keys as given, such as `sslmode`, `options` and `charset`; the last value of a key wins. */
  readonly options: Readonly<Record<string, string>>
  /** Opens the client's private key (`sslpassword`, `ssl_key_password`). */
  readonly keyPassword: Secret | undefined
  /** For messages, without password and options: `postgresql://airflow@db:5432/airflow`. */
  readonly name: string
}

const DIALECTS: Readonly<Record<string, Dialect>> = {
  postgresql: "postgresql",
  // SQLAlchemy's old name; Airflow rewrites it.
  postgres: "postgresql",
  mysql: "mysql",
  mariadb: "mysql",
  sqlite: "sqlite",
}

/** A database URL from SQLAlchemy's text; AirflowError `database-url-invalid` or `database-url-unsupported`. */
export function parseDatabaseUrl(text: string): DatabaseUrl {
  const parts = splitUrl(text.trim())
  const [dialectName = "", driver] = parts.scheme.toLowerCase().split("+")
  const dialect = Object.hasOwn(DIALECTS, dialectName) ? DIALECTS[dialectName] : undefined
  if (!dialect)
    throw new AirflowError("database URL: this kind of database is not supported", {
      code: "database-url-unsupported",
      hint: "Airflow keeps its connections in PostgreSQL, MySQL, MariaDB or SQLite: begin with postgresql://, mysql:// or sqlite:///",
    })
  return dialect === "sqlite" ? sqliteUrl(parts, driver) : serverUrl(dialect, parts, driver)
}

type Parts = {
  readonly scheme: string
  readonly user: string | undefined
  readonly password: string | undefined
  readonly host: string | undefined
  readonly port: string | undefined
  readonly database: string | undefined
  readonly query: URLSearchParams
}

// SQLAlchemy's grammar: a password may hold raw `:` and `/`, and ends at the first `@`. Before SQLAlchemy 1.4 (Airflow
// up to 2.2) it ended at the last `@`, which the second pattern allows, for URLs that have no meaning by the first.
const grammar = (password: string) =>
  new RegExp(
    String.raw`^(?<scheme>[\w+]+)://(?:(?<user>[^:/]*)(?::(?<password>${password}))?@)?` +
      String.raw`(?:\[(?<ipv6>[^/?\]]+)\]|(?<host>[^/:?]+))?(?::(?<port>[^/?]*))?` +
      String.raw`(?:/(?<database>[^?]*))?(?:\?(?<query>.*))?$`,
    "s",
  )
const PASSWORD_TO_FIRST_AT = grammar("[^@]*")
const PASSWORD_TO_LAST_AT = grammar("[^?]*")

function splitUrl(text: string): Parts {
  const first = PASSWORD_TO_FIRST_AT.exec(text)?.groups
  const rawAt = `${first?.host ?? ""}${first?.port ?? ""}`.includes("@")
  const groups = rawAt ? PASSWORD_TO_LAST_AT.exec(text)?.groups : first
  if (!groups) throw invalidUrl("cannot be read")
  // More likely pieces of a password, and these must not be taken for a name or for an option that goes unheeded.
  const options = groups.query?.split("&").filter((option) => option !== "") ?? []
  if (groups.database?.includes("@") || options.some((option) => /^[^=]*@/.test(option)))
    throw invalidUrl("an @ comes after the host")
  if (options.some((option) => !option.includes("="))) throw invalidUrl("an option after the ? has no value")
  return {
    scheme: groups.scheme ?? "",
    user: decode(groups.user),
    password: decode(groups.password),
    host: groups.ipv6 ?? groups.host,
    port: groups.port || undefined,
    database: decode(groups.database),
    query: new URLSearchParams(groups.query),
  }
}

// To SQLAlchemy, empty is as good as absent.
function decode(text: string | undefined): string | undefined {
  return text ? unquote(text) : undefined
}

function sqliteUrl(parts: Parts, driver: string | undefined): DatabaseUrl {
  const file = parts.database
  if (parts.host || !file || !isAbsolute(file))
    throw invalidUrl(
      "SQLite needs the absolute path of a file",
      "write four slashes: sqlite:////home/airflow/airflow.db",
    )
  return {
    dialect: "sqlite",
    driver,
    addresses: [],
    user: undefined,
    password: undefined,
    database: undefined,
    file,
    options: Object.fromEntries(parts.query),
    keyPassword: undefined,
    name: `sqlite:///${file}`,
  }
}

// The query's keys go to the driver as they are, and there they beat what stands before the `?`.
function serverUrl(dialect: "postgresql" | "mysql", parts: Parts, driver: string | undefined): DatabaseUrl {
  const query = new URLSearchParams([...parts.query].filter(([, value]) => value !== ""))
  const take = (...keys: readonly string[]) => {
    const values = keys.map((key) => query.getAll(key).at(-1))
    for (const key of keys) query.delete(key)
    return values.find((value) => value !== undefined)
  }
  const user = take("user") ?? parts.user
  const password = take("password", "passwd") ?? parts.password
  const keyPassword = take("sslpassword", "ssl_key_password")
  const named = take("dbname", "database", "db") ?? parts.database
  const database = dialect === "postgresql" ? (named ?? user) : named
  if (dialect === "mysql" && !database)
    throw invalidUrl("no database is named", "end it with /airflow or whatever the database is called")
  const addresses = (dialect === "postgresql" ? postgresAddresses : mysqlAddresses)(parts, query)
  for (const key of ["host", "hostaddr", "port", "unix_socket"]) query.delete(key)
  return {
    dialect,
    driver,
    addresses,
    user,
    password: password === undefined ? undefined : new Secret(password),
    database,
    file: undefined,
    options: Object.fromEntries(query),
    keyPassword: keyPassword === undefined ? undefined : new Secret(keyPassword),
    name: formatName(dialect, addresses, user, database),
  }
}

function formatName(
  dialect: Dialect,
  addresses: readonly Address[],
  user: string | undefined,
  database: string | undefined,
): string {
  const hosts = addresses.flatMap(({ host, port }) =>
    host === undefined ? [] : [`${host.includes(":") ? `[${host}]` : host}:${port}`],
  )
  const sockets = addresses.flatMap(({ socket }) => socket ?? [])
  const who = user === undefined ? "" : `${encodeURIComponent(user)}@`
  const what = database === undefined ? "" : `/${encodeURIComponent(database)}`
  const where = sockets.length > 0 ? `?socket=${sockets.join(",")}` : ""
  return `${dialect}://${who}${hosts.join(",")}${what}${where}`
}
