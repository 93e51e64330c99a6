// The service as systemd sees it: what `run` tells of itself in sd_notify(3)'s words. It is ready when the loop says so,
// alive at each turn of the loop, and gives up a start that found nothing to deliver within a quarter of an hour.

import type { Clock } from "./clock.ts"
import type { Environment } from "./environment.ts"
import type { Notify } from "./notify.ts"

/** What `run` tells. Everything is silent where the process was not started by systemd. */
export type Service = {
  /** The loop begins, with turns of at most this many milliseconds. */
  begins(longestTurnMs: number): void
  /** The loop is alive; `standing` is how things are, in a line. */
  lives(standing: string): void
  ready(): void
  /** The configuration is being read again; ends with `reloaded`, whether it was taken or not. */
  reloads(): void
  reloaded(): void
  stops(): void
}

/** What a service uses. */
export type ServiceDeps = {
  readonly notify: Notify | undefined
  readonly env: Environment
  readonly clock: Pick<Clock, "uptime">
  /** Told when the start has taken too long, and how things stand. */
  readonly onStartTooLong: (standing: string) => void
}

/** How long a start may take while identity, network or a database are not there yet. */
export const LONGEST_START_MS = 15 * 60_000

/** A service that has not begun. */
export function createService({ notify, env, clock, onStartTooLong }: ServiceDeps): Service {
  const startedAt = clock.uptime()
  let ready = false
  let turnMs = 0
  let said = ""
  const watched = Number(env.WATCHDOG_USEC) > 0
  return {
    begins(longestTurnMs) {
      turnMs = longestTurnMs
      // With a longer --timeout than the unit allows for, a long turn is no sign of a dead loop.
      if (watched && Number(env.WATCHDOG_USEC) < usec(turnMs)) notify?.({ WATCHDOG_USEC: usec(turnMs) })
    },
    lives(standing) {
      const startingMs = clock.uptime() - startedAt
      if (notify && !ready && startingMs > LONGEST_START_MS) onStartTooLong(standing)
      notify?.({
        ...(watched ? { WATCHDOG: 1 } : {}),
        ...(ready ? {} : { EXTEND_TIMEOUT_USEC: usec(turnMs) }),
        ...(standing === said ? {} : { STATUS: standing }),
      })
      said = standing
    },
    ready() {
      ready = true
      notify?.({ READY: 1 })
    },
    // systemd waits for READY after a reload. Before the service is ready, it would take that for the end of the start.
    reloads: () => ready && notify?.({ RELOADING: 1 }),
    reloaded: () => ready && notify?.({ READY: 1 }),
    stops: () => notify?.({ STOPPING: 1 }),
  }
}

function usec(durationMs: number): number {
  return durationMs * 1000
}
