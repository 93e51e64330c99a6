// A connection as text, as `AIRFLOW_CONN_<ID>` holds it: a URI, or JSON where it begins with a brace, read as Airflow
// reads it. What Airflow refuses is refused here too, and what it would misread; no piece of the text reaches an error.
import { AirflowError } from "./error.ts"
import { unquote } from "./unquote.ts"

/** The fields of a connection that say who asks AWS; empty where they are not given. */
export type ConnectionFields = {
  readonly connType: string
  readonly login: string
  readonly password: string
  readonly extra: Extra
}

/** The fields of `extra`. */
export type Extra = Readonly<Record<string, unknown>>

/** Reads a connection's text; `from` names where it stands, for the AirflowError `connection-invalid`. */
export function parseConnectionText(text: string, from: string): ConnectionFields {
  const trimmed = text.trim()
  return trimmed.startsWith("{") ? parseJson(trimmed, from) : parseUri(trimmed, from)
}

/** The fields of `extra` as it is stored, none where it is empty. AirflowError `connection-invalid`. */
export function parseExtra(text: string, from = ""): Extra {
  if (text === "") return {}
  const extra = jsonObject(text)
  if (extra) return extra
  throw invalid(
    `${from && `${from}: `}its extra is not a JSON object`,
    'write it as {"region_name": "…"}, or leave it empty',
  )
}

// What Airflow's Connection takes; another key makes every task fail that uses the connection.
const KEYS = ["conn_type", "login", "password", "extra", "host", "port", "schema", "description", "team_name"]

function parseJson(text: string, from: string): ConnectionFields {
  const fields = jsonObject(text)
  if (!fields) throw invalid(`${from}: is not valid JSON`, "write one JSON object, or an aws:// URI")
  const { uri, ...others } = fields
  // Airflow takes a URI there too, if it stands alone.
  if (typeof uri === "string" && Object.keys(others).length === 0) return parseUri(uri, from)
  const unknown = Object.keys(fields).filter((key) => !KEYS.includes(key))
  if (unknown.length > 0)
    throw invalid(`${from}: Airflow knows no such key${naming(unknown)}`, `there are ${KEYS.join(", ")}`)
  const word = (key: string) => textAt(fields[key], `${from}: ${key}`)
  const { extra } = fields
  return {
    connType: normalizeType(word("conn_type")),
    login: word("login"),
    password: word("password"),
    extra: isObject(extra) ? extra : parseExtra(word("extra"), from),
  }
}

// What does not look like a name may be a piece of a secret.
function naming(keys: readonly string[]): string {
  return keys.every((key) => /^[a-z_]{1,30}$/.test(key)) ? `: ${keys.join(", ")}` : ""
}

function textAt(value: unknown, where: string): string {
  if (typeof value === "string") return value
  if (value === undefined || value === null) return ""
  throw invalid(`${where} is not a string`, "write its value in double quotes")
}

function normalizeType(connType: string): string {
  return connType.replaceAll("-", "_")
}

function jsonObject(text: string): Extra | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Extra {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

const QUOTE_HINT =
  "percent-encode user, password and the values after the ?, a / as %2F, a : as %3A, an @ as %40; or write JSON instead"

function parseUri(text: string, from: string): ConnectionFields {
  const refuse = (problem: string) => invalid(`${from}: ${problem}`, QUOTE_HINT)
  const { scheme, authority, path, query } = splitUri(text, from)
  const at = authority.lastIndexOf("@")
  const [user = "", ...passwords] = authority.slice(0, Math.max(at, 0)).split(":")
  const server = authority.slice(at + 1)
  const port = /^[^:]*(?::(\d{0,5}))?$/.exec(server)
  if (!port || Number(port[1] ?? 0) > 65_535) throw refuse("user and password cannot be told from the host")
  const pairs = [...new URLSearchParams(`?${query}`)]
  // More likely pieces of a secret key: Airflow would ask AWS as somebody else then.
  if (path.includes("@") || pairs.some(([key]) => key.includes("@")))
    throw refuse("an @ comes after the place of user and password")
  return {
    connType: normalizeType(scheme),
    login: unquote(user),
    password: unquote(passwords.join(":")),
    extra: extraOf(Object.fromEntries(pairs), from),
  }
}

// As Python's urlsplit, and Airflow before it: a second :// makes the host one with a protocol.
function splitUri(text: string, from: string) {
  const refuse = (problem: string) => invalid(`${from}: ${problem}`, QUOTE_HINT)
  const uri = text.replace(/[\t\r\n]/g, "")
  const marks = uri.split("://").length - 1
  const scheme = (/^([a-z][a-z0-9+.-]*):/i.exec(uri)?.[1] ?? "").toLowerCase()
  if (marks === 0 && !uri.startsWith("//")) throw refuse("is neither a URI, such as aws://…, nor JSON")
  if (marks > 2) throw refuse("has more than one :// after its beginning")
  // Python's releases differ in which of them they take.
  if (/^[^?#]*[[\]]/.test(uri)) throw refuse("has a square bracket in user, password or host")
  const rest = uri.replaceAll(`${scheme}://`, marks === 2 ? "" : "//")
  if (marks === 2 && /[@:]/.test(rest.split("://", 1)[0] ?? ""))
    throw refuse("has a :// behind user or password")
  const [, authority = "", path = "", query = ""] =
    /^(?:[a-z][a-z0-9+.-]*:)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?/i.exec(rest) ?? []
  return { scheme, authority, path, query }
}

// The whole of extra stands in `__extra__` where Airflow itself wrote the URI and not all of it was text. Of other
// values it takes JSON from 3.3 on, but not in a task: objects and lists have no other meaning, the rest stays text.
function extraOf(query: Readonly<Record<string, string>>, from: string): Extra {
  if (query.__extra__ !== undefined) return parseExtra(query.__extra__, from)
  return Object.fromEntries(Object.entries(query).map(([key, value]) => [key, structured(value)]))
}

function structured(value: string): unknown {
  if (!/^\s*[[{]/.test(value)) return value
  try {
    return JSON.parse(value)
  } catch {
    return value
  }
}

function invalid(message: string, hint: string): AirflowError {
  return new AirflowError(message, { code: "connection-invalid", hint })
}
