// Debug lines: every call to AWS and to a sink, what came of it, and how long it took. Loaded for `--log-level debug` alone.
// They name what reports name, times and counts; a credential never reaches this file's texts.
import type { Clock } from "./clock.ts"
import type { Aws, Token } from "./ecr.ts"
import { formatPrincipal } from "./principal.ts"
import { counted, describeError, formatInstant } from "./report.ts"
import type { Sink } from "./sink.ts"
import { formatSource, type Source } from "./source.ts"

/** Where the lines go, and by which clock their times are taken. */
export type TraceDeps = { readonly debug: (text: string) => void; readonly clock: Pick<Clock, "uptime"> }

/** The same AWS, which tells of its calls. */
export function traceAws(aws: Aws, deps: TraceDeps): Aws {
  return {
    fetchToken: (source, signal) =>
      traced(`${whoAsks(source)}: fetch a token`, () => aws.fetchToken(source, signal), tokenWords, deps),
    fetchAccount: (source, signal) =>
      traced(
        `${whoAsks(source)}: fetch the account`,
        () => aws.fetchAccount(source, signal),
        accountWords,
        deps,
      ),
  }
}

/** The same sink, which tells of its calls. */
export function traceSink(sink: Sink, deps: TraceDeps): Sink {
  const { type, deliver, read, check } = sink
  const tracedCall = <Item, Result>(
    what: string,
    call: Call<Item, Result>,
    wordOf: (result: Result) => string,
  ) =>
    ((items, signal) =>
      traced(
        `${type}: ${what} ${counted(items.length, "target")}`,
        () => call(items, signal),
        (results) => tally(results.map(wordOf)),
        deps,
      )) satisfies Call<Item, Result>
  return {
    ...sink,
    deliver: tracedCall("deliver", deliver, ({ outcome }) => outcome),
    ...(read ? { read: tracedCall("read", read, ({ state }) => state) } : {}),
    ...(check ? { check: tracedCall("check", check, ({ level }) => level) } : {}),
  }
}

type Call<Item, Result> = (items: readonly Item[], signal: AbortSignal) => Promise<readonly Result[]>

async function traced<T>(
  what: string,
  call: () => Promise<T>,
  wordsOf: (result: T) => string,
  { debug, clock }: TraceDeps,
): Promise<T> {
  const startedAt = clock.uptime()
  const after = () => `after ${Math.round(clock.uptime() - startedAt)} ms`
  debug(`${what} …`)
  try {
    const result = await call()
    debug(`${what}: ${wordsOf(result)}, ${after()}`)
    return result
  } catch (error) {
    debug(`${what}: failed (${describeError(error).code}), ${after()}`)
    throw error
  }
}

const whoAsks = (source: Source) =>
  `AWS${source.endpointUrl ? ` at ${source.endpointUrl}` : ""}, ${formatSource(source)}, ${formatPrincipal(source.principal)}`

const accountWords = (account: string | undefined) => (account ? `account ${account}` : "no account named")

const tokenWords = ({ account, expiresAt }: Token) =>
  `${accountWords(account)}, good until ${formatInstant(expiresAt)}`

function tally(words: readonly string[]): string {
  const counts = [...Map.groupBy(words, (word) => word)].map(([word, { length }]) => `${length} ${word}`)
  return counts.join(", ") || "nothing"
}
