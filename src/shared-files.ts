// Refuses plans in which a sink that writes whole files would write over another target, by whatever path. Where a file
// system does not say soon where a path leads, the delivery finds out, under its own deadline.
import type { Clock } from "./clock.ts"
import { ConfigError, type ConfigIssue } from "./errors.ts"
import { accountStandIns, type Plan, targetsOf, withoutStandIns } from "./plan.ts"

const LOOK_MS = 2000

/** Refuses a plan in which a target would be written over another in the same file. Throws a ConfigError. */
export async function refuseSharedFiles(plan: Plan, clock: Pick<Clock, "sleep">): Promise<void> {
  if (!plan.sinks.some(({ sink }) => sink.files?.whole)) return
  const issues: ConfigIssue[] = []
  for (const [path, inFile] of Map.groupBy(await locate(plan, clock), ({ path }) => path)) {
    const [first, second] = inFile
    const whole = inFile.find((one) => one.whole)
    if (path === undefined || !first || !second || !whole) continue
    const message = `${first.name} and ${second.name} are in the same file, ${path}, which the sink ${whole.type} writes as a whole: give each a file of its own`
    issues.push({ path: second.origin, message: withoutStandIns(message) })
  }
  if (issues.length > 0) throw new ConfigError(issues)
}

/** Every target that lies in a file, with the path of that file where it could be told. */
async function locate(plan: Plan, clock: Pick<Clock, "sleep">) {
  const accountOf = accountStandIns(plan)
  const over = new AbortController()
  const tooLong = clock.sleep(LOOK_MS, over.signal).then(
    () => undefined,
    () => undefined,
  )
  const looks = plan.sinks.flatMap((planned) => {
    const { origin, registries, sink } = planned
    const { files, type } = sink
    if (!files) return []
    const targets = registries.flatMap((one) => targetsOf(planned, one, accountOf(one.source)))
    return targets.map(async (target) => {
      const path = await Promise.race([files.realPath(target).catch(() => undefined), tooLong])
      return { path, name: target.name, origin, type, whole: files.whole }
    })
  })
  return Promise.all(looks).finally(() => over.abort())
}
