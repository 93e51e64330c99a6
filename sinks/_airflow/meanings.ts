// What the codes of the databases' drivers mean, and the way out: one table for all of them.
// A code is all that decides, and where it is one for files and for sockets, which of the two the URL names.
import type { DatabaseUrl } from "./database-url.ts"
import type { TlsPolicy } from "./tls.ts"

/** What is known of the place when something fails. */
export type FailureContext = {
  readonly sink: string
  /** The target's or the place's name. */
  readonly target: string
  readonly url?: DatabaseUrl | undefined
  readonly policy?: TlsPolicy | undefined
  /** The table, quoted, once it has been found. */
  readonly table?: string | undefined
}

/** What a code means, to a person. */
type Meaning = {
  readonly codes: RegExp
  /** Where the codes alone do not tell. */
  readonly of?: (context: FailureContext) => boolean
  readonly code: string
  readonly message: string
  /** Whether the server's own words are needed to tell what it is. */
  readonly quotes?: true
  readonly hint: string | ((context: FailureContext) => string)
}

// What failed last, where several servers were tried.
const socketOf = ({ url }: FailureContext) => url?.addresses.at(-1)?.socket
const atSocket = (context: FailureContext) => socketOf(context) !== undefined
const namesOfSockets = (context: FailureContext) =>
  context.url?.dialect === "mysql"
    ? `unix_socket=${socketOf(context)}`
    : `${socketOf(context)}, by the folder in host= and the port`

/** For a code that is not in the table. */
export const UNKNOWN: Omit<Meaning, "codes" | "of"> = {
  code: "database-error",
  message: "the database refused",
  hint: "look the code up in the database's manual; its own log says more",
}

/** The first that fits counts. */
export const MEANINGS: readonly Meaning[] = [
  {
    codes:
      /^(28P01|28000|ER_ACCESS_DENIED_ERROR|ER_ACCESS_DENIED_NO_PASSWORD_ERROR|SASL_SIGNATURE_MISMATCH)$/,
    code: "login-refused",
    message: "the server refused the user or the password",
    hint: ({ url }) =>
      `check user${url?.user ? ` ${url.user}` : ""} and password of the URL, and that the server lets this user in from here`,
  },
  {
    // What a server says of the certificate that it was shown, or misses.
    codes: /^ERR_SSL_.+_ALERT_(UNKNOWN_CA|(BAD|UNSUPPORTED)_CERTIFICATE|CERTIFICATE_[A-Z]+)$/,
    code: "login-refused",
    message: "the server refused our client certificate, or requires one",
    hint: ({ url }) =>
      `check that ${url?.dialect === "mysql" ? "ssl_cert and ssl_key" : "sslcert and sslkey"} of the URL name a certificate that has not expired and is from an authority that the server trusts`,
  },
  {
    codes: /^(AUTH_SWITCH_PLUGIN_ERROR|AUTH_TYPE_NOT_IMPLEMENTED|ER_NOT_SUPPORTED_AUTH_MODE)$/,
    code: "login-method",
    message: "the server asks for a login method that the driver does not support",
    hint: "MariaDB's ed25519 accounts are not supported: give ecrelay an account that uses mysql_native_password or caching_sha2_password (PostgreSQL: scram-sha-256)",
  },
  {
    // MySQL's and MariaDB's; 4151 is MariaDB's number, which the driver knows by MySQL's name.
    codes:
      /^ER_(ACCOUNT_HAS_BEEN_LOCKED|BULK_PARSER_INCOMPLETE_ESCAPE_SEQUENCE|MUST_CHANGE_PASSWORD(_LOGIN)?)$/,
    code: "login-refused",
    message: "the account is locked, or its password has expired",
    hint: ({ url }) =>
      `run ALTER USER '${url?.user ?? "ecrelay"}'@'%' ACCOUNT UNLOCK; or give it a new password, and the URL as well`,
  },
  {
    // PgBouncer has one code for whatever keeps a client out, passing or not; 1.18 even for a wrong password.
    codes: /^08P01$/,
    code: "pooler-refused",
    message: "the connection pooler did not let us in",
    quotes: true,
    hint: "check user, password and database of the URL against PgBouncer's configuration; its log says more",
  },
  {
    // ER_DISK_FULL_NOWAIT is MySQL 8's.
    codes: /^(SQLITE_FULL|53100|ER_DISK_FULL(_NOWAIT)?|ER_RECORD_FILE_FULL)$/,
    code: "no-space",
    message: "no space is left where the database is",
    hint: "free some space there; nothing was changed",
  },
  {
    codes: /^(3D000|ER_BAD_DB_ERROR)$/,
    code: "database-missing",
    message: "there is no such database",
    hint: "check the name at the end of the URL; `airflow db check` shows what Airflow uses",
  },
  {
    codes: /^(42P01|ER_NO_SUCH_TABLE)$/,
    code: "table-missing",
    message: "there is no connection table",
    hint: "run: airflow db migrate",
  },
  {
    codes: /^(42501|ER_(DB|TABLE|COLUMN)ACCESS_DENIED_ERROR|ER_SPECIFIC_ACCESS_DENIED_ERROR)$/,
    code: "permission-denied",
    message: "the user may not do this in the database",
    hint: grantHint,
  },
  {
    codes: /^(25006|ER_OPTION_PREVENTS_STATEMENT|ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION)$/,
    code: "read-only",
    message: "the server is read-only, perhaps a replica",
    hint: "point the URL at the primary server",
  },
  {
    codes: /^(23505|ER_DUP_ENTRY|SQLITE_CONSTRAINT_UNIQUE)$/,
    code: "created-meanwhile",
    message: "somebody else created the connection at the same moment; nothing was written",
    hint: "try again: the next attempt finds it",
  },
  {
    codes: /^(55P03|40001|40P01|ER_LOCK_DEADLOCK|ER_LOCK_WAIT_TIMEOUT|ER_CHECKREAD)$/,
    code: "locked",
    message: "others kept the table locked for too long; nothing was written",
    hint: "try again; if it persists, look for a long transaction in the database",
  },
  {
    // ER_1969 is MariaDB's, which the driver has no name for.
    codes: /^(57014|ER_1969|ER_QUERY_TIMEOUT|ER_QUERY_INTERRUPTED)$/,
    code: "locked",
    message: "the server cancelled a statement; nothing was written",
    hint: "try again; if it persists, look for a long transaction in the database, or allow ecrelay's user more time (PostgreSQL: statement_timeout; MariaDB: max_statement_time; MySQL: max_execution_time)",
  },
  {
    codes: /^SQLITE_(BUSY|LOCKED)$/,
    code: "locked",
    message: "the file stayed locked by another program; nothing was written",
    hint: "try again; if it persists, look for a program that keeps a transaction open on it",
  },
  {
    codes: /^(EACCES|EPERM)$/,
    of: atSocket,
    code: "permission-denied",
    message: "this user may not open the server's socket",
    hint: (context) =>
      `run ecrelay as a user who may open ${socketOf(context)} and the folders above it, or name the server's host in the URL`,
  },
  {
    codes: /^(SQLITE_(READONLY|CANTOPEN)|EACCES|EPERM|EROFS)$/,
    code: "permission-denied",
    message: "the file or its folder cannot be opened for writing",
    hint: "run ecrelay as Airflow's own user, or let its user write both (SQLite keeps a journal beside the file)",
  },
  {
    codes: /^SQLITE_(NOTADB|CORRUPT)$/,
    code: "not-a-database",
    message: "the file is not a valid SQLite database",
    hint: "check the path; for a damaged database, restore a copy",
  },
  {
    // SQLite's own code for whatever a disk, a share or a quota answers.
    codes: /^(SQLITE_IOERR|EIO)$/,
    code: "file-system",
    message: "the file system failed to read or write",
    hint: "check the state of that file system, its quota and `ulimit -f`; the system's own log says more",
  },
  {
    codes: /^(ENOENT|ENOTDIR)$/,
    of: atSocket,
    code: "unreachable",
    message: "the server's socket is not there",
    hint: (context) =>
      `check that the server runs on this machine and that its socket is where the URL says (${namesOfSockets(context)}), or name the server's host`,
  },
  {
    codes: /^ECONNREFUSED$/,
    of: atSocket,
    code: "unreachable",
    message: "nothing listens on the server's socket",
    hint: (context) =>
      `start the server that listens on ${socketOf(context)}, or name the server's host in the URL`,
  },
  {
    codes: /^(53300|ER_CON_COUNT_ERROR|ER_TOO_MANY_USER_CONNECTIONS|ER_USER_LIMIT_REACHED)$/,
    code: "unreachable",
    message: "the server takes no more connections at the moment",
    hint: "this is retried; if it persists, see who holds them, or raise max_connections in the server, or the user's own limit",
  },
  {
    codes: /^(57P0[1-5]|ER_SERVER_SHUTDOWN|ER_SERVER_OFFLINE_MODE)$/,
    code: "unreachable",
    message: "the server is starting or shutting down",
    hint: "this is retried; if it persists, the server's own log says more",
  },
  {
    codes:
      /^ERR_SSL_(SSLV3_ALERT_BAD_RECORD_MAC|DECRYPTION_FAILED_OR_BAD_RECORD_MAC|TLSV1_ALERT_DECODE_ERROR)$/,
    code: "unreachable",
    message: "the encrypted connection was cut or corrupted on its way",
    hint: "this is retried; if it persists, look at what is in between, such as a proxy or a firewall",
  },
  {
    codes: /^(ENOTFOUND|EAI_AGAIN)$/,
    code: "unreachable",
    message: "the server's name cannot be resolved",
    hint: "check the host in the URL, and this machine's name resolution",
  },
  {
    codes:
      /^(E(CONN[A-Z]+|TIMEDOUT|PIPE|HOST[A-Z]+|NET[A-Z]+)|CONNECT_TIMEOUT|CONNECTION_[A-Z]+|PROTOCOL_CONNECTION_LOST|08...)$/,
    code: "unreachable",
    message: "the server does not answer",
    hint: "check host and port in the URL, that the server runs, and that it listens for this machine",
  },
]

function grantHint({ url, table = "connection" }: FailureContext): string {
  const user = url?.user ?? "ecrelay"
  if (url?.dialect === "mysql") return `GRANT SELECT, INSERT, UPDATE ON ${table} TO '${user}'@'%';`
  const sequence = table.replace(/connection$/, "connection_id_seq")
  return `GRANT SELECT, INSERT, UPDATE ON ${table} TO "${user}"; GRANT USAGE ON SEQUENCE ${sequence} TO "${user}";`
}
