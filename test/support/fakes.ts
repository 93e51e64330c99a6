// AWS and sinks as plain objects that remember what was asked of them, for tests of what lies between the two.
// A fake answers at once and well unless a test says otherwise.
import type { Clock } from "../../src/clock.ts"
import type { Aws, Token } from "../../src/ecr.ts"
import { DeliveryError, FetchError } from "../../src/errors.ts"
import type { Plan, PlannedRegistry, PlannedSink } from "../../src/plan.ts"
import type { Principal } from "../../src/principal.ts"
import type { Probe } from "../../src/probe.ts"
import { ownRegistry, parseRegistry, type Registry } from "../../src/registry.ts"
import type { Delivery, DeliveryResult, Sink } from "../../src/sink.ts"
import type { Source } from "../../src/source.ts"
import { createTokenStore, type TokenStore } from "../../src/tokens.ts"
import { fakeClock } from "./clock.ts"
import { makeCredential } from "./credentials.ts"

/** Where fake time begins. */
export const START = Date.UTC(2026, 10, 23, 12)

export const SECOND = 1000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/** The account of every fake answer. */
export const ACCOUNT = "012345678901"

type FetchToken = Aws["fetchToken"]

/** AWS that notes when it was asked for what; `answer` may be changed at any time. */
export type FakeAws = Aws & { readonly calls: { source: Source; at: number }[]; answer: FetchToken }

/** An AWS whose tokens live for `lifetimeMs` from the clock's now. */
export function fakeAws(clock: Pick<Clock, "now">, lifetimeMs = 12 * HOUR): FakeAws {
  const calls: FakeAws["calls"] = []
  const fake: FakeAws = {
    calls,
    answer: async ({ region }) => tokenFor(clock.now() + lifetimeMs, region),
    fetchToken: (source, signal) => {
      calls.push({ source, at: clock.now() })
      return fake.answer(source, signal)
    },
    fetchAccount: async () => ACCOUNT,
  }
  return fake
}

/** A token with a password like no other. */
export function tokenFor(
  expiresAt: number,
  region = "eu-west-1",
  account: string | undefined = ACCOUNT,
): Token {
  const { userName, password } = makeCredential({ registry: ownRegistry(ACCOUNT, region), expiresAt })
  return { userName, password, expiresAt, account }
}

/** Never answers, but heeds its signal. */
export function hang(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener("abort", () => reject(signal.reason), { once: true })
  })
}

export function fetchError(retryable = true, code = "throttled"): FetchError {
  return new FetchError("eu-west-1: no token today", {
    code,
    retryable,
    hint: "wait",
    principal: "default credentials",
    registry: "eu-west-1",
  })
}

export function deliveryError(retryable = true, code = "unreachable", target = "target"): DeliveryError {
  return new DeliveryError(`fake ${target}: not today`, {
    code,
    retryable,
    hint: "wait",
    sink: "fake",
    target,
  })
}

/** A sink in memory. `held` is what its slots hold, `calls` what it was asked to write and when. */
export type FakeSink = Sink & {
  readonly held: Map<string, Delivery["credential"]>
  readonly calls: { at: number; deliveries: readonly Delivery[] }[]
  /** What it does instead of accepting; may be changed at any time. */
  deliver: Sink["deliver"]
  accept(deliveries: readonly Delivery[]): readonly DeliveryResult[]
}

/** A sink that takes everything. Its slots are `NAME/HOST` unless `slotOf` says otherwise. */
export function fakeSink(
  name: string,
  clock: Pick<Clock, "now">,
  behaviour: {
    readonly deliver?: (sink: FakeSink, ...call: Parameters<Sink["deliver"]>) => ReturnType<Sink["deliver"]>
    readonly slotOf?: (registry: Registry) => string
    readonly read?: Sink["read"]
    readonly check?: Sink["check"]
  } = {},
): FakeSink {
  const { slotOf = ({ host }) => `${name}/${host}`, read, check } = behaviour
  const sink: FakeSink = {
    type: name,
    held: new Map(),
    calls: [],
    targets: (registry) => [{ registry, slot: slotOf(registry), name: slotOf(registry) }],
    deliver: async (deliveries, signal) => {
      sink.calls.push({ at: clock.now(), deliveries })
      return behaviour.deliver ? behaviour.deliver(sink, deliveries, signal) : sink.accept(deliveries)
    },
    accept: (deliveries) =>
      deliveries.map(({ target, credential }) => {
        sink.held.set(target.slot, credential)
        return { outcome: "delivered", expiresAt: credential.expiresAt }
      }),
    ...(read ? { read } : {}),
    ...(check ? { check } : {}),
  }
  return sink
}

/** The caller's own registry in a region. */
export function ownIn(region: string, principal: Principal = {}): PlannedRegistry {
  return { registry: "own", source: { service: "ecr", region, principal } }
}

/** A registry by its host. */
export function registryAt(host: string, principal: Principal = {}): PlannedRegistry {
  const registry = parseRegistry(host)
  if (!registry) throw new Error(`${host} is no registry`)
  return { registry, source: { service: registry.service, region: registry.region, principal } }
}

/** A plan that delivers every registry to every sink. */
export function planOf(sinks: readonly Sink[], registries: readonly PlannedRegistry[]): Plan {
  return { sinks: sinks.map((sink) => plannedSink(sink, registries)) }
}

export function plannedSink(
  sink: Sink,
  registries: readonly PlannedRegistry[],
  optional = false,
): PlannedSink {
  return { sink, origin: `--sink ${sink.type}`, optional, registries }
}

/** Dice that show these numbers in turn. */
export function loadedDice(numbers: readonly number[]): () => number {
  let throws = 0
  return () => {
    throws += 1
    return numbers[(throws - 1) % numbers.length] ?? 0
  }
}

/** A fake world around a plan: clock, AWS, tokens, and what `refresh` and `run` need of them. */
export function fakeWorld(
  settings: {
    readonly lifetimeMs?: number
    readonly intervalMs?: number
    readonly timeoutMs?: number
    readonly random?: () => number
  } = {},
) {
  const clock = fakeClock(START)
  const aws = fakeAws(clock, settings.lifetimeMs)
  const { random = () => 0, timeoutMs = MINUTE } = settings
  const marginWins: number[] = []
  const tokens: TokenStore = createTokenStore({
    aws,
    clock,
    random,
    timeoutMs,
    intervalMs: settings.intervalMs,
    onMarginWins: (_, delayMs) => void marginWins.push(delayMs),
  })
  const probe: Probe = async () => ({ answer: "accepted" })
  const deps = { clock, random, timeoutMs, tokens, probe, accounts: new Map<string, string>() }
  return { clock, aws, tokens, deps, marginWins, intervalMs: settings.intervalMs }
}
