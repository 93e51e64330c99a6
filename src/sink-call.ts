// One call of a sink under a signal that bounds it: whatever ends it early becomes a DeliveryError that says so.
import { type Clock, isTimeout } from "./clock.ts"
import { DeliveryError } from "./errors.ts"

// A sink that does not heed its signal must not hold up the rest for ever: it gets a moment to tidy up, no more.
const TIDY_UP_MS = 2000

/** Which sink is called, and the name of the target, or of the first of several, that the call is about. */
type About = { readonly sink: string; readonly target: string }

/** Calls a sink. Rejects with a DeliveryError, or with what a bug threw: that travels as it is, to be shown with its stack. */
export async function callSink<T>(
  about: About,
  clock: Pick<Clock, "sleep">,
  signal: AbortSignal,
  call: () => Promise<T>,
): Promise<T> {
  try {
    return await orGivenUp(call, signal, clock)
  } catch (cause) {
    if (cause instanceof DeliveryError || !signal.aborted) throw cause
    throw isTimeout(signal) ? timedOut(about, cause) : stopped(about, cause)
  }
}

function orGivenUp<T>(call: () => Promise<T>, signal: AbortSignal, clock: Pick<Clock, "sleep">): Promise<T> {
  const done = new AbortController()
  return new Promise((resolve, reject) => {
    const giveUp = () =>
      clock.sleep(TIDY_UP_MS, done.signal).then(
        () => reject(signal.reason),
        () => undefined,
      )
    if (signal.aborted) giveUp()
    signal.addEventListener("abort", giveUp, { once: true })
    call()
      .then(resolve, reject)
      .finally(() => {
        signal.removeEventListener("abort", giveUp)
        done.abort()
      })
  })
}

function timedOut({ sink, target }: About, cause: unknown): DeliveryError {
  return new DeliveryError(`${sink} ${target}: not done in time`, {
    sink,
    target,
    code: "timeout",
    hint: "check whether the target is slow or hangs, or allow more with --timeout",
    retryable: true,
    cause,
  })
}

function stopped({ sink, target }: About, cause: unknown): DeliveryError {
  return new DeliveryError(`${sink} ${target}: stopped before it was done`, {
    sink,
    target,
    code: "stopped",
    retryable: false,
    cause,
  })
}
