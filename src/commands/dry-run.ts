// `--dry-run`: what would be written where, what is there now, and whether a sink would take it. Changes nothing.
import { withDeadline } from "../clock.ts"
import { targetsOf } from "../plan.ts"
import { findingsOf, formatFindings, formatStatuses, statusesAsJson } from "../report.ts"
import { type Session, styleOf } from "../session.ts"
import type { Finding } from "../sink.ts"
import { callSink } from "../sink-call.ts"
import { sourceKey } from "../source.ts"
import { loadStatuses } from "./status.ts"

/** Returns the exit code: 1 where a sink would refuse. */
export async function dryRun(session: Session): Promise<number> {
  const { config, world } = session
  const { statuses, findings } = await withDeadline(config.timeoutMs, world.clock, world.stop, (signal) =>
    inspect(session, signal),
  )
  if (config.output === "json") world.print(statusesAsJson(statuses, findings))
  else {
    world.print(formatStatuses(statuses, styleOf(world)))
    world.print(
      `\n${formatFindings(findings, styleOf(world))}dry run: no token was fetched and nothing was changed\n`,
    )
  }
  const isWrong = findings.some(({ level }) => level === "error")
  return isWrong || statuses.some(({ state }) => state === "unreadable") ? 1 : 0
}

async function inspect(session: Session, signal: AbortSignal) {
  const { statuses, accounts } = await loadStatuses(session, signal)
  const findings: Finding[] = []
  for (const planned of session.plan.sinks) {
    const { sink, registries } = planned
    const targets = registries.flatMap((one) => targetsOf(planned, one, accounts.get(sourceKey(one.source))))
    const { check } = sink
    const [first] = targets
    if (!check || !first) continue
    const about = { sink: sink.type, target: first.name }
    const call = () => callSink(about, session.world.clock, signal, () => check(targets, signal))
    findings.push(...(await findingsOf(call, sink.type)))
  }
  return { statuses, findings }
}
