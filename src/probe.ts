// The probe: a new login tried at its registry before anything is written. Only a plain refusal stops a delivery; a
// registry that cannot be asked from here is a warning, since whoever pulls may reach it all the same.
import { trustingFetch } from "./aws.ts"
import { type Clock, withDeadline } from "./clock.ts"
import type { Credential } from "./credential.ts"
import type { Environment } from "./environment.ts"

/** What a registry said to a login: it is good, it is refused with this status, or nothing, and why. */
type Verdict =
  | { readonly answer: "accepted" }
  | { readonly answer: "refused"; readonly status: number }
  | { readonly answer: "none"; readonly why: string }

/** Tries a login. Never rejects. */
export type Probe = (credential: Credential, signal: AbortSignal) => Promise<Verdict>

/** What a probe uses of the world. */
export type ProbeDeps = {
  readonly env: Environment
  readonly fetch: typeof fetch
  readonly clock: Clock
}

// A registry that does not answer must leave enough of the timeout for the delivery.
const PATIENCE_MS = 10_000

/** A probe over HTTPS that trusts AWS_CA_BUNDLE where it is set. What was accepted once is not asked again. */
export function createProbe({ env, fetch, clock }: ProbeDeps): Probe {
  const accepted = new WeakMap<Credential["password"], Set<string>>()
  return async (credential, signal) => {
    const { password, registry } = credential
    const hosts = accepted.get(password) ?? new Set()
    if (hosts.has(registry.host)) return { answer: "accepted" }
    const verdict = await withDeadline(PATIENCE_MS, clock, signal, async (bounded) =>
      ask(`https://${registry.host}/v2/`, credential, await trustingFetch(fetch, env, {}), bounded),
    ).catch((error): Verdict => ({ answer: "none", why: error.code ?? error.name }))
    if (verdict.answer === "accepted") accepted.set(password, hosts.add(registry.host))
    return verdict
  }
}

async function ask(
  url: string,
  { userName, password }: Pick<Credential, "userName" | "password">,
  send: typeof fetch,
  signal: AbortSignal,
): Promise<Verdict> {
  const login = Buffer.from(`${userName}:${password.reveal()}`).toString("base64")
  const headers = { authorization: `Basic ${login}` }
  // A login follows no redirect: it may lead to another host.
  const answer = await send(url, { headers, signal, redirect: "manual" })
  await answer.body?.cancel()
  const { status } = answer
  const realm = status === 401 && tokenUrl(answer.headers.get("www-authenticate") ?? "", new URL(url).host)
  if (realm) return ask(realm, { userName, password }, send, signal)
  if (status === 401 || status === 403) return { answer: "refused", status }
  return status < 300 ? { answer: "accepted" } : { answer: "none", why: `it answered ${status}` }
}

// ECR Public wants the login changed into a bearer token first, at a URL of its own.
function tokenUrl(challenge: string, host: string): string | undefined {
  const [, realm, service] = /^Bearer realm="([^"]+)"(?:,service="([^"]+)")?/i.exec(challenge) ?? []
  if (!realm || !URL.canParse(realm)) return undefined
  const url = new URL(realm)
  if (url.protocol !== "https:" || url.host !== host) return undefined
  if (service) url.searchParams.set("service", service)
  return url.href
}
