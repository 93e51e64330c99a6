// `ecrelay wait`: until every target is fresh, or the time is over; for what starts after the logins are there. Reads
// only. A target that cannot be read is not waited for, and is said.
import { withDeadline } from "../clock.ts"
import { formatDuration } from "../duration.ts"
import { exitCodeOfStatuses, formatStatuses, statusesAsJson } from "../report.ts"
import { openSession, type Session, styleOf, type World } from "../session.ts"
import type { Given } from "../settings.ts"
import type { TargetStatus } from "../status.ts"
import { loadStatuses } from "./status.ts"

// Between two looks: soon at first, and rarely enough that AWS and databases do not mind.
const PAUSES_MS = [500, 1000, 2000, 5000]

/** Returns the exit code: 1 where a target is neither fresh nor unknown when the time is over. Throws a ConfigError. */
export async function wait(given: Given, world: World): Promise<number> {
  const session = await openSession(given, world)
  const { config } = session
  const statuses = await untilFresh(session)
  world.print(config.output === "json" ? statusesAsJson(statuses) : formatStatuses(statuses, styleOf(world)))
  const code = exitCodeOfStatuses(statuses)
  if (code !== 0 && !world.stop.aborted)
    session.log("error", `not every target is fresh after ${formatDuration(config.timeoutMs)}`, {
      hint: "run `ecrelay check` to see why, or wait longer with --timeout",
    })
  return code
}

async function untilFresh(session: Session): Promise<readonly TargetStatus[]> {
  const { config, world, log } = session
  const { clock, stop } = world
  const endAt = clock.uptime() + config.timeoutMs
  let said = ""
  for (let look = 0; ; look += 1) {
    // The last look is at the very end, and gets a moment of its own.
    const lookMs = Math.max(1000, endAt - clock.uptime())
    const { statuses } = await withDeadline(lookMs, clock, stop, (signal) => loadStatuses(session, signal))
    const missing = statuses.filter(({ state }) => state !== "fresh" && state !== "unknown")
    if (look === 0) for (const one of statuses) if (one.state === "unknown") log("warn", notWaitedFor(one))
    const leftMs = endAt - clock.uptime()
    if (missing.length === 0 || leftMs <= 0) return statuses
    const waiting = describe(missing)
    if (waiting !== said) log("info", waiting)
    said = waiting
    const pauseMs = PAUSES_MS[Math.min(look, PAUSES_MS.length - 1)] ?? 0
    await clock.sleep(Math.min(pauseMs, leftMs), stop).catch(() => undefined)
    if (stop.aborted) return statuses
  }
}

function notWaitedFor({ sink, target, message }: TargetStatus): string {
  return `${sink} ${target}: not waited for: ${message ?? "nothing says whether it is fresh"}`
}

function describe(missing: readonly TargetStatus[]): string {
  const [first] = missing
  const more = missing.length > 1 ? ` and ${missing.length - 1} more` : ""
  return `waiting for ${first?.sink} ${first?.target} (${first?.state})${more}`
}
