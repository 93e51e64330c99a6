// `--dry-run`: what would be written where, what is there now, and whether a sink would take it. Changes nothing.
import { sourceKey, targetsOf } from "../plan.ts"
import { findingsOf, formatFindings, formatStatuses, statusesAsJson } from "../report.ts"
import { type Session, styleOf } from "../session.ts"
import type { Finding } from "../sink.ts"
import { loadStatuses } from "./status.ts"

export async function dryRun(session: Session): Promise<number> {
  const { config, plan, world } = session
  const signal = AbortSignal.any([world.stop, AbortSignal.timeout(config.timeoutMs)])
  const { statuses, accounts } = await loadStatuses(session, signal)
  const findings: Finding[] = []
  for (const planned of plan.sinks) {
    const { sink, registries } = planned
    const targets = registries.flatMap((one) => targetsOf(planned, one, accounts.get(sourceKey(one.source))))
    const { check } = sink
    if (check && targets.length > 0)
      findings.push(...(await findingsOf(() => check(targets, signal), sink.type)))
  }
  if (config.output === "json") world.print(statusesAsJson(statuses, findings))
  else {
    world.print(formatStatuses(statuses, styleOf(world)))
    world.print(
      `\n${formatFindings(findings, styleOf(world))}dry run: no token was fetched and nothing was changed\n`,
    )
  }
  return findings.some(({ level }) => level === "error") ? 1 : 0
}
