// How far this machine's clock is from AWS's, by the Date of AWS's answers. Refusals carry it too, and one that comes of a
// wrong clock does not always say so.
import type { Clock } from "./clock.ts"

/** A `fetch` that notes the clock of whoever answers as AWS. */
export type ClockWatch = {
  readonly fetch: typeof fetch
  /** By how many milliseconds this machine is ahead, negative where it is behind; undefined until AWS has answered. */
  aheadMs(): number | undefined
}

/** Watches the answers to a fetch. A page that a proxy gives in AWS's place does not count. */
export function watchClock(real: typeof fetch, clock: Pick<Clock, "now">): ClockWatch {
  let aheadMs: number | undefined
  const watched = async (...call: Parameters<typeof fetch>) => {
    const answer = await real(...call)
    const { headers } = answer
    const date = Date.parse(headers.get("date") ?? "")
    if (headers.has("x-amzn-requestid") && !Number.isNaN(date)) aheadMs = clock.now() - date
    return answer
  }
  return { fetch: watched as typeof fetch, aheadMs: () => aheadMs }
}
