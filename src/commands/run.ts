// `ecrelay run`: stay, and refresh before expiry. A reload begins anew with another configuration, if it is a good one.
import { withDeadline } from "../clock.ts"
import { type Attempt, longestTurn, runDaemon } from "../daemon.ts"
import { formatDuration } from "../duration.ts"
import { ConfigError, FetchError, isRetryable } from "../errors.ts"
import type { Log } from "../log.ts"
import { openNotify } from "../notify.ts"
import type { Outcome } from "../outcome.ts"
import { deliveriesOf } from "../plan.ts"
import { createProbe } from "../probe.ts"
import { counted, describeError, formatInstant } from "../report.ts"
import { backoffDelay } from "../schedule.ts"
import { createService, LONGEST_START_MS, type Service } from "../service.ts"
import { openSession, type Session, type World } from "../session.ts"
import type { Given } from "../settings.ts"
import { refuseSharedFiles } from "../shared-files.ts"
import { formatSource } from "../source.ts"
import { createStanding } from "../standing.ts"
import { refuseStdout, UNREAD_STDOUT } from "../stdout.ts"
import { createTokenStore, type TokenStore } from "../tokens.ts"
import { dryRun } from "./dry-run.ts"
import { skipFresh } from "./status.ts"

/** What the process may be told from outside; what that means is up to the session that runs. */
type Wishes = { reload(): void; refreshNow(): void }

/** Runs until the world says stop; returns the exit code. Throws a ConfigError. */
export async function run(given: Given, world: World): Promise<number> {
  const first = await openFirstSession(given, world)
  if (!first) return 0
  if (first.config.dryRun) return dryRun(first)
  const wishes: Wishes = { reload: () => undefined, refreshNow: () => undefined }
  world.onReload(() => wishes.reload())
  world.onRefreshNow(() => wishes.refreshNow())
  const tooLong = new AbortController()
  const service = createService({
    notify: await openNotify(world.env, (text) => first.log("warn", text)),
    env: world.env,
    clock: world.clock,
    onStartTooLong(standing) {
      const limit = formatDuration(LONGEST_START_MS)
      first.log("error", `not ready after ${limit}, so this start has failed: ${standing}`)
      tooLong.abort()
    },
  })
  const stop = AbortSignal.any([world.stop, tooLong.signal])
  let session: Session | undefined = first
  while (session && !stop.aborted) session = await keepFresh(session, given, wishes, service, stop)
  service.stops()
  if (tooLong.signal.aborted) return 1
  first.log("info", "stopped")
  return 0
}

// What is to be asked for may stand in an Airflow connection, and its database may come late at boot.
async function openFirstSession(given: Given, world: World): Promise<Session | undefined> {
  for (let failures = 1; ; failures += 1)
    try {
      return await openServiceSession(given, world)
    } catch (error) {
      if (!(error instanceof FetchError) || given.has("dry-run") || world.stop.aborted) throw error
      const delayMs = backoffDelay(failures, error.retryable, world.random())
      world.printError(`ecrelay: ${error.message}; retrying in ${formatDuration(delayMs)}`)
      if (error.hint) world.printError(`hint: ${error.hint}`)
      await world.clock.sleep(delayMs, world.stop).catch(() => undefined)
      if (world.stop.aborted) return undefined
    }
}

async function openServiceSession(given: Given, world: World): Promise<Session> {
  const session = await openSession(given, world)
  refuseStdout(session.plan.sinks, UNREAD_STDOUT)
  await refuseSharedFiles(session.plan, world.clock)
  return session
}

/** Keeps a session's targets fresh until `stop`; returns the session that is to follow it where there is a reload. */
async function keepFresh(
  session: Session,
  given: Given,
  wishes: Wishes,
  service: Service,
  stop: AbortSignal,
): Promise<Session | undefined> {
  const replaced = new AbortController()
  let successor: Session | undefined
  let reading = Promise.resolve()
  wishes.reload = () => {
    service.reloads()
    // One after the other, so that the last one counts.
    reading = reading.then(async () => {
      const next = await reread(given, session)
      service.reloaded()
      successor = next ?? successor
      if (next) replaced.abort(new Error("the configuration was reloaded"))
    })
  }
  await runSession(session, wishes, service, AbortSignal.any([stop, replaced.signal]))
  // Reloads that were asked for meanwhile still belong to this session.
  let read: unknown
  while (read !== reading && !stop.aborted) {
    read = reading
    await reading
  }
  return successor
}

// A configuration that cannot be taken is said, and the one that works stays.
async function reread(given: Given, { world, log }: Session): Promise<Session | undefined> {
  try {
    const next = await openServiceSession(given, world)
    log("info", "the configuration was reloaded")
    return next
  } catch (error) {
    const issues =
      error instanceof ConfigError ? error.issues : [{ path: "", message: describeError(error).message }]
    for (const { path, message } of issues) log("error", path ? `${path}: ${message}` : message)
    log("warn", "keeping the previous configuration")
    return undefined
  }
}

async function runSession(
  session: Session,
  wishes: Wishes,
  service: Service,
  stop: AbortSignal,
): Promise<void> {
  const { config, plan, log, world } = session
  const { clock, random } = world
  const { intervalMs, timeoutMs } = config
  const deliveries = deliveriesOf(plan)
  service.begins(longestTurn(timeoutMs))
  const { skipped, accounts } = await withDeadline(timeoutMs, clock, stop, (signal) =>
    skipFresh(session, deliveries, signal),
  )
  const standing = createStanding(deliveries, clock)
  log("info", `keeping ${counted(deliveries.length, "target")} fresh`)
  const deps = {
    plan,
    tokens: createTokens(session),
    clock,
    random,
    timeoutMs,
    accounts,
    probe: createProbe(world),
    intervalMs,
    minRemainingMs: config.minRemainingMs,
    onAttempts(attempts: readonly Attempt[]) {
      for (const attempt of attempts) standing.note(attempt)
      logAttempts(attempts, log)
    },
    onReady() {
      log("info", "ready: every target holds a fresh login")
      service.ready()
    },
    onTurn: () => service.lives(standing.format(clock.now())),
    onRefreshNow(refreshNow: () => void) {
      wishes.refreshNow = refreshNow
    },
  }
  await runDaemon(deliveries, deps, stop, skipped)
}

function createTokens({ aws, config, world, log }: Session): TokenStore {
  const { clock, random } = world
  const { intervalMs, timeoutMs } = config
  return createTokenStore({
    aws,
    clock,
    random,
    intervalMs,
    timeoutMs,
    onMarginWins: (source, delayMs) =>
      log(
        "warn",
        `${formatSource(source)}: the token expires too early for the interval; next refresh in ${formatDuration(delayMs)}`,
      ),
  })
}

// A cause that many targets share, such as AWS or a database that is down, is said once.
function logAttempts(attempts: readonly Attempt[], log: Log): void {
  const byCause = Map.groupBy(attempts, ({ outcome }) => outcome.error ?? outcome)
  for (const alike of byCause.values()) {
    const [first] = alike
    if (first?.outcome.outcome === "failed") logFailure(alike, first.outcome, log)
    else if (first) logOutcome(first.outcome, first, log)
  }
}

function logFailure(attempts: readonly Attempt[], { sink, target, registry, error }: Outcome, log: Log) {
  const { code, message, hint } = describeError(error)
  const many = attempts.length > 1
  const whom = many ? ` (${sink}, ${attempts.length} targets)` : ""
  const next = formatDuration(Math.min(...attempts.map(({ nextMs }) => nextMs)))
  const which = many ? { targets: attempts.map(({ outcome }) => outcome.target) } : { target, registry }
  const fields = { sink, ...which, outcome: "failed", code, hint }
  log(isRetryable(error) ? "warn" : "error", `${message}${whom}; next attempt in ${next}`, fields)
  if (code === "bug") log("error", String((error as Error).stack ?? error))
}

function logOutcome(
  { outcome, sink, target, registry, expiresAt, warning }: Outcome,
  { failures, nextMs }: Attempt,
  log: Log,
): void {
  const fields = { sink, target, registry, outcome }
  const until = expiresAt === undefined ? "" : `, good until ${formatInstant(expiresAt)}`
  const word = failures > 0 ? `${outcome} again after ${counted(failures, "failure")}` : outcome
  log("info", `${sink} ${target}: ${word}${until}; next refresh in ${formatDuration(nextMs)}`, {
    ...fields,
    expiresAt: expiresAt && new Date(expiresAt).toISOString(),
  })
  if (warning) log("warn", `${sink} ${target}: ${warning}`, fields)
}
