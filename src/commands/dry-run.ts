// `--dry-run`: what would be written where, what is there now, and whether a sink would take it. Changes nothing.
import { checkSinks } from "../check.ts"
import { withDeadline } from "../clock.ts"
import type { Config } from "../config.ts"
import { counted, formatFindings, formatStatuses, statusesAsJson } from "../report.ts"
import { type Session, styleOf } from "../session.ts"
import type { TargetStatus } from "../status.ts"
import { takesStdout } from "../stdout.ts"
import { loadStatuses } from "./status.ts"

/** Returns the exit code: 1 where a sink would refuse. */
export async function dryRun(session: Session): Promise<number> {
  const { config, world, plan } = session
  const { statuses, findings } = await withDeadline(config.timeoutMs, world.clock, world.stop, (signal) =>
    inspect(session, signal),
  )
  const report = takesStdout(plan) ? world.printError : world.print
  if (config.output === "json") report(statusesAsJson(statuses, findings))
  else {
    report(formatStatuses(statuses, styleOf(world)))
    const found = formatFindings(findings, styleOf(world))
    report(
      `\n${found}${found && "\n"}dry run: ${sumOf(statuses, config)}; no token was fetched and nothing was changed\n`,
    )
  }
  const isWrong = findings.some(({ level }) => level === "error")
  return isWrong || statuses.some(({ state }) => state === "unreadable") ? 1 : 0
}

// Without --min-remaining a refresh fetches anew, whatever the targets hold.
function sumOf(statuses: readonly TargetStatus[], { minRemainingMs }: Config): string {
  const { length } = statuses
  if (minRemainingMs === undefined)
    return `a refresh would write a new login into ${counted(length, "target")}, fresh or not`
  const due = statuses.filter(({ state }) => state !== "fresh")
  return `a refresh would write a new login into ${due.length} of ${length} targets`
}

async function inspect(session: Session, signal: AbortSignal) {
  const { statuses, accounts } = await loadStatuses(session, signal)
  const findings = await checkSinks(session, accounts, signal)
  return { statuses, findings }
}
