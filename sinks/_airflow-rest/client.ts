// A client of one Airflow for one delivery: finds out which API the server has, logs in when the first call needs it,
// and renews the login before it ends and once where it is refused.
import type { SinkDeps } from "../../src/sink.ts"
import { RestError } from "./error.ts"
import { type Authorization, type LoginDeps, logIn, readyHeader } from "./login.ts"
import type { Api, Place } from "./place.ts"
import { type Answer, type Call, createSend, type Send } from "./transport.ts"

/** What speaks to Airflow as us. */
export type Client = {
  readonly api: Api
  /** What Airflow calls its own version. */
  readonly version: string
  /** Whether `update_mask`, which is a list in the query, arrives as it was sent. */
  readonly masks: boolean
  /** How many connections one bulk call may carry. */
  readonly bulk: number
  /** Sends a call to the API: `path` is relative to `api/v2/`. An answer of 401 or 403 is thrown as a RestError. */
  call(call: Omit<Call, "authorization">): Promise<Answer>
}

// 100 logins are about 300 kB: gateways such as nginx take no more than 1 MB unless they are told to.
const BULK = 100

/** Finds the API and logs in. Rejects with a RestError. */
export async function openClient(place: Place, deps: SinkDeps, signal: AbortSignal): Promise<Client> {
  const send = createSend(place.root, deps, signal)
  const about: LoginDeps = { secret: deps.secret, clock: deps.clock, send }
  const { api, version } = await detectApi(place, about)
  const login = keepLogin(() => logIn(place, api, about), deps)
  // Before any call needs it, so that a refused login is said once and not for every connection.
  await login.current()
  return {
    api,
    version,
    masks: true,
    bulk: BULK,
    call: (call) => callAs(login, send, place, api, call),
  }
}

async function detectApi(
  place: Place,
  deps: LoginDeps,
): Promise<{ readonly api: Api; readonly version: string }> {
  const authorization = await readyHeader(place, deps)
  const found: string[] = []
  for (const api of place.apis) {
    const path = `api/${api}/version`
    const { status, body } = await deps.send({ method: "GET", path, authorization })
    const { version } = (body ?? {}) as { readonly version?: unknown }
    if (status === 200 && typeof version === "string") return { api, version: version.slice(0, 30) }
    found.push(`${path}: ${status}${body === undefined ? ", no JSON" : ""}`)
    if (status === 401 || status === 403)
      throw new RestError(`something in front of Airflow asks for its own login (${path}: ${status})`, {
        code: "gateway",
        hint: "give a ready token that the gateway knows, or an address behind it: Airflow itself tells anybody its version",
        status,
      })
  }
  throw new RestError(`no Airflow REST API answers here (${found.join("; ")})`, {
    code: "not-airflow",
    hint: "url is the address under which people open Airflow, with its base path and without /home; a login page in front answers for every path",
  })
}

type Login = ReturnType<typeof keepLogin>

/** Shares one login among all calls of a delivery. */
function keepLogin(logIn: () => Promise<Authorization>, { clock }: Pick<SinkDeps, "clock">) {
  let held: Promise<Authorization> | undefined
  // Whether a call was accepted since the last login: one that is refused although it is new is not tried again.
  let proven = true
  async function replace(old: Authorization): Promise<Authorization> {
    if ((await held) === old) held = logIn()
    return held as Promise<Authorization>
  }
  return {
    async current(): Promise<Authorization> {
      held ??= logIn()
      const now = await held
      return now.renewAt !== undefined && clock.uptime() >= now.renewAt ? replace(now) : now
    },
    accepted: () => {
      proven = true
    },
    /** Another login for one that was refused, undefined where there is none. */
    async instead(refused: Authorization): Promise<Authorization | undefined> {
      if ((await held) === refused) {
        if (!proven) return undefined
        proven = false
      }
      const other = await replace(refused)
      return other.header === refused.header ? undefined : other
    },
  }
}

async function callAs(
  login: Login,
  send: Send,
  place: Place,
  api: Api,
  call: Omit<Call, "authorization">,
): Promise<Answer> {
  const attempt = async ({ header }: Authorization) => {
    const answer = await send({ ...call, path: `api/${api}/${call.path}`, authorization: header })
    if (!isRefusal(answer)) login.accepted()
    return answer
  }
  const used = await login.current()
  const first = await attempt(used)
  // 403 is also what Airflow 3 says to a token that it cannot read, and Airflow 2 to a wrong password.
  const other = isRefusal(first) ? await login.instead(used) : undefined
  const answer = other ? await attempt(other) : first
  if (isRefusal(answer)) throw accessRefused(answer, place, api)
  return answer
}

function isRefusal({ status }: Answer): boolean {
  return status === 401 || status === 403
}

const ROLE = "the user needs role Op or Admin, or one that may read, create and edit connections"

function accessRefused({ status }: Answer, { auth }: Place, api: Api): RestError {
  const ready = auth.kind === "token"
  const hints = {
    v1: ready
      ? `check that the token is good and that [api] auth_backends of airflow.cfg lists the backend that knows it; ${ROLE}`
      : `check username and password; Airflow 2 looks at them only if [api] auth_backends of airflow.cfg lists airflow.api.auth.backend.basic_auth; ${ROLE}`,
    v2: ready ? `check that the token is for this Airflow and has not expired; ${ROLE}` : ROLE,
  }
  return new RestError(`Airflow refused access (${status})`, {
    code: "access-refused",
    hint: hints[api],
    status,
  })
}
