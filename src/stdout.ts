// Standard output where a sink wants it for the logins themselves: then nothing else may be written there.
import { ConfigError } from "./errors.ts"
import type { Plan } from "./plan.ts"
import type { Sink } from "./sink.ts"

type Configured = { readonly sink: Sink; readonly origin: string }

/** Whether a sink of this plan writes to standard output. */
export function takesStdout({ sinks }: Plan): boolean {
  return sinks.some(({ sink }) => sink.takesStdout)
}

/** Why a service has no use for such a sink. */
export const UNREAD_STDOUT =
  "nobody reads the standard output of a service, and its journal would hold the login: use `ecrelay refresh`, or another sink"

/** Throws a ConfigError where a sink writes to standard output; `why` says what it cannot go with. */
export function refuseStdout(sinks: readonly Configured[], why: string): void {
  const found = sinks.find(({ sink }) => sink.takesStdout)
  if (found) throw new ConfigError([{ path: found.origin, message: why }])
}

/** Throws a ConfigError where more than one sink writes to standard output. */
export function refuseSharedStdout(sinks: readonly Configured[]): void {
  const [, second] = sinks.filter(({ sink }) => sink.takesStdout)
  if (!second) return
  const message = "another sink uses standard output already; only one sink can have it"
  throw new ConfigError([{ path: second.origin, message }])
}
