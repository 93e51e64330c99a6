// `ecrelay check`: proves that it would work, changes nothing, says what to mend.
import { findAll } from "../check.ts"
import { withDeadline } from "../clock.ts"
import { deliveriesOf } from "../plan.ts"
import { findingsAsJson, formatAllFindings } from "../report.ts"
import { openSession, styleOf, type World } from "../session.ts"
import { type Given, INSTALLING } from "../settings.ts"
import { refuseSharedFiles } from "../shared-files.ts"
import { watchClock } from "../skew.ts"

/** Returns the exit code: 1 where an error was found. Throws a ConfigError. */
export async function check(given: Given, world: World): Promise<number> {
  const watch = watchClock(world.fetch, world.clock)
  const session = await openSession(given, { ...world, fetch: watch.fetch })
  const { config, plan } = session
  await refuseSharedFiles(plan, world.clock)
  const findings = await withDeadline(config.timeoutMs, world.clock, world.stop, (signal) =>
    findAll(session, watch, signal),
  )
  // `install` has just written files, so it must not say that nothing was changed.
  const ending = world.env[INSTALLING] ? "" : undefined
  world.print(
    config.output === "json"
      ? findingsAsJson(findings)
      : formatAllFindings(findings, deliveriesOf(plan).length, styleOf(world), ending),
  )
  return findings.some(({ level }) => level === "error") ? 1 : 0
}
