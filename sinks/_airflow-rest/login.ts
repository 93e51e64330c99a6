// Who we are to Airflow, as a header: basic for v1, a bearer token for v2, which Airflow gives for a login or which is
// ready. Kept for one delivery only; made anew before it ends, and once where it is refused.
import type { SinkDeps } from "../../src/sink.ts"
import { RestError } from "./error.ts"
import { type Api, type AuthMethod, loadFields, type Place } from "./place.ts"
import type { Send } from "./transport.ts"

/** A header's value, and the moment of the monotonic clock from which it should be made anew. */
export type Authorization = { readonly header: string; readonly renewAt: number | undefined }

/** What logging in takes. */
export type LoginDeps = Pick<SinkDeps, "secret" | "clock"> & { readonly send: Send }

/** Logs in, or resolves what was given. Rejects with a RestError. */
export async function logIn({ auth }: Place, api: Api, deps: LoginDeps): Promise<Authorization> {
  const fields = await loadFields(auth, deps)
  if (auth.kind === "token") return bearer(fields.token)
  if (api === "v2") return exchange(auth, fields, deps)
  if (auth.kind === "password") return basic(fields)
  throw new RestError("this is Airflow 2, which supports neither client_id nor assertion", {
    code: "login-method",
    hint: "give username and password, or a token that one of its [api] auth_backends knows",
  })
}

/** The ready token, where there is one: a gateway in front may want it for every call. Rejects with a RestError. */
export async function readyHeader({ auth }: Place, deps: LoginDeps): Promise<string | undefined> {
  return auth.kind === "token" ? bearer((await loadFields(auth, deps)).token).header : undefined
}

// Whatever the runtime does not take as a header, its error quotes.
const HEADER_SAFE = /^[\x21-\x7e]+$/

function bearer(token = "", renewAt?: number): Authorization {
  if (HEADER_SAFE.test(token)) return { header: `Bearer ${token}`, renewAt }
  throw new RestError("token: holds spaces or other characters that no token has", {
    code: "token-invalid",
    hint: "give the token alone, without the word Bearer, quotes or line breaks",
  })
}

function basic({ username, password }: AuthMethod["fields"]): Authorization {
  const pair = Buffer.from(`${username}:${password}`).toString("base64")
  return { header: `Basic ${pair}`, renewAt: undefined }
}

const GRANT_TYPES = {
  password: "password",
  client: "client_credentials",
  assertion: "urn:ietf:params:oauth:grant-type:jwt-bearer",
  token: undefined,
}

async function exchange(
  auth: AuthMethod,
  fields: AuthMethod["fields"],
  deps: LoginDeps,
): Promise<Authorization> {
  const ask = (body: object) => deps.send({ method: "POST", path: "auth/token", body })
  // Airflow's own auth managers refuse a grant_type beside a password; Keycloak's may insist on one.
  const plain = auth.kind === "password" ? await ask(fields) : undefined
  const { status, body } =
    plain && plain.status !== 422 ? plain : await ask({ ...fields, grant_type: GRANT_TYPES[auth.kind] })
  const token = (body as { readonly access_token?: unknown } | undefined)?.access_token
  if (status > 201 || typeof token !== "string") throw loginRefused(status, auth)
  return bearer(token, renewalOf(token, deps))
}

// Early enough for a call that is under way, and not at once where tokens live for seconds.
const MARGIN_MS = 60_000

/** When to renew a JWT: told by its own life, so that clocks which differ do not matter. */
function renewalOf(token: string, { clock }: LoginDeps): number | undefined {
  try {
    const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())
    const lifetimeMs = (claims.exp - (claims.iat ?? clock.now() / 1000)) * 1000
    return lifetimeMs > 0 ? clock.uptime() + lifetimeMs - Math.min(MARGIN_MS, lifetimeMs / 10) : undefined
  } catch {
    return undefined
  }
}

function loginRefused(status: number, { fields }: AuthMethod): RestError {
  const given = Object.keys(fields).join(" and ")
  const refusals: Readonly<Record<number, readonly [string, string]>> = {
    200: NO_TOKEN,
    201: NO_TOKEN,
    404: NO_LOGIN,
    405: NO_LOGIN,
    422: [
      `Airflow does not log in with ${given}`,
      "client_id and assertion are for Keycloak's auth manager; without it, give username and password, or a token",
    ],
  }
  const [message, hint] = refusals[status] ?? [`Airflow refused the login`, `check ${given}`]
  const code = refusals[status] ? "login-method" : "login-refused"
  return new RestError(`${message} (${status})`, { code, hint, status })
}

const NO_TOKEN = [
  "what answers at auth/token gives no token",
  "a web page or another program is there: check that url leads to Airflow itself, or give a ready token",
] as const
const NO_LOGIN = [
  "there is no auth/token here to log in at",
  "this Airflow, or what is in front of it, has its own login: give a ready token",
] as const
