// Everything between the identity and the pull, tried without changing anything. Each finding says what to do. What cannot
// be tried because an earlier step failed is left out: that failure has its own finding.
import { withDeadline } from "./clock.ts"
import { formatDuration } from "./duration.ts"
import type { Token } from "./ecr.ts"
import {
  type Duplicate,
  duplicateTargets,
  type PlannedRegistry,
  registryOf,
  sourcesOf,
  targetsOf,
} from "./plan.ts"
import { formatPrincipal } from "./principal.ts"
import { createProbe } from "./probe.ts"
import { findingsOrFailure, formatInstant } from "./report.ts"
import type { Session } from "./session.ts"
import type { Finding } from "./sink.ts"
import { callSink } from "./sink-call.ts"
import type { ClockWatch } from "./skew.ts"
import { formatSource, type Source, sourceKey } from "./source.ts"

// What the clocks of two well-kept machines may differ by, and what AWS refuses calls at.
const SKEW_MS = 60_000
const REFUSED_SKEW_MS = 300_000

/** All findings: of identities, tokens, registries, the clock and sinks, in this order. */
export async function findAll(
  session: Session,
  { aheadMs }: Pick<ClockWatch, "aheadMs">,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const { config, plan, world } = session
  const accounts = new Map<string, string>()
  // An AWS that is silent must leave the sinks their time.
  const asked = await withDeadline(config.timeoutMs / 2, world.clock, signal, (half) =>
    Promise.all(sourcesOf(plan).map((source) => checkSource(source, session, accounts, half))),
  )
  return [...asked.flat(), ...skewFinding(aheadMs()), ...(await checkSinks(session, accounts, signal))]
}

/** What every sink finds that can be asked; `accounts` are those behind own registries, by source. */
export async function checkSinks(
  { plan, world }: Session,
  accounts: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const accountOf = (source: Source) => accounts.get(sourceKey(source))
  const found = await Promise.all(
    plan.sinks.map((planned) => {
      const { sink, registries } = planned
      const all = registries.flatMap((one) => targetsOf(planned, one, accountOf(one.source)))
      const targets = [...new Map(all.map((target) => [target.name, target])).values()]
      const { check } = sink
      const [first] = targets
      if (!check || !first) return []
      const about = { sink: sink.type, target: first.name }
      return findingsOrFailure(
        () => callSink(about, world.clock, signal, () => check(targets, signal)),
        sink.type,
      )
    }),
  )
  return [...found.flat(), ...duplicateTargets(plan, accountOf).map(asFinding)]
}

function asFinding({ name, origin, message }: Duplicate): Finding {
  const fix = "a target that would be written twice is not written at all"
  return { level: "error", code: "duplicate-target", subject: name, message: `${origin}: ${message}`, fix }
}

async function checkSource(
  source: Source,
  { aws, plan, world }: Session,
  accounts: Map<string, string>,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const subject = `${formatPrincipal(source.principal)}, ${formatSource(source)}`
  const identity = await findingsOrFailure(async () => {
    const account = await aws.fetchAccount(source, signal)
    accounts.set(sourceKey(source), account)
    return [ok(subject, `AWS accepts this identity, which is in account ${account}`)]
  }, subject)
  const tokens: Token[] = []
  const asked = await findingsOrFailure(async () => {
    const token = await aws.fetchToken(source, signal)
    tokens.push(token)
    const { service } = source
    const message = `${service}:GetAuthorizationToken is allowed; a token lives until ${formatInstant(token.expiresAt)}`
    return [ok(subject, message)]
  }, subject)
  const [token] = tokens
  // Where both calls fail by the same, it is one fault.
  const [unknown] = identity.filter(({ level }) => level === "error")
  if (!token) return unknown?.code === asked[0]?.code ? asked : [...identity, ...asked]
  if (token.account) accounts.set(sourceKey(source), token.account)
  const planned = plan.sinks
    .flatMap(({ registries }) => registries)
    .filter((one) => sourceKey(one.source) === sourceKey(source))
  const isNamed = planned.every(({ registry }) => registry !== "own")
  // Whoever has a token gets on without STS, and needs it for nothing where every registry is named.
  const known = identity.flatMap((one): readonly Finding[] => {
    if (one.level !== "error") return [one]
    return isNamed && one.code === "identity-denied" ? [] : [{ ...one, level: "warning" }]
  })
  const [first] = planned
  return [...known, ...asked, ...(first ? await tryLogin(first, token, world, signal) : [])]
}

function skewFinding(aheadMs = 0): readonly Finding[] {
  // To the minute: the Date has whole seconds, and an answer takes a moment to arrive.
  const skewMs = Math.round(Math.abs(aheadMs) / 60_000) * 60_000
  if (skewMs < SKEW_MS) return []
  return [
    {
      level: skewMs < REFUSED_SKEW_MS ? "warning" : "error",
      code: "clock",
      subject: "clock",
      message: `this machine's clock is ${formatDuration(skewMs)} ${aheadMs > 0 ? "ahead of" : "behind"} AWS's`,
      fix: "set the clock and keep it in sync with NTP (`timedatectl set-ntp true`): AWS refuses calls that are five minutes off",
    },
  ]
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
  if (verdict.answer === "accepted") return [ok(subject, "the registry accepts the login")]
  if (verdict.answer === "none")
    return [
      {
        level: "warning",
        code: "registry-unreachable",
        subject,
        message: `the login cannot be tried at the registry from here: ${verdict.why}`,
        fix: "make sure that whoever pulls can reach it: DNS, proxy, VPC endpoint",
      },
    ]
  return [
    {
      level: "error",
      code: "registry-refused",
      subject,
      message: `the registry refuses the login (${verdict.status})`,
      fix: `check that the host leads to ECR, and that ${formatPrincipal(planned.source.principal)} may read from it`,
    },
  ]
}

function ok(subject: string, message: string): Finding {
  return { level: "ok", subject, message }
}
