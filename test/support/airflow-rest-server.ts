// A stand-in for Airflow's web server as far as ecrelay asks it: the connections of `/api/v1` (2.11.2) and `/api/v2`
// (3.3.2), with every oddity that was measured on the real ones, which test/real-airflow holds it against.
import { randomUUID } from "node:crypto"

/** A connection as it is stored, the password in the clear. */
export type StoredConnection = {
  readonly connection_id: string
  readonly conn_type: string
  readonly description: string | null
  readonly host: string | null
  readonly login: string | null
  readonly schema: string | null
  readonly port: number | null
  readonly password: string | null
  readonly extra: string | null
}

/** Which Airflow it is, and how it is set up. */
export type RestServerOptions = {
  readonly api: "v1" | "v2"
  /** Sub-path of `base_url`. */
  readonly base?: string
  /** Users by name with their passwords; `viewer` may read no connection, `reader` may only read. */
  readonly users?: Readonly<Record<string, string>>
  /** What answers at `/auth/token`: keycloak takes a client and an assertion, `strict` insists on a grant_type. */
  readonly auth?: "simple" | "keycloak" | "keycloak-strict" | "none"
  readonly tokenLifetimeMs?: number
  /** Milliseconds since 1970. */
  readonly now?: () => number
  /** `[api] maximum_page_limit`. */
  readonly pageLimit?: number
  /** Whether there is a bulk endpoint, and whether it knows `update_mask`: not before 3.2. */
  readonly bulk?: "3.3" | "3.0" | "absent"
  /** MySQL's collations take `Ecr` and `ecr` for the same id. */
  readonly ignoresCase?: boolean
}

/** A request as it arrived. `path` is relative to the base path, with its query. */
type Seen = {
  readonly method: string
  readonly path: string
  readonly authorization: string | null
  readonly body: unknown
}

/** What may be answered instead. */
export type Intercept = (seen: Seen) => Response | Promise<Response> | undefined

/** A running stand-in. */
export type RestServer = {
  /** The root with its base path. */
  readonly url: string
  readonly connections: Map<string, StoredConnection>
  readonly seen: readonly Seen[]
  /** How often a connection was written. */
  readonly writes: () => number
  /** Answers with what this gives, where it gives something; undefined ends that. */
  intercept(answer: Intercept | undefined): void
  /** Makes every token that was given worth nothing, as a restart with another secret does. */
  revokeTokens(): void
  /** Ready tokens: this one is the user's. */
  admit(token: string, user: string): void
  put(connection: Partial<StoredConnection> & { readonly connection_id: string }): void
  stop(): Promise<void>
}

/** The credentials of the stand-in's users. */
export const USERS = { admin: "adm:in pä$$", viewer: "viewer-password", reader: "reader-password" }
/** What the stand-in's Keycloak knows. */
const KEYCLOAK = {
  client_id: "ecrelay",
  client_secret: "client-s3cret",
  assertion: "aaa.bbb.ccc-assertion",
}

type State = Required<Omit<RestServerOptions, "now">> & {
  readonly now: () => number
  readonly connections: Map<string, StoredConnection>
  readonly tokens: Map<string, { readonly user: string; readonly expiresAt: number }>
  writes: number
}

/** Starts a stand-in on a free loopback port. */
export function startAirflowRest(options: RestServerOptions): RestServer {
  const state: State = {
    base: "",
    users: USERS,
    auth: "simple",
    tokenLifetimeMs: 86_400_000,
    now: Date.now,
    pageLimit: 100,
    bulk: "3.3",
    ignoresCase: false,
    ...options,
    connections: new Map(),
    tokens: new Map(),
    writes: 0,
  }
  const seen: Seen[] = []
  let intercept: Intercept | undefined
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const { pathname, search } = new URL(request.url)
      const path = `${pathname.startsWith(`${state.base}/`) ? pathname.slice(state.base.length + 1) : pathname}${search}`
      const body = await request.json().catch(() => undefined)
      const one = { method: request.method, path, authorization: request.headers.get("authorization"), body }
      seen.push(one)
      const instead = await intercept?.(one)
      if (instead) return instead
      if (!pathname.startsWith(`${state.base}/`)) return elsewhere(state)
      return state.api === "v1" ? answerV1(one, state) : answerV2(one, state)
    },
  })
  return {
    url: `http://127.0.0.1:${server.port}${state.base}`,
    connections: state.connections,
    seen,
    writes: () => state.writes,
    intercept: (answer) => {
      intercept = answer
    },
    revokeTokens: () => state.tokens.clear(),
    admit: (token, user) => void state.tokens.set(token, { user, expiresAt: Number.POSITIVE_INFINITY }),
    put: (connection) => void state.connections.set(connection.connection_id, { ...EMPTY, ...connection }),
    stop: () => server.stop(true),
  }
}

const EMPTY = {
  conn_type: "docker",
  description: null,
  host: null,
  login: null,
  schema: null,
  port: null,
  password: null,
  extra: null,
}
const ID = /^[\w.-]+$/

/** A web page, as single-page applications and login pages answer with. */
const webPage = (status = 200) =>
  new Response("<!doctype html><html><title>Airflow</title></html>", {
    status,
    headers: { "Content-Type": "text/html; charset=utf-8" },
  })

const elsewhere = ({ api }: State) =>
  api === "v1" ? new Response("Apache Airflow is not at this location", { status: 404 }) : webPage()

const json = (body: unknown, status = 200) => Response.json(body, { status })
const detail = (text: unknown, status: number) => json({ detail: text }, status)

function find(id: string, { connections, ignoresCase }: State): StoredConnection | undefined {
  if (!ignoresCase) return connections.get(id)
  return [...connections.values()].find(
    ({ connection_id }) => connection_id.toLowerCase() === id.toLowerCase(),
  )
}

function write(connection: StoredConnection, state: State): StoredConnection {
  state.writes++
  state.connections.set(connection.connection_id, connection)
  return connection
}

function page(state: State, query: URLSearchParams) {
  const offset = Number(query.get("offset") ?? 0)
  const limit = Math.min(Number(query.get("limit") ?? 50), state.pageLimit)
  const all = [...state.connections.values()]
  return { found: all.slice(offset, offset + limit), total: all.length }
}

/** Sensitive keys of `extra` are masked by both, the whole of it is never. */
function maskedExtra(extra: string | null): string | null {
  if (!extra) return extra
  const entries = Object.entries(JSON.parse(extra)).map(([key, value]) => [
    key,
    /token|password|secret/.test(key) ? "***" : value,
  ])
  return JSON.stringify(Object.fromEntries(entries))
}

// ---- Airflow 2 ----

const problem = (title: string, status: number, text: string | null = null) =>
  Response.json(
    { detail: text, status, title, type: "https://airflow.apache.org/docs/" },
    { status, headers: { "Content-Type": "application/problem+json" } },
  )

function answerV1({ method, path, authorization, body }: Seen, state: State): Response {
  const { pathname, searchParams } = new URL(path, "http://airflow/")
  if (pathname === "/api/v1/version") return json({ git_version: "", version: "2.11.2" })
  const [, id] = /^\/api\/v1\/connections(?:\/(.+))?$/.exec(pathname) ?? []
  if (!pathname.startsWith("/api/v1/connections")) return webPage(404)
  // connexion looks at the body before anybody asks who it is.
  const fault = method === "GET" ? undefined : faultV1(body as Record<string, unknown>, method)
  if (fault) return problem("Bad Request", 400, fault)
  if (!mayV1(method, authorization, state)) return problem("Forbidden", 403)
  if (method === "GET") return id ? getV1(decodeURIComponent(id), state) : listV1(searchParams, state)
  if (method === "POST") return postV1(body as Partial<StoredConnection>, state)
  return patchV1(decodeURIComponent(id ?? ""), body as Partial<StoredConnection>, searchParams, state)
}

// Refused, wrong password and no header at all look alike.
function mayV1(method: string, authorization: string | null, { users, tokens }: State): boolean {
  const [scheme, value = ""] = authorization?.split(" ") ?? []
  const [, name, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(value, "base64").toString()) ?? []
  const user =
    scheme === "Bearer" ? tokens.get(value)?.user : users[name ?? ""] === password ? name : undefined
  return mayDo(user, method)
}

function mayDo(user: string | undefined, method: string): boolean {
  return user !== undefined && user !== "viewer" && (user !== "reader" || method === "GET")
}

function faultV1(body: Record<string, unknown> | undefined, method: string): string | undefined {
  const known = Object.keys(EMPTY)
  const unknown = Object.keys(body ?? {}).find((key) => key !== "connection_id" && !known.includes(key))
  if (unknown) return `{'${unknown}': ['Unknown field.']}`
  for (const key of ["host", "login", "password"])
    if (body?.[key] != null && typeof body[key] !== "string")
      return `${JSON.stringify(body[key])} is not of type 'string' - '${key}'`
  if (method === "POST" && !(body?.connection_id && body.conn_type))
    return "{'connection_id': ['Missing data for required field.']}"
  return undefined
}

function showV1({ password: _, extra, ...shown }: StoredConnection, listed = false) {
  return listed ? shown : { ...shown, extra: maskedExtra(extra) }
}

function getV1(id: string, state: State): Response {
  const found = find(id, state)
  return found ? json(showV1(found)) : problem("Connection not found", 404, `\`${id}\` was not found`)
}

function listV1(query: URLSearchParams, state: State): Response {
  const { found, total } = page(state, query)
  return json({ connections: found.map((one) => showV1(one, true)), total_entries: total })
}

function postV1(body: Partial<StoredConnection>, state: State): Response {
  const id = body.connection_id ?? ""
  if (!ID.test(id)) return problem("Bad Request", 400, `The key '${id}' has to be made of …`)
  if (find(id, state)) return problem("Conflict", 409, `Connection already exist. ID: ${id}`)
  return json(showV1(write({ ...EMPTY, ...body, connection_id: id }, state)))
}

function patchV1(
  id: string,
  body: Partial<StoredConnection>,
  query: URLSearchParams,
  state: State,
): Response {
  const found = find(id, state)
  if (!found) return problem("Connection not found", 404, `\`${id}\` was not found`)
  if (body.connection_id && body.connection_id !== found.connection_id)
    return problem("Bad Request", 400, "The connection_id cannot be updated.")
  // Of repeated parameters the last one counts.
  const mask = query.getAll("update_mask").at(-1)?.split(",")
  const bad = mask?.find((field) => !(field in body) || field === "connection_id")
  if (bad) return problem("Bad Request", 400, `'${bad}' is unknown or cannot be updated.`)
  const { connection_id: _, ...fields } = body
  const changed = Object.entries(fields).filter(([field]) => mask?.includes(field) ?? true)
  return json(showV1(write({ ...found, ...Object.fromEntries(changed) }, state)))
}

// ---- Airflow 3 ----

function answerV2(seen: Seen, state: State): Response {
  const { method, path, authorization, body } = seen
  const { pathname, searchParams } = new URL(path, "http://airflow/")
  if (pathname === "/auth/token" && method === "POST") return giveToken(body, state)
  if (pathname === "/api/v2/version") return json({ version: "3.3.2", git_version: ".release:aa19d2d" })
  if (pathname.startsWith("/api/v1/")) return json({ error: "/api/v1 has been removed in Airflow 3" }, 404)
  if (!pathname.startsWith("/api/")) return webPage()
  const [, id] = /^\/api\/v2\/connections(?:\/(.+))?$/.exec(pathname) ?? []
  if (!pathname.startsWith("/api/v2/connections")) return json({ error: "API route not found" }, 404)
  const refusal = refusalV2(method, authorization, state)
  if (refusal) return refusal
  if (method === "GET") return id ? getV2(decodeURIComponent(id), state) : listV2(searchParams, state)
  if (method === "POST") return postV2(body, state)
  if (id) return patchV2(decodeURIComponent(id), body, searchParams, state)
  return state.bulk === "absent" ? detail("Method Not Allowed", 405) : bulkV2(body, state)
}

const GRANTS: Readonly<Record<string, readonly string[]>> = {
  password: ["username", "password"],
  client_credentials: ["client_id", "client_secret"],
  "urn:ietf:params:oauth:grant-type:jwt-bearer": ["assertion"],
}

function giveToken(body: unknown, state: State): Response {
  const form = (body ?? {}) as Record<string, string>
  const { grant_type, ...fields } = form
  const keycloak = state.auth.startsWith("keycloak")
  if (state.auth === "none") return webPage(404)
  const grant = grant_type ?? (state.auth === "keycloak-strict" ? "" : "password")
  const wanted = keycloak ? (GRANTS[grant] ?? []) : ["username", "password"]
  // Simple's text quotes the input, Keycloak's list holds it.
  if (wanted.length === 0 || Object.keys(fields).sort().join() !== [...wanted].sort().join())
    return keycloak
      ? detail(
          [{ type: "union_tag_not_found", loc: ["body"], msg: "Unable to extract tag", input: form }],
          422,
        )
      : detail(`validation errors for LoginBody\n input_value=${JSON.stringify(form)}`, 422)
  if (!keycloak && grant_type)
    return detail(`grant_type\n Extra inputs are not permitted, input_value='${grant_type}'`, 422)
  const known = { ...KEYCLOAK, username: fields.username, password: state.users[fields.username ?? ""] }
  if (wanted.some((key) => fields[key] === undefined || fields[key] !== known[key as keyof typeof known]))
    return detail("Invalid credentials", keycloak ? 403 : 401)
  const user = fields.username ?? "admin"
  const iat = Math.floor(state.now() / 1000)
  const claims = { sub: user, iat, nbf: iat, exp: iat + state.tokenLifetimeMs / 1000, jti: randomUUID() }
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
  const token = `${part({ alg: "HS512", typ: "JWT" })}.${part(claims)}.${Buffer.from(randomUUID()).toString("base64url")}`
  state.tokens.set(token, { user, expiresAt: state.now() + state.tokenLifetimeMs })
  return json({ access_token: token }, 201)
}

function refusalV2(method: string, authorization: string | null, state: State): Response | undefined {
  if (!authorization?.startsWith("Bearer ")) return detail("Not authenticated", 401)
  const held = state.tokens.get(authorization.slice("Bearer ".length))
  if (!held) return detail("Invalid JWT token", 403)
  if (state.now() >= held.expiresAt) return detail("Token Expired", 401)
  return mayDo(held.user, method) ? undefined : detail("Forbidden", 403)
}

function showV2(connection: StoredConnection) {
  const { password, extra } = connection
  return { ...connection, password: password && "***", extra: maskedExtra(extra), team_name: null }
}

const missingV2 = (id: string) => detail(`The Connection with connection_id: \`${id}\` was not found`, 404)

function getV2(id: string, state: State): Response {
  const found = find(id, state)
  return found ? json(showV2(found)) : missingV2(id)
}

function listV2(query: URLSearchParams, state: State): Response {
  const { found, total } = page(state, query)
  return json({ connections: found.map(showV2), total_entries: total })
}

type Complaint = { readonly type: string; readonly loc: readonly unknown[]; readonly input: unknown }

/** What pydantic says of a body; every complaint holds the input, for a missing field all of it. */
function complaints(body: unknown, loc: readonly unknown[] = ["body"]): readonly Complaint[] {
  const given = (body ?? {}) as Record<string, unknown>
  const found: Complaint[] = []
  for (const key of ["connection_id", "conn_type"])
    if (typeof given[key] !== "string") found.push({ type: "missing", loc: [...loc, key], input: given })
  if (typeof given.connection_id === "string" && !ID.test(given.connection_id))
    found.push({
      type: "string_pattern_mismatch",
      loc: [...loc, "connection_id"],
      input: given.connection_id,
    })
  for (const [key, value] of Object.entries(given))
    if (key !== "connection_id" && key !== "team_name" && !(key in EMPTY))
      found.push({ type: "extra_forbidden", loc: [...loc, key], input: value })
    else if (
      key === "port"
        ? value !== null && typeof value !== "number"
        : value !== null && typeof value !== "string"
    )
      found.push({ type: key === "port" ? "int_type" : "string_type", loc: [...loc, key], input: value })
  return found
}

function postV2(body: unknown, state: State): Response {
  const faults = complaints(body)
  if (faults.length > 0) return detail(faults, 422)
  const given = body as Partial<StoredConnection> & { readonly connection_id: string }
  if (find(given.connection_id, state))
    return detail({ reason: "Unique constraint violation", statement: "hidden", orig_error: "hidden" }, 409)
  return json(showV2(write({ ...EMPTY, ...given }, state)), 201)
}

function patchV2(id: string, body: unknown, query: URLSearchParams, state: State): Response {
  const faults = complaints(body)
  if (faults.length > 0) return detail(faults, 422)
  const given = body as Partial<StoredConnection>
  if (given.connection_id !== id)
    return detail("The connection_id in the request body does not match the URL parameter", 400)
  const found = find(id, state)
  if (!found) return missingV2(id)
  // A list in one parameter is the name of a field that there is not; unknown names are passed over.
  const mask = query.getAll("update_mask")
  return json(showV2(write(merged(found, given, mask.length > 0 ? mask : undefined), state)))
}

function merged(
  found: StoredConnection,
  given: Partial<StoredConnection>,
  mask?: readonly string[],
): StoredConnection {
  const { connection_id: _, ...fields } = given
  const changes = Object.entries(fields).filter(([field]) => mask?.includes(field) ?? true)
  const changed = { ...found, ...Object.fromEntries(changes) }
  // What is masked keeps its value.
  return changed.password === "***" ? { ...changed, password: found.password } : changed
}

type BulkAction = {
  readonly action: "create" | "update"
  readonly entities: readonly StoredConnection[]
  readonly action_on_existence?: string
  readonly action_on_non_existence?: string
  readonly update_mask?: unknown
}

// Measured: `update_mask` is refused before 3.2 and without effect in 3.2 and 3.3.
function bulkV2(body: unknown, state: State): Response {
  const { actions } = body as { readonly actions: readonly BulkAction[] }
  const faults = actions.flatMap(({ action, entities, update_mask }, i) => {
    const loc = ["body", "actions", i, action]
    const mask =
      update_mask && state.bulk === "3.0"
        ? [{ type: "extra_forbidden", loc: [...loc, "update_mask"], input: update_mask }]
        : []
    return [...mask, ...entities.flatMap((entity, j) => complaints(entity, [...loc, "entities", j]))]
  })
  if (faults.length > 0) return detail(faults, 422)
  const results = { create: null as unknown, update: null as unknown, delete: null }
  for (const action of actions)
    results[action.action] =
      action.action === "create" ? bulkCreate(action, state) : bulkUpdate(action, state)
  return json(results)
}

function bulkCreate({ entities, action_on_existence = "fail" }: BulkAction, state: State) {
  const existing = entities.filter(({ connection_id }) => find(connection_id, state))
  if (action_on_existence === "fail" && existing.length > 0)
    return { success: [], errors: [{ error: "The connections … already exist.", status_code: 409 }] }
  const missing = entities.filter((one) => !existing.includes(one))
  for (const one of missing) write({ ...EMPTY, ...one }, state)
  return { success: missing.map(({ connection_id }) => connection_id), errors: [] }
}

function bulkUpdate({ entities, action_on_non_existence = "fail" }: BulkAction, state: State) {
  const existing = entities.filter(({ connection_id }) => find(connection_id, state))
  if (action_on_non_existence === "fail" && existing.length < entities.length)
    return { success: [], errors: [{ error: "The connections … were not found.", status_code: 404 }] }
  for (const one of existing) write(merged(find(one.connection_id, state) as StoredConnection, one), state)
  return { success: existing.map(({ connection_id }) => connection_id), errors: [] }
}
