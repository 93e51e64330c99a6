// The doctor: everything between the identity and the pull, tried without changing anything. Each finding says what to
// do; what one link of the chain makes impossible to try is left out, since its own finding stands there.
import { TOKEN_LIFETIME_MS } from "./credential.ts"
import { formatDuration } from "./duration.ts"
import type { Token } from "./ecr.ts"
import { type PlannedRegistry, registryOf, sourcesOf, targetsOf } from "./plan.ts"
import { formatPrincipal } from "./principal.ts"
import { createProbe } from "./probe.ts"
import { findingsOf, formatInstant } from "./report.ts"
import type { Session } from "./session.ts"
import type { Finding } from "./sink.ts"
import { callSink } from "./sink-call.ts"
import { formatSource, type Source, sourceKey } from "./source.ts"

// What the clocks of two well-kept machines may differ by; AWS itself refuses calls at five minutes.
const SKEW_MS = 60_000

/** All findings: of identities, tokens, registries and sinks, in this order. */
export async function findAll(session: Session, signal: AbortSignal): Promise<readonly Finding[]> {
  const accounts = new Map<string, string>()
  const sources = sourcesOf(session.plan)
  const asked = await Promise.all(sources.map((source) => checkSource(source, session, accounts, signal)))
  return [...asked.flat(), ...(await checkSinks(session, accounts, signal))]
}

/** What every sink finds that can be asked; `accounts` are those behind own registries, by source. */
export async function checkSinks(
  { plan, world }: Session,
  accounts: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const found = await Promise.all(
    plan.sinks.map((planned) => {
      const { sink, registries } = planned
      const targets = registries.flatMap((one) =>
        targetsOf(planned, one, accounts.get(sourceKey(one.source))),
      )
      const { check } = sink
      const [first] = targets
      if (!check || !first) return []
      const about = { sink: sink.type, target: first.name }
      return findingsOf(() => callSink(about, world.clock, signal, () => check(targets, signal)), sink.type)
    }),
  )
  return found.flat()
}

async function checkSource(
  source: Source,
  { aws, plan, world }: Session,
  accounts: Map<string, string>,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const subject = `${formatPrincipal(source.principal)}, ${formatSource(source)}`
  const identity = await findingsOf(async () => {
    const account = await aws.fetchAccount(source, signal)
    accounts.set(sourceKey(source), account)
    return [ok(subject, `AWS knows this identity as one of account ${account}`)]
  }, subject)
  const tokens: Token[] = []
  const asked = await findingsOf(async () => {
    const token = await aws.fetchToken(source, signal)
    tokens.push(token)
    return [tokenFinding(subject, source, token, world.clock.now())]
  }, subject)
  const [token] = tokens
  // What both calls fail by is one fault.
  const [unknown] = identity.filter(({ level }) => level === "error")
  if (!token) return unknown?.message === asked[0]?.message ? asked : [...identity, ...asked]
  if (token.account) accounts.set(sourceKey(source), token.account)
  const planned = plan.sinks
    .flatMap(({ registries }) => registries)
    .find((one) => sourceKey(one.source) === sourceKey(source))
  // Without STS everything goes on that has a token.
  const known = identity.map((one) => (one.level === "error" ? { ...one, level: "warning" as const } : one))
  return [...known, ...asked, ...(planned ? await tryLogin(planned, token, world, signal) : [])]
}

function tokenFinding(subject: string, { service }: Source, { expiresAt }: Token, now: number): Finding {
  const action = `${service}:GetAuthorizationToken`
  const remainingMs = expiresAt - now
  // A new token lives for twelve hours, by AWS's clock.
  const aheadMs = TOKEN_LIFETIME_MS - remainingMs
  if (Math.abs(aheadMs) > SKEW_MS && remainingMs > TOKEN_LIFETIME_MS / 2)
    return {
      level: "warning",
      subject,
      message: `this machine's clock is ${formatDuration(Math.abs(aheadMs))} ${aheadMs > 0 ? "ahead of" : "behind"} AWS's`,
      fix: "set the clock, and keep it by NTP (`timedatectl set-ntp true`): AWS refuses calls at five minutes",
    }
  return ok(subject, `${action} is allowed; a token lives until ${formatInstant(expiresAt)}`)
}

// One host for each token: they all take the same login.
async function tryLogin(
  planned: PlannedRegistry,
  { userName, password, expiresAt, account }: Token,
  world: Session["world"],
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const registry = registryOf(planned, account)
  if (!registry) return []
  const { host: subject } = registry
  const verdict = await createProbe(world)({ registry, userName, password, expiresAt }, signal)
  if (verdict.answer === "accepted") return [ok(subject, "the registry takes the login")]
  if (verdict.answer === "none")
    return [
      {
        level: "warning",
        subject,
        message: `the registry cannot be asked from here: ${verdict.why}`,
        fix: "see that whoever pulls reaches it: DNS, proxy, VPC endpoint",
      },
    ]
  return [
    {
      level: "error",
      subject,
      message: `the registry refuses the login (${verdict.status})`,
      fix: `see that the host leads to ECR, and that ${formatPrincipal(planned.source.principal)} may read there`,
    },
  ]
}

function ok(subject: string, message: string): Finding {
  return { level: "ok", subject, message }
}
