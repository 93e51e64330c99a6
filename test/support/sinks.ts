// What a sink is given in a test: a world of its own, in which the time is fixed and nothing is shared.
import * as v from "valibot"
import { explainAws } from "../../src/aws-failure.ts"
import { systemClock } from "../../src/clock.ts"
import type { Credential } from "../../src/credential.ts"
import { Secret } from "../../src/credential.ts"
import { ownRegistry, type Registry } from "../../src/registry.ts"
import type { Delivery, Sink, SinkDeps, SinkKind, Target } from "../../src/sink.ts"

/** The moment at which sinks are tested: a whole second, and near the one that file systems and databases show. */
export const NOW = Math.floor(Date.now() / 1000) * 1000

/** Milliseconds of `count` hours. */
export const hours = (count: number): number => count * 3_600_000

/** An ordinary registry, and one whose account id begins with a zero. */
export const REGISTRY: Registry = ownRegistry("123456789012", "eu-central-1")
export const ZERO_REGISTRY: Registry = ownRegistry("012345678901", "us-gov-west-1")

/** `count` registries of as many accounts, a hundred to a region. */
export function manyRegistries(count: number): readonly Registry[] {
  return Array.from({ length: count }, (_, index) =>
    ownRegistry(String(index).padStart(12, "0"), `eu-west-${1 + Math.floor(index / 100)}`),
  )
}

/** Empty environment, no home, the time fixed at NOW with sleeps that are real, secrets taken literally. */
export function testDeps(overrides: Partial<SinkDeps> = {}): SinkDeps {
  return {
    env: {},
    clock: { ...systemClock, now: () => NOW },
    home: undefined,
    uid: process.getuid?.(),
    writeOut: () => Promise.reject(new Error("this test has no standard output")),
    fetch,
    aws: noAws,
    secret: async (reference) => new Secret(reference),
    ...overrides,
  }
}

// Whoever tests a sink of AWS brings an AWS.
const noAws: SinkDeps["aws"] = {
  clientConfig: () => Promise.reject(new Error("this test has no AWS")),
  explain: explainAws,
}

/** A sink as the config file would make it: options checked by its own schema, then created. */
export function makeSink(kind: SinkKind, options: object, deps: SinkDeps = testDeps()): Sink {
  return kind.create(v.parse(kind.options, options), deps)
}

/** The only slot of a sink for a registry. */
export function onlyTarget(sink: Sink, registry: Registry): Target {
  const [target, ...more] = sink.targets(registry)
  if (!target || more.length > 0) throw new Error(`expected one target for ${registry.host}`)
  return target
}

/** Every slot of the sink for each credential. */
export function deliveriesOf(sink: Sink, credentials: readonly Credential[]): readonly Delivery[] {
  return credentials.flatMap((credential) =>
    sink.targets(credential.registry).map((target) => ({ target, credential })),
  )
}

/** A signal that nobody aborts. */
export const calm = (): AbortSignal => new AbortController().signal
