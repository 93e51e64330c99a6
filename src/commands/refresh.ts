// `ecrelay refresh`: fetch now, deliver, exit.
import { withDeadline } from "../clock.ts"
import { formatDuration } from "../duration.ts"
import type { Outcome } from "../outcome.ts"
import { deliveriesOf } from "../plan.ts"
import { createProbe } from "../probe.ts"
import { refreshUntil } from "../refresh.ts"
import { describeError, exitCodeOfOutcomes, formatOutcomes, outcomesAsJson } from "../report.ts"
import { openSession, type Session, styleOf, type World } from "../session.ts"
import type { Given } from "../settings.ts"
import { refuseSharedFiles } from "../shared-files.ts"
import { refuseSharedStdout, refuseStdout, takesStdout } from "../stdout.ts"
import { createTokenStore } from "../tokens.ts"
import { dryRun } from "./dry-run.ts"
import { skipFresh } from "./status.ts"

/** Returns the exit code. Throws a ConfigError. */
export async function refresh(given: Given, world: World): Promise<number> {
  const session = await openSession(given, world)
  const { config, log, plan } = session
  refuseSharedStdout(plan.sinks)
  if (config.output === "json")
    refuseStdout(plan.sinks, "standard output is for the login alone: leave --output json out")
  await refuseSharedFiles(plan, world.clock)
  if (config.dryRun) return dryRun(session)
  const outcomes = await withDeadline(config.timeoutMs, world.clock, world.stop, (signal) =>
    refreshDue(session, signal),
  )
  for (const { error } of outcomes)
    if (error !== undefined && describeError(error).code === "bug")
      log("error", String((error as Error).stack ?? error))
  const report = takesStdout(plan) ? world.printError : world.print
  report(config.output === "json" ? outcomesAsJson(outcomes) : formatOutcomes(outcomes, styleOf(world)))
  return exitCodeOfOutcomes(outcomes)
}

async function refreshDue(session: Session, signal: AbortSignal): Promise<readonly Outcome[]> {
  const { config, plan, log, aws, world } = session
  const { clock, random } = world
  const { timeoutMs } = config
  const deadline = clock.now() + timeoutMs
  const deliveries = deliveriesOf(plan)
  const { skipped, accounts } = await skipFresh(session, deliveries, signal)
  const due = deliveries.filter((delivery) => !skipped.has(delivery))
  const tokens = createTokenStore({ aws, clock, random, intervalMs: undefined, timeoutMs })
  const results = await refreshUntil(
    deadline,
    due,
    { plan, tokens, clock, random, timeoutMs, accounts, probe: createProbe(world) },
    signal,
    (failed, delayMs) => {
      const messages = new Set(failed.map(({ error }) => describeError(error).message))
      for (const message of messages) log("warn", `${message}; retrying in ${formatDuration(delayMs)}`)
    },
  )
  const done = new Map(due.map((delivery, i) => [delivery, results[i] as Outcome]))
  return deliveries.map((delivery) => (skipped.get(delivery) ?? done.get(delivery)) as Outcome)
}
