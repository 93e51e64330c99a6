// `ecrelay run`: stay, and refresh before expiry.
import { withDeadline } from "../clock.ts"
import { runDaemon } from "../daemon.ts"
import { formatDuration } from "../duration.ts"
import { isRetryable } from "../errors.ts"
import type { Log } from "../log.ts"
import type { Outcome } from "../outcome.ts"
import { deliveriesOf } from "../plan.ts"
import { createProbe } from "../probe.ts"
import { describeError, formatInstant } from "../report.ts"
import { openSession, type World } from "../session.ts"
import type { Given } from "../settings.ts"
import { formatSource } from "../source.ts"
import { createTokenStore } from "../tokens.ts"
import { dryRun } from "./dry-run.ts"
import { skipFresh } from "./status.ts"

/** Runs until the world says stop; returns the exit code. Throws a ConfigError. */
export async function run(given: Given, world: World): Promise<number> {
  const session = await openSession(given, world)
  const { config, plan, log, aws } = session
  if (config.dryRun) return dryRun(session)
  const { clock, random, stop } = world
  const { intervalMs, timeoutMs } = config
  const deliveries = deliveriesOf(plan)
  const { skipped, accounts } = await withDeadline(timeoutMs, clock, stop, (signal) =>
    skipFresh(session, deliveries, signal),
  )
  for (const outcome of skipped.values()) logOutcome(outcome, { failures: 0, nextMs: undefined }, log)
  const tokens = createTokenStore({
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
  log("info", `keeping ${deliveries.length} target${deliveries.length === 1 ? "" : "s"} fresh`)
  await runDaemon(
    deliveries,
    {
      plan,
      tokens,
      clock,
      random,
      timeoutMs,
      accounts,
      probe: createProbe(world),
      intervalMs,
      onOutcome: (outcome, about) => logOutcome(outcome, about, log),
      onReady: () => log("info", "ready: every target holds a fresh login"),
    },
    stop,
    new Map([...skipped].map(([delivery, { expiresAt }]) => [delivery, expiresAt as number])),
  )
  log("info", "stopped")
  return 0
}

function logOutcome(
  { outcome, sink, target, registry, expiresAt, warning, error }: Outcome,
  { failures, nextMs }: { readonly failures: number; readonly nextMs: number | undefined },
  log: Log,
): void {
  const next = nextMs === undefined ? "" : `; next in ${formatDuration(nextMs)}`
  const fields = { sink, target, registry, outcome }
  if (outcome === "failed") {
    const { code, message, hint } = describeError(error)
    log(isRetryable(error) ? "warn" : "error", `${message}${next}`, { ...fields, code, hint })
    if (code === "bug") log("error", String((error as Error).stack ?? error))
    return
  }
  const until = expiresAt === undefined ? "" : ` until ${formatInstant(expiresAt)}`
  const word =
    failures > 0 ? `${outcome} again after ${failures} failure${failures === 1 ? "" : "s"}` : outcome
  log("info", `${sink} ${target}: ${word}${until}${next}`, {
    ...fields,
    expiresAt: expiresAt && new Date(expiresAt).toISOString(),
  })
  if (warning) log("warn", `${sink} ${target}: ${warning}`, fields)
}
