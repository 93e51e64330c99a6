// What the proofs of the sink contract do and expect again and again: make the sink, deliver, look at what came of it.
// A place is looked at through its rig only, and a failure must be a DeliveryError that names sink and target.
import { expect } from "bun:test"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { Credential } from "../../src/credential.ts"
import { DeliveryError } from "../../src/errors.ts"
import type { Registry } from "../../src/registry.ts"
import type { DeliveryResult, Sink, Target } from "../../src/sink.ts"
import { credentialForms, secretForms, textOf } from "./secrets.ts"
import type { SinkRig, SinkSetup, SinkSuite } from "./sink-suite.ts"
import { calm, deliveriesOf, makeSink, onlyTarget, testDeps } from "./sinks.ts"

/** The sink of a setup, the rig's own unless another is given. */
export function make(rig: SinkRig, suite: SinkSuite, setup: SinkSetup = rig.setup): Sink {
  return makeSink(suite.kind, setup.options, testDeps(setup.deps ?? rig.setup.deps))
}

/** A hook of the rig that the promise at hand cannot do without. */
export function hook<
  Name extends
    | "seedNeighbours"
    | "neighbours"
    | "unreachable"
    | "silent"
    | "refused"
    | "breakDelivery"
    | "spoil"
    | "distort",
>(rig: SinkRig, name: Name): NonNullable<SinkRig[Name]> {
  const found = rig[name]
  if (!found)
    throw new Error(
      `the rig has no ${name}: add it, or declare in \`cannot\` why the place has no such thing`,
    )
  return found.bind(rig) as NonNullable<SinkRig[Name]>
}

/** Delivers each credential to its slots. */
export function deliver(sink: Sink, credentials: readonly Credential[]): Promise<readonly DeliveryResult[]> {
  return sink.deliver(deliveriesOf(sink, credentials), calm())
}

/** The same, told by its outcomes, a failure by its text. */
export async function outcomes(sink: Sink, credentials: readonly Credential[]): Promise<readonly string[]> {
  const results = await deliver(sink, credentials)
  return results.map((result) => (result.outcome === "failed" ? textOf(result.error) : result.outcome))
}

/** The results, or what the whole delivery threw, as one failure a credential. */
export async function settle(
  sink: Sink,
  credentials: readonly Credential[],
  signal = calm(),
): Promise<readonly (DeliveryResult | Error)[]> {
  try {
    return await sink.deliver(deliveriesOf(sink, credentials), signal)
  } catch (error) {
    return credentials.map(() => error as Error)
  }
}

/** The states of what each registry's target holds; where reading throws a DeliveryError, none can be read. */
export async function statesOf(sink: Sink, registries: readonly Registry[]): Promise<readonly string[]> {
  if (!sink.read) throw new Error("the sink cannot read: declare it in `cannot`")
  const targets = registries.map((registry) => onlyTarget(sink, registry))
  try {
    return (await sink.read(targets, calm())).map(({ state }) => state)
  } catch (error) {
    if (!(error instanceof DeliveryError)) throw error
    return targets.map(() => "unreadable")
  }
}

/** The errors among the results. */
export function failuresOf(results: readonly (DeliveryResult | Error)[]): readonly Error[] {
  return results.flatMap((result) =>
    result instanceof Error ? [result] : result.outcome === "failed" ? [result.error] : [],
  )
}

/** A stable word for programs. */
export const CODE = /^[a-z][a-z0-9-]*$/

/** Expects an error that names sink and target, says whether it may pass, and else what to do. */
export function expectFailure(
  result: DeliveryResult | Error | undefined,
  sink: Sink,
  target: Target,
  { retryable }: { readonly retryable: boolean },
): void {
  const [error] = failuresOf(result ? [result] : [])
  if (!(error instanceof DeliveryError)) throw new Error(`expected a DeliveryError, got ${textOf(result)}`)
  expect({ sink: error.sink, retryable: error.retryable }).toEqual({ sink: sink.type, retryable })
  // The slot itself, or the place that its name begins with.
  expect(error.target).not.toBe("")
  expect(target.name).toContain(error.target)
  expect(error.code).toMatch(CODE)
  expect(error.message).toMatch(/^\S.*[^.\s]$/)
  if (!retryable) expect((error.hint ?? "").length).toBeGreaterThan(10)
}

/** Expects that the credential's slot holds exactly it. */
export async function expectStored(rig: SinkRig, sink: Sink, credential: Credential): Promise<void> {
  const { registry, userName, password } = credential
  const stored = await rig.stored(onlyTarget(sink, registry))
  expect(stored).toEqual({ host: registry.host, userName, password: password.reveal() })
}

/** Expects that the target holds a login which expires at this second. */
export function expectExpiry(result: DeliveryResult | undefined, expiresAt: number): void {
  expect(result?.outcome === "failed" ? undefined : seconds(result?.expiresAt)).toBe(seconds(expiresAt))
}

/** Expects no secret of the rig or the credentials in the text, in any form. */
export function expectNoSecret(text: string, rig: SinkRig, credentials: readonly Credential[]): void {
  const forms = [...(rig.secrets ?? []).flatMap(secretForms), ...credentials.flatMap(credentialForms)]
  expect(forms.filter((form) => text.includes(form))).toEqual([])
}

/** Whole seconds, which is all that a password tells of its expiry. */
export const seconds = (moment: number | undefined) => moment && Math.floor(moment / 1000)

const ROOT = fileURLToPath(new URL("../..", import.meta.url))
const DENO = `${ROOT}node_modules/.bin/deno`

/** Whether Deno is installed, whose permissions prove that creating a sink touches nothing. */
export const hasDeno = (): boolean => existsSync(DENO)

/**
 * The targets of a sink that was made where Deno refuses every file but the sources, every socket, variable and
 * program, so that whoever tries one dies of it.
 */
export function targetsMadeUnderDeno(
  file: string,
  options: object,
  registries: readonly Registry[],
): unknown {
  const sources = ["src", "sinks", "node_modules", "examples", "test/support"]
    .map((folder) => ROOT + folder)
    .join(",")
  const child = Bun.spawnSync([
    ...[DENO, "run", "--quiet", "--no-prompt", "--no-lock", "--no-remote", `--allow-read=${sources}`],
    ...[
      fileURLToPath(import.meta.resolve("./create-sink.ts")),
      file,
      JSON.stringify(options),
      JSON.stringify(registries),
    ],
  ])
  expect([child.exitCode, child.stderr.toString()]).toEqual([0, ""])
  return JSON.parse(child.stdout.toString())
}
