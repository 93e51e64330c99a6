// What went wrong with Airflow's database, said once for all drivers: their codes made a DeliveryError with a way out.
// Decided on codes alone. A driver's own error never leaves here: it may carry statements, values and passwords.
import { DeliveryError, isTransient } from "../../src/errors.ts"
import type { DatabaseUrl } from "./database-url.ts"
import { AirflowError } from "./error.ts"
import { type TlsPolicy, tlsRefusal } from "./tls.ts"

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

// What another attempt in a moment may find different, although no driver says so.
const PASSING = new Set(["changed-meanwhile", "created-meanwhile", "no-space"])

/** A DeliveryError of whatever the database or its configuration failed with; anything else is a bug and stays as it is. */
export function asFailure(error: unknown, context: FailureContext): unknown {
  if (error instanceof DeliveryError) return error
  if (error instanceof AirflowError) return failureOf(error, context)
  const code = codeOf(error)
  if (code === undefined) return error
  const { sink, target, url, policy } = context
  const refusal = url && policy && tlsRefusal(error, url, policy)
  const meaning = refusal ?? MEANINGS.find(({ codes }) => codes.test(code)) ?? UNKNOWN
  const hint = typeof meaning.hint === "string" ? meaning.hint : meaning.hint(context)
  // Where the place is called by its reference, this is the only text that tells which server it is.
  const where = url && !target.includes(url.name) ? ` (${url.name})` : ""
  const said = "quotes" in meaning && meaning.quotes ? `: ${firstLine(error)}` : ""
  return new DeliveryError(`${target}: ${meaning.message}${said}${where} [${code}]`, {
    sink,
    target,
    code: meaning.code,
    hint,
    retryable: PASSING.has(meaning.code) || isTransient({ code }) || isTransient(error),
    cause: harmless(error, code),
  })
}

/** The DeliveryError of one target, or of the place. */
export function failureOf(error: AirflowError, { sink, target }: FailureContext): DeliveryError {
  const { code, hint, cause } = error
  const retryable = PASSING.has(code) || isTransient(cause)
  // A place that has no name of its own yet is the message's own subject.
  const message = error.message.startsWith(target) ? error.message : `${target}: ${error.message}`
  return new DeliveryError(message, { sink, target, code, hint, retryable, cause })
}

/** SQLite's extended codes and node:sqlite's numbers as the plain names, the others' codes as they are. */
function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null) return undefined
  const { code, errcode } = error as { code?: unknown; errcode?: unknown }
  if (code === "ERR_SQLITE_ERROR" && typeof errcode === "number")
    return SQLITE_NAMES[errcode] ?? SQLITE_NAMES[errcode & 0xff] ?? `SQLITE_${errcode & 0xff}`
  if (typeof code !== "string") return undefined
  return /^SQLITE_(BUSY|LOCKED|READONLY|CANTOPEN|CORRUPT|IOERR|FULL)/.exec(code)?.[0] ?? code
}

// sqlite3.h: result codes.
const SQLITE_NAMES: Readonly<Record<number, string>> = {
  5: "SQLITE_BUSY",
  6: "SQLITE_LOCKED",
  8: "SQLITE_READONLY",
  10: "SQLITE_IOERR",
  11: "SQLITE_CORRUPT",
  13: "SQLITE_FULL",
  14: "SQLITE_CANTOPEN",
  19: "SQLITE_CONSTRAINT",
  26: "SQLITE_NOTADB",
  2067: "SQLITE_CONSTRAINT_UNIQUE",
}

// These tell of connections and permissions, never of values; any other message may quote what we sent.
const HARMLESS =
  /^(E[A-Z]+|CONNECT.*|SQLITE_.*|08...|28...|3D000|42501|42P01|53...|57...|ER_(ACCESS|DBACCESS|BAD_DB).*)$/

function harmless(error: unknown, code: string): Error {
  const said = HARMLESS.test(code) ? `: ${firstLine(error)}` : ""
  return Object.assign(new Error(`${code}${said}`), { code })
}

function firstLine(error: unknown): string {
  return ((error as Error).message ?? "").split("\n", 1)[0] ?? ""
}

type Meaning = {
  readonly codes: RegExp
  readonly code: string
  readonly message: string
  /** Whether the server's own words are needed to tell what it is. */
  readonly quotes?: true
  readonly hint: string | ((context: FailureContext) => string)
}

const UNKNOWN: Omit<Meaning, "codes"> = {
  code: "database-error",
  message: "the database refused",
  hint: "look the code up in the database's manual; its own log tells more",
}

const MEANINGS: readonly Meaning[] = [
  {
    codes:
      /^(28P01|28000|ER_ACCESS_DENIED_ERROR|ER_ACCESS_DENIED_NO_PASSWORD_ERROR|SASL_SIGNATURE_MISMATCH)$/,
    code: "login-refused",
    message: "the server refused the user or the password",
    hint: ({ url }) =>
      `check user${url?.user ? ` ${url.user}` : ""} and password of the URL, and that the server lets this user in from here`,
  },
  {
    codes: /^(AUTH_SWITCH_PLUGIN_ERROR|AUTH_TYPE_NOT_IMPLEMENTED|ER_NOT_SUPPORTED_AUTH_MODE)$/,
    code: "login-method",
    message: "the server asks for a login method that the driver does not know",
    hint: "MariaDB's ed25519 accounts are not supported: give ecrelay an account that uses mysql_native_password or caching_sha2_password (PostgreSQL: scram-sha-256)",
  },
  {
    // PgBouncer has one code for whatever keeps a client out, passing or not; 1.18 even for a wrong password.
    codes: /^08P01$/,
    code: "pooler-refused",
    message: "the connection pooler let us not in",
    quotes: true,
    hint: "check user, password and database of the URL against PgBouncer's configuration; its log tells more",
  },
  {
    // ER_DISK_FULL_NOWAIT is MySQL 8's.
    codes: /^(SQLITE_FULL|53100|ER_DISK_FULL(_NOWAIT)?|ER_RECORD_FILE_FULL)$/,
    code: "no-space",
    message: "no space is left where the database lies",
    hint: "free some there; nothing was changed",
  },
  {
    codes: /^(3D000|ER_BAD_DB_ERROR)$/,
    code: "database-missing",
    message: "there is no such database",
    hint: "check the name at the end of the URL; `airflow db check` tells what Airflow uses",
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
    codes:
      /^(55P03|40001|40P01|57014|ER_LOCK_DEADLOCK|ER_LOCK_WAIT_TIMEOUT|ER_STATEMENT_TIMEOUT|ER_QUERY_TIMEOUT)$/,
    code: "locked",
    message: "others held the table for too long; nothing was written",
    hint: "try again; if it stays so, look for a long transaction in the database",
  },
  {
    codes: /^SQLITE_(BUSY|LOCKED)$/,
    code: "locked",
    message: "the file stayed locked by another program; nothing was written",
    hint: "try again; if it stays so, look for a program that keeps a transaction open on it",
  },
  {
    codes: /^(SQLITE_(READONLY|CANTOPEN)|EACCES|EPERM|EROFS)$/,
    code: "permission-denied",
    message: "the file, its folder or the server's socket cannot be opened for writing",
    hint: "run ecrelay as Airflow's own user, or let its user write both (SQLite keeps a journal beside the file)",
  },
  {
    codes: /^SQLITE_(NOTADB|CORRUPT)$/,
    code: "not-a-database",
    message: "the file is not a sound SQLite database",
    hint: "check the path; for a damaged database, restore a copy",
  },
  {
    codes: /^(ENOTFOUND|EAI_AGAIN)$/,
    code: "unreachable",
    message: "the server's name is not known",
    hint: "check the host in the URL, and this machine's name service",
  },
  {
    codes:
      /^(E(CONN[A-Z]+|TIMEDOUT|PIPE|HOST[A-Z]+|NET[A-Z]+|NOENT)|CONNECT_TIMEOUT|CONNECTION_[A-Z]+|PROTOCOL_CONNECTION_LOST|53300|57P0[1-5]|08...|ER_CON_COUNT_ERROR|ER_TOO_MANY_USER_CONNECTIONS|ER_SERVER_SHUTDOWN)$/,
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
