// What went wrong with Airflow's database, said once for all drivers: their codes made a DeliveryError with a way out.
// Decided on codes alone. A driver's own error never leaves here: it may carry statements, values and passwords.
import { DeliveryError, isTransient } from "../../src/errors.ts"
import { AirflowError } from "./error.ts"
import { type FailureContext, MEANINGS, UNKNOWN } from "./meanings.ts"
import { tlsRefusal } from "./tls.ts"

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
  const known = MEANINGS.find(({ codes, of }) => codes.test(code) && (!of || of(context)))
  const meaning = refusal ?? known ?? UNKNOWN
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
  // A place that has no name of its own yet is the message's own subject, or a reference that it tells of.
  const named = error.message.startsWith(target) || error.message.includes(`=${target}: `)
  const message = named ? error.message : `${target}: ${error.message}`
  return new DeliveryError(message, { sink, target, code, hint, retryable, cause })
}

/** SQLite's extended codes and node:sqlite's numbers as the plain names, the others' codes as they are. */
function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null) return undefined
  const { code, errcode, errno, sqlState } = error as Readonly<Record<string, unknown>>
  if (code === "ERR_SQLITE_ERROR" && typeof errcode === "number")
    return SQLITE_NAMES[errcode] ?? SQLITE_NAMES[errcode & 0xff] ?? `SQLITE_${errcode & 0xff}`
  // mysql2 knows the names of MySQL alone, and MariaDB has numbers of its own.
  if (code === undefined && typeof sqlState === "string") return `ER_${errno}`
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
