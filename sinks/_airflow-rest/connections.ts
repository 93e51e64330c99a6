// Airflow's connections over REST: looked up in as few calls as can be, created and changed one by one. A change names
// its fields in the form that each API understands, and is only believed when the answer shows it.
import type { Credential } from "../../src/credential.ts"
import { differenceOf, type Row } from "../_airflow/rows.ts"
import { inParallel } from "../_parallel.ts"
import type { Client } from "./client.ts"
import { RestError } from "./error.ts"
import type { Api } from "./place.ts"
import type { Answer } from "./transport.ts"

/** A connection as Airflow shows it, in the words of its table; of the password at most whether there is one. */
export type Found = Row & { readonly passwordless: boolean; readonly extra: string | undefined }

/** How many calls are under way at most: the web server has few workers, and a login by password costs it much. */
export const PARALLEL = 8

// Up to this many are asked for one by one, since a list may have many pages.
const FEW = 3
const PAGE = 100

/** What the server shows for an id: its connection, or why it shows none that there may be. */
export type Seen = Found | RestError

/** What there is of these ids. Rejects with a RestError. */
export async function lookUp(client: Client, connIds: readonly string[]): Promise<ReadonlyMap<string, Seen>> {
  if (connIds.length <= FEW) return lookUpEach(client, connIds)
  const first = await listPage(client, 0)
  const missing = connIds.filter((connId) => !first.found.has(connId))
  if (first.total <= first.found.size || missing.length === 0) return first.found
  // A server may give smaller pages than it was asked for.
  const pages = Math.ceil(first.total / first.found.size) - 1
  if (missing.length <= pages) return new Map([...first.found, ...(await lookUpEach(client, missing))])
  const offsets = Array.from({ length: pages }, (_, i) => (i + 1) * first.found.size)
  const rest = await inParallel(PARALLEL, offsets, (offset) => listPage(client, offset))
  return new Map([first, ...rest].flatMap(({ found }) => [...found]))
}

async function lookUpEach(client: Client, connIds: readonly string[]): Promise<ReadonlyMap<string, Seen>> {
  const seen = await inParallel(PARALLEL, connIds, (connId) => getConnection(client, connId).catch(asSeen))
  return new Map(
    connIds.flatMap((connId, i) => {
      const one = seen[i]
      return one ? [[connId, one] as const] : []
    }),
  )
}

function asSeen(error: unknown): RestError {
  if (error instanceof RestError) return error
  throw error
}

async function listPage(client: Client, offset: number) {
  const answer = await client.call({ method: "GET", path: `connections?limit=${PAGE}&offset=${offset}` })
  const { connections, total_entries: total } = (answer.body ?? {}) as Record<string, unknown>
  if (answer.status !== 200 || !Array.isArray(connections) || typeof total !== "number")
    throw notUnderstood(answer, "the list of connections")
  const found = connections.map(parseConnection).filter((one) => one !== undefined)
  return { total, found: new Map(found.map((one) => [one.connId, one])) }
}

/** The connection that the server takes an id for, which on MySQL may be one in other case; undefined if none. */
export async function getConnection(client: Client, connId: string): Promise<Found | undefined> {
  const answer = await client.call({ method: "GET", path: pathOf(connId) })
  if (isMissing(answer)) return undefined
  const found = answer.status === 200 ? parseConnection(answer.body) : undefined
  if (!found) throw notUnderstood(answer, `connection ${connId}`)
  return found
}

/** Creates a connection. False where there is one already. Rejects with a RestError. */
export async function createConnection(
  client: Client,
  connId: string,
  credential: Credential,
): Promise<boolean> {
  const body = entityOf(connId, credential)
  const answer = await client.call({ method: "POST", path: "connections", body })
  if (answer.status === 409) return false
  requireWritten(answer, credential)
  return true
}

const FIELDS = ["conn_type", "host", "login", "password", "port"] as const

/** Changes a connection's type, host, login, password and port. False where there is none. Rejects with a RestError. */
export async function changeConnection(
  client: Client,
  connId: string,
  credential: Credential,
): Promise<boolean> {
  const path = `${pathOf(connId)}${client.masks ? `?${maskOf(client.api)}` : ""}`
  const answer = await client.call({ method: "PATCH", path, body: entityOf(connId, credential) })
  if (isMissing(answer)) return false
  requireWritten(answer, credential)
  return true
}

// v1 applies only the last of repeated parameters, v2 takes a list in one for an unknown field, and both answer 200.
function maskOf(api: Api): string {
  return api === "v1"
    ? `update_mask=${FIELDS.join(",")}`
    : FIELDS.map((field) => `update_mask=${field}`).join("&")
}

/** What is written of a credential: nothing that stands beside it in a connection. */
export function entityOf(connId: string, { registry, userName, password }: Credential) {
  return {
    connection_id: connId,
    conn_type: "docker",
    host: registry.host,
    login: userName,
    password: password.reveal(),
    port: null,
  }
}

function pathOf(connId: string): string {
  return `connections/${encodeURIComponent(connId)}`
}

// A 404 that is not JSON is a gateway's page and not Airflow's answer.
function isMissing({ status, body }: Answer): boolean {
  return status === 404 && typeof body === "object"
}

function parseConnection(body: unknown): Found | undefined {
  const { connection_id, conn_type, host, login, port, password, extra } = (body ?? {}) as Record<
    string,
    unknown
  >
  if (typeof connection_id !== "string") return undefined
  const text = (value: unknown) => (typeof value === "string" ? value : "")
  return {
    id: 0,
    connId: connection_id,
    connType: text(conn_type),
    host: text(host),
    login: text(login),
    port: typeof port === "number" ? port : undefined,
    encrypted: true,
    passwordHead: undefined,
    passwordless: password === null,
    // Lists of v1 leave it out.
    extra: typeof extra === "string" ? extra : undefined,
  }
}

function requireWritten(answer: Answer, { registry }: Credential): void {
  const { status } = answer
  const written = status === 200 || status === 201 ? parseConnection(answer.body) : undefined
  if (!written) throw notUnderstood(answer, "the login")
  const difference = written.passwordless ? "it has no password" : differenceOf(written, registry)
  if (difference)
    throw new RestError(`Airflow answered ${status}, but the login is not there: ${difference}`, {
      code: "not-applied",
      hint: "check whether something else writes this connection at the same time, or changes requests on the way",
      status,
    })
}

/** What is wrong with an answer that is none of those expected. */
function notUnderstood(answer: Answer, what: string): RestError {
  const { status, body } = answer
  if (status === 400 || status === 422)
    return new RestError(`Airflow did not accept ${what} (${status}${complaintsOf(body)})`, {
      code: "rejected",
      hint: "the log of Airflow's web server says why; its answer is not shown because it may repeat the password",
      status,
    })
  if (body === undefined || status === 404)
    return new RestError(`something other than Airflow answered (${status})`, {
      code: "not-airflow",
      hint: "check that url leads to Airflow itself, and that no gateway in front blocks these calls: GET, POST and PATCH under api/",
      status,
    })
  return new RestError(`Airflow answered ${status}`, {
    code: "unexpected-answer",
    hint: "the log of Airflow's web server says why",
    status,
  })
}

// v2 says which field it is and of what kind the fault; its own texts quote what was sent.
function complaintsOf(body: unknown): string {
  const { detail } = (body ?? {}) as { readonly detail?: unknown }
  if (!Array.isArray(detail)) return ""
  const complaints = detail.flatMap(({ loc, type }: { loc?: unknown; type?: unknown }) => {
    const field = [loc]
      .flat()
      .findLast((name) => FIELDS.some((one) => one === name) || name === "connection_id")
    return field && typeof type === "string" && /^[a-z_]{1,40}$/.test(type) ? [`: ${field} ${type}`] : []
  })
  return [...new Set(complaints)].join("")
}
