// The sink contract as tests: what every sink promises, proven on a real place that the sink's own test opens.
// Each promise is one test with the sentence as its name; what a place cannot do is declared with its reason,
// printed and counted as skipped, and a promise without the hook that it needs is red, never silent.
import { test } from "bun:test"
import type { SinkDeps, SinkKind, Target } from "../../src/sink.ts"
import { hasDeno } from "./sink-expectations.ts"
import { proofs, type SinkPromise } from "./sink-promises.ts"

/** A login as the place's own programs would read it: by other means than the sink's code. */
export type StoredLogin = { readonly host: string; readonly userName: string; readonly password: string }

/** How to make a sink: its options as in the config file, and what of the test's world is to be different. */
export type SinkSetup = { readonly options: object; readonly deps?: Partial<SinkDeps> }

/** A fresh, empty, real place, opened for one test. A hook marked `?` may be missing where `cannot` says why. */
export type SinkRig = {
  /** The sink that writes to this place: with one slot a registry, distinct for every account and region. */
  readonly setup: SinkSetup
  /** What the slot holds, undefined if there is none. */
  stored(target: Target): Promise<StoredLogin | undefined>
  /** Everything in this place, our slots included, and where it can be told whether it was written to at all. */
  snapshot(): Promise<unknown>
  /** Puts things beside our slots, before anything else is there: whatever a careless writer would damage. */
  seedNeighbours?(): Promise<void>
  /** Everything in this place but our slots, byte for byte. */
  neighbours?(): Promise<unknown>
  /** A sink whose place does not answer, for now. */
  unreachable?(): Promise<SinkSetup>
  /** A sink whose place is a server on loopback, at this port, that takes every call and answers none. */
  silent?(port: number): Promise<SinkSetup>
  /** A sink that this place refuses: wrong password, no permission, not what it should be. */
  refused?(): Promise<SinkSetup>
  /** After a delivery, makes further ones fail, as deep in their work as can be had, until the function that it returns is called. */
  breakDelivery?(): Promise<() => Promise<void>>
  /** Before anything else is there, makes this one slot one that the sink must refuse to write, while it writes the others. */
  spoil?(target: Target): Promise<void>
  /** After a delivery, makes the login in this slot differ from what the sink would write, password aside: for another host, in another form. */
  distort?(target: Target): Promise<void>
  /** Secrets of the setup besides the credentials: a database's password, a key. */
  readonly secrets?: readonly string[]
  close(): Promise<void>
}

export type SinkSuite = {
  readonly kind: SinkKind
  /** The URL of the sink's own file: `import.meta.resolve("../../sinks/…")`. */
  readonly file: string
  /** Names the place where one kind of sink has several: `PostgreSQL`. */
  readonly place?: string
  open(): Promise<SinkRig>
  /** What the place cannot do, and why. */
  readonly cannot?: Partial<Record<SinkPromise, string>>
  /** Milliseconds that one promise may take before it counts as broken. */
  readonly timeoutMs?: number
}

/** Proves the contract for a kind of sink in one kind of place. */
export function testSink(suite: SinkSuite): void {
  const subject = suite.place ? `${suite.kind.type} on ${suite.place}` : suite.kind.type
  for (const [promise, prove] of Object.entries(proofs)) {
    const name = `${subject} ${promise}`
    const declared = suite.cannot?.[promise as SinkPromise]
    if (declared?.trim() === "") throw new Error(`${name}: \`cannot\` needs the reason in words`)
    const reason = declared ?? lacking(promise)
    if (reason !== undefined) {
      console.info(`skipped: ${name}: ${reason}`)
      test.skip(name, () => {})
      continue
    }
    const run = async () => {
      const rig = await suite.open()
      try {
        await prove(rig, suite)
      } finally {
        await rig.close()
      }
    }
    test(name, run, suite.timeoutMs ?? 30_000)
  }
}

function lacking(promise: string): string | undefined {
  return promise === "does no I/O while it is created" && !hasDeno() ? "deno is not installed" : undefined
}
