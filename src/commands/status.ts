// `ecrelay status`: what every target holds, and until when.
import { withDeadline } from "../clock.ts"
import { described, type Outcome } from "../outcome.ts"
import { deliveriesOf, type PlannedDelivery } from "../plan.ts"
import { exitCodeOfStatuses, formatStatuses, statusesAsJson } from "../report.ts"
import { openSession, type Session, styleOf, type World } from "../session.ts"
import type { Given } from "../settings.ts"
import { DEFAULT_MIN_REMAINING_MS, loadAccounts, readStatus, type TargetStatus } from "../status.ts"

/** Returns the exit code: 1 where a target is neither fresh nor unknown. Throws a ConfigError. */
export async function status(given: Given, world: World): Promise<number> {
  const session = await openSession(given, world)
  const { statuses } = await withDeadline(session.config.timeoutMs, world.clock, world.stop, (signal) =>
    loadStatuses(session, signal),
  )
  world.print(
    session.config.output === "json" ? statusesAsJson(statuses) : formatStatuses(statuses, styleOf(world)),
  )
  return exitCodeOfStatuses(statuses)
}

/** The status of every target of a plan, in the order of its deliveries, and the accounts learnt for it. */
export async function loadStatuses(
  { config, plan, aws, world }: Session,
  signal: AbortSignal,
): Promise<{ statuses: readonly TargetStatus[]; accounts: Map<string, string> }> {
  const { accounts, errors } = await loadAccounts(plan, aws, signal)
  const minRemainingMs = config.minRemainingMs ?? DEFAULT_MIN_REMAINING_MS
  const deps = { clock: world.clock, minRemainingMs }
  return { statuses: await readStatus(deliveriesOf(plan), accounts, errors, deps, signal), accounts }
}

/** With --min-remaining: the deliveries that need none now, as outcomes; and the accounts learnt for it. */
export async function skipFresh(
  session: Session,
  deliveries: readonly PlannedDelivery[],
  signal: AbortSignal,
): Promise<{ skipped: ReadonlyMap<PlannedDelivery, Outcome>; accounts: Map<string, string> }> {
  const skipped = new Map<PlannedDelivery, Outcome>()
  if (session.config.minRemainingMs === undefined) return { skipped, accounts: new Map() }
  const { statuses, accounts } = await loadStatuses(session, signal)
  for (const [i, delivery] of deliveries.entries())
    if (statuses[i]?.state === "fresh")
      skipped.set(delivery, {
        ...described(delivery, accounts),
        outcome: "skipped",
        expiresAt: statuses[i].expiresAt,
      })
  return { skipped, accounts }
}
