// The promises of the sink contract, each with its proof. A proof knows nothing of the place but what the rig lets
// it see, and looks at the place through the rig, never through the sink that it tests.
import { expect } from "bun:test"
import { realpathSync, statSync } from "node:fs"
import { sep } from "node:path"
import * as v from "valibot"
import type { Credential } from "../../src/credential.ts"
import { ConfigError } from "../../src/errors.ts"
import type { Finding, Sink } from "../../src/sink.ts"
import { AWKWARD_PASSWORDS, credentialWith, makeCredential } from "./credentials.ts"
import { textOf } from "./secrets.ts"
import { openSilentPlace } from "./silent-place.ts"
import {
  CODE,
  deliver,
  expectExpiry,
  expectFailure,
  expectNoSecret,
  expectStored,
  failuresOf,
  hook,
  make,
  outcomes,
  seconds,
  settle,
  statesOf,
  targetsMadeUnderDeno,
} from "./sink-expectations.ts"
import type { SinkRig, SinkSuite } from "./sink-suite.ts"
import {
  calm,
  deliveriesOf,
  hours,
  manyRegistries,
  NOW,
  onlyTarget,
  REGISTRY,
  ZERO_REGISTRY,
} from "./sinks.ts"

type Proof = (rig: SinkRig, suite: SinkSuite) => Promise<void>

const fresh = (registry = REGISTRY) => makeCredential({ registry, expiresAt: NOW + hours(12) })
const older = (registry = REGISTRY) => makeCredential({ registry, expiresAt: NOW + hours(5) })

/** Every promise and its proof; a sink's test declares by these sentences what its place cannot do. */
export const proofs = {
  "gives a fresh target the exact values": async (rig, suite) => {
    const sink = make(rig, suite)
    const credential = fresh()
    const results = await deliver(sink, [credential])
    expect(results.map((result) => result.outcome)).toEqual(["delivered"])
    expectExpiry(results[0], credential.expiresAt)
    await expectStored(rig, sink, credential)
  },

  "replaces an older credential with a newer one": async (rig, suite) => {
    const sink = make(rig, suite)
    await deliver(sink, [older()])
    const newer = fresh()
    expect(await outcomes(sink, [newer])).toEqual(["delivered"])
    await expectStored(rig, sink, newer)
  },

  "does not replace a newer credential with an older one": async (rig, suite) => {
    const sink = make(rig, suite)
    const newer = fresh()
    await deliver(sink, [newer])
    const before = await rig.snapshot()
    const results = await deliver(sink, [older()])
    expect(results.map((result) => result.outcome)).toEqual(["unchanged"])
    expectExpiry(results[0], newer.expiresAt)
    expect(await rig.snapshot()).toEqual(before)
  },

  "writes a credential that expires at the same second but has other bytes": async (rig, suite) => {
    const sink = make(rig, suite)
    await deliver(sink, [fresh()])
    const twin = fresh()
    expect(await outcomes(sink, [twin])).toEqual(["delivered"])
    await expectStored(rig, sink, twin)
  },

  "does not believe a stored expiry of more than 13 hours ahead": async (rig, suite) => {
    const sink = make(rig, suite)
    await deliver(sink, [makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(14) })])
    const credential = fresh()
    expect(await outcomes(sink, [credential])).toEqual(["delivered"])
    await expectStored(rig, sink, credential)
  },

  "changes nothing when the same is delivered twice": async (rig, suite) => {
    const sink = make(rig, suite)
    const credentials = [fresh(), fresh(ZERO_REGISTRY)]
    await deliver(sink, credentials)
    const before = await rig.snapshot()
    const results = await deliver(make(rig, suite), credentials)
    expect(results.map((result) => result.outcome)).toEqual(["unchanged", "unchanged"])
    expectExpiry(results[0], NOW + hours(12))
    expect(await rig.snapshot()).toEqual(before)
  },

  "leaves its neighbours untouched, byte for byte": async (rig, suite) => {
    const sink = make(rig, suite)
    await hook(rig, "seedNeighbours")()
    const neighbours = hook(rig, "neighbours")
    const before = await neighbours()
    const beside = fresh(ZERO_REGISTRY)
    await deliver(sink, [older(), beside])
    expect(await neighbours()).toEqual(before)
    await deliver(sink, [fresh()])
    expect(await neighbours()).toEqual(before)
    await expectStored(rig, sink, beside)
  },

  "delivers awkward passwords exactly": async (rig, suite) => {
    const sink = make(rig, suite)
    for (const password of Object.values(AWKWARD_PASSWORDS)) {
      const credential = credentialWith({ registry: REGISTRY, expiresAt: NOW + hours(12), password })
      expect([password, await outcomes(sink, [credential])]).toEqual([password, ["delivered"]])
      await expectStored(rig, sink, credential)
    }
  },

  "writes a password exactly, or refuses it and changes nothing": async (_, suite) => {
    for (const password of Object.values(AWKWARD_PASSWORDS)) {
      const rig = await suite.open()
      try {
        const sink = make(rig, suite)
        await deliver(sink, [older()])
        const before = await rig.snapshot()
        const credential = credentialWith({ registry: REGISTRY, expiresAt: NOW + hours(12), password })
        const results = await settle(sink, [credential])
        if (failuresOf(results).length === 0) await expectStored(rig, sink, credential)
        else {
          expectFailure(results[0], sink, onlyTarget(sink, REGISTRY), { retryable: false })
          expect(await rig.snapshot()).toEqual(before)
        }
      } finally {
        await rig.close()
      }
    }
  },

  "keeps the leading zero of an account id": async (rig, suite) => {
    const sink = make(rig, suite)
    const credential = fresh(ZERO_REGISTRY)
    await deliver(sink, [credential])
    await expectStored(rig, sink, credential)
    expect((await rig.stored(onlyTarget(sink, ZERO_REGISTRY)))?.host).toStartWith("012345678901.")
  },

  "delivers to 500 registries at once": async (rig, suite) => {
    const sink = make(rig, suite)
    const credentials = manyRegistries(500).map(fresh)
    const results = await deliver(sink, credentials)
    expect(results.length).toBe(500)
    const said = results.map((one) => (one.outcome === "failed" ? one.error.message : one.outcome))
    expect([...new Set(said)]).toEqual(["delivered"])
    for (const index of [0, 1, 99, 100, 250, 498, 499])
      await expectStored(rig, sink, credentials[index] as Credential)
    expect(new Set(await outcomes(sink, credentials))).toEqual(new Set(["unchanged"]))
  },

  "fails one slot alone where only that one cannot be written": async (rig, suite) => {
    const sink = make(rig, suite)
    await hook(rig, "spoil")(onlyTarget(sink, ZERO_REGISTRY))
    const spoilt = await rig.stored(onlyTarget(sink, ZERO_REGISTRY))
    const credentials = [fresh(), fresh(ZERO_REGISTRY), fresh(manyRegistries(1)[0])]
    const results = await deliver(sink, credentials)
    expect(results.map((result) => result.outcome)).toEqual(["delivered", "failed", "delivered"])
    expectFailure(results[1], sink, onlyTarget(sink, ZERO_REGISTRY), { retryable: false })
    expect(await rig.stored(onlyTarget(sink, ZERO_REGISTRY))).toEqual(spoilt)
    for (const index of [0, 2]) await expectStored(rig, sink, credentials[index] as Credential)
  },

  "names targets that are stable, distinct and secret-free": async (rig, suite) => {
    const registries = [REGISTRY, ZERO_REGISTRY, ...manyRegistries(500).slice(2)]
    const targets = registries.flatMap((registry) => make(rig, suite).targets(registry))
    expect(targets.map((target) => target.registry)).toEqual([...registries])
    expect(registries.flatMap((registry) => make(rig, suite).targets(registry))).toEqual(targets)
    for (const key of ["slot", "name"] as const)
      expect(new Set(targets.map((target) => target[key])).size).toBe(registries.length)
    expectNoSecret(textOf(targets), rig, [])
  },

  "changes nothing when the signal is aborted": async (rig, suite) => {
    const sink = make(rig, suite)
    const old = older()
    await deliver(sink, [old])
    const before = await rig.snapshot()
    const credential = fresh()
    const results = await settle(sink, [credential], AbortSignal.abort(new Error("stop")))
    expect(failuresOf(results).length).toBe(1)
    expect(await rig.snapshot()).toEqual(before)
    // Stopped somewhere on the way, it is one or the other.
    for (const delayMs of [0, 1, 2, 4, 8]) {
      await settle(sink, [credential], AbortSignal.timeout(delayMs))
      const stored = await rig.stored(onlyTarget(sink, REGISTRY))
      expect([old, credential].map((one) => one.password.reveal())).toContain(stored?.password as string)
    }
  },

  "ends with the signal's reason when that is aborted while the place keeps silent": async (rig, suite) => {
    const calls: readonly ((sink: Sink, signal: AbortSignal) => Promise<unknown> | undefined)[] = [
      (sink, signal) => sink.deliver(deliveriesOf(sink, [fresh()]), signal),
      (sink, signal) => sink.read?.([onlyTarget(sink, REGISTRY)], signal),
      (sink, signal) => sink.check?.([onlyTarget(sink, REGISTRY)], signal),
    ]
    for (const call of calls) {
      await using place = await openSilentPlace()
      const sink = make(rig, suite, await hook(rig, "silent")(place.port))
      const stop = new AbortController()
      const ended = call(sink, stop.signal)?.catch((error: unknown) => error)
      if (!ended) continue
      await Promise.race([place.called, ended])
      stop.abort(new Error("stop"))
      const { message, name } = (await ended) as Error
      expect([name, message]).toEqual(["Error", "stop"])
    }
  },

  "says that a place which does not answer may answer soon, and names it": async (rig, suite) => {
    const sink = make(rig, suite, await hook(rig, "unreachable")())
    const results = await settle(sink, [fresh()])
    expectFailure(results[0], sink, onlyTarget(sink, REGISTRY), { retryable: true })
  },

  "says that a refusal will not pass by itself, and what to do": async (rig, suite) => {
    const sink = make(rig, suite, await hook(rig, "refused")())
    const before = await rig.snapshot()
    const results = await settle(sink, [fresh()])
    expectFailure(results[0], sink, onlyTarget(sink, REGISTRY), { retryable: false })
    expect(await rig.snapshot()).toEqual(before)
  },

  "leaves the old credential readable when a delivery fails": async (rig, suite) => {
    const sink = make(rig, suite)
    const old = older()
    await deliver(sink, [old])
    const repair = await hook(rig, "breakDelivery")()
    const credential = fresh()
    expect(failuresOf(await settle(sink, [credential])).length).toBe(1)
    await expectStored(rig, sink, old)
    await repair()
    expect(await outcomes(sink, [credential])).toEqual(["delivered"])
    await expectStored(rig, sink, credential)
  },

  "reads what a target holds, and until when": async (rig, suite) => {
    const sink = make(rig, suite)
    if (!sink.read) throw new Error("the sink cannot read: declare it in `cannot`")
    const credential = fresh()
    await deliver(sink, [credential])
    const targets = [onlyTarget(sink, REGISTRY), onlyTarget(sink, ZERO_REGISTRY)]
    const [held, missing, ...more] = await sink.read(targets, calm())
    expect(held?.state === "held" && { ...held, expiresAt: seconds(held.expiresAt) }).toEqual({
      state: "held",
      expiresAt: seconds(credential.expiresAt),
    })
    expect(missing).toEqual({ state: "missing" })
    expect(more).toEqual([])
  },

  "changes nothing when it reads or checks": async (rig, suite) => {
    const sink = make(rig, suite)
    if (!sink.check) throw new Error("the sink cannot check: declare it in `cannot`")
    const targets = [onlyTarget(sink, REGISTRY), onlyTarget(sink, ZERO_REGISTRY)]
    const empty = await rig.snapshot()
    const findings = await sink.check(targets, calm())
    expect(findings.filter((finding) => finding.level === "error")).toEqual([])
    await sink.read?.(targets, calm())
    expect(await rig.snapshot()).toEqual(empty)
    await deliver(sink, [fresh()])
    const filled = await rig.snapshot()
    await sink.check(targets, calm())
    await sink.read?.(targets, calm())
    expect(await rig.snapshot()).toEqual(filled)
  },

  "takes a place that refuses to be read for unreadable, and not for empty": async (rig, suite) => {
    const sink = make(rig, suite, await hook(rig, "refused")())
    expect(await statesOf(sink, [REGISTRY, ZERO_REGISTRY])).toEqual(["unreadable", "unreadable"])
  },

  "takes nothing for missing that it cannot get at": async (rig, suite) => {
    const sink = make(rig, suite)
    await deliver(sink, [fresh()])
    const away = make(rig, suite, await hook(rig, "unreachable")())
    expect(await statesOf(away, [REGISTRY])).not.toContain("missing")
    await hook(rig, "breakDelivery")()
    expect(await statesOf(sink, [REGISTRY])).not.toContain("missing")
  },

  "takes what is not ours neither for missing nor for right": async (rig, suite) => {
    const sink = make(rig, suite)
    if (!sink.read) throw new Error("the sink cannot read: declare it in `cannot`")
    await hook(rig, "spoil")(onlyTarget(sink, ZERO_REGISTRY))
    await deliver(sink, [fresh()])
    const targets = [onlyTarget(sink, REGISTRY), onlyTarget(sink, ZERO_REGISTRY)]
    const [ours, theirs] = await sink.read(targets, calm())
    expect(ours?.state === "held" && ours.differs).toBeUndefined()
    expect(theirs?.state === "unreadable" || (theirs?.state === "held" && theirs.differs)).toBeTruthy()
  },

  "mends what differs, also in a login that outlives ours": async (rig, suite) => {
    const sink = make(rig, suite)
    if (!sink.read) throw new Error("the sink cannot read: declare it in `cannot`")
    const targets = [onlyTarget(sink, REGISTRY)]
    const credentials = [fresh(), older()] as const
    await deliver(sink, [credentials[0]])
    await hook(rig, "distort")(onlyTarget(sink, REGISTRY))
    const [distorted] = await sink.read(targets, calm())
    expect(distorted?.state === "held" && distorted.differs).toBeTruthy()
    const [result] = await deliver(sink, [credentials[1]])
    expect(result?.outcome).toBe("delivered")
    const [mended] = await sink.read(targets, calm())
    expect(mended?.state === "held" && mended.differs).toBeUndefined()
    // The one that was there or ours: either is right, and said as it is.
    const stored = await rig.stored(onlyTarget(sink, REGISTRY))
    const kept = credentials.find(({ password }) => password.reveal() === stored?.password)
    if (!kept) throw new Error("the slot holds neither of the two logins")
    await expectStored(rig, sink, kept)
    expectExpiry(result, kept.expiresAt)
  },

  "finds that all is well, and otherwise what is wrong and what to do": async (rig, suite) => {
    const levelsOf = (findings: readonly Finding[]) => findings.map(({ level }) => level)
    const sink = make(rig, suite)
    if (!sink.check) throw new Error("the sink cannot check: declare it in `cannot`")
    const well = await sink.check([onlyTarget(sink, REGISTRY)], calm())
    expect(levelsOf(well)).toContain("ok")
    expect(levelsOf(well)).not.toContain("error")
    const refused = make(rig, suite, await hook(rig, "refused")())
    const found = (await refused.check?.([onlyTarget(refused, REGISTRY)], calm())) ?? []
    expect(levelsOf(found)).toContain("error")
    for (const { level, code, fix = "" } of [...well, ...found]) {
      if (level !== "ok") expect(code).toMatch(CODE)
      if (level === "error") expect(fix.length).toBeGreaterThan(10)
    }
  },

  "finds in a check what a delivery would refuse": async (rig, suite) => {
    const sink = make(rig, suite)
    if (!sink.check) throw new Error("the sink cannot check: declare it in `cannot`")
    const targets = [onlyTarget(sink, REGISTRY), onlyTarget(sink, ZERO_REGISTRY)] as const
    await hook(rig, "spoil")(targets[1])
    const findings = await sink.check(targets, calm())
    const errors = findings.filter(({ level }) => level === "error")
    expect(errors.length).toBeGreaterThan(0)
    for (const { subject } of errors) expect(targets[1].name).toContain(subject)
  },

  "tells the folders and the file that it writes": async (rig, suite) => {
    const sink = make(rig, suite)
    const folders = (await sink.folders?.(calm())) ?? []
    if (folders === "anywhere" || folders.length === 0) {
      expect(sink.files).toBeUndefined()
      return
    }
    if (!sink.files)
      throw new Error("a sink that writes in folders tells by `files` which file a target lies in")
    const credentials = [fresh(), fresh(ZERO_REGISTRY)]
    await deliver(sink, credentials)
    const paths: string[] = []
    for (const { registry } of credentials) {
      const path = await sink.files.realPath(onlyTarget(sink, registry))
      const within = folders.some((folder) => path.startsWith(`${realpathSync(folder)}${sep}`))
      expect([path, statSync(path).isFile(), within]).toEqual([path, true, true])
      paths.push(path)
    }
    // Where two logins lie in one file, neither is all of it.
    if (paths[0] === paths[1]) expect(sink.files.whole).toBe(false)
  },

  "is made, or refused by a ConfigError, where there is neither home nor environment": async (rig, suite) => {
    const nowhere = { ...rig.setup.deps, home: undefined, env: {}, uid: undefined }
    const least = v.safeParse(suite.kind.options, {}).success ? [{}] : []
    for (const options of [rig.setup.options, ...least])
      try {
        make(rig, suite, { options, deps: nowhere }).targets(REGISTRY)
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
      }
  },

  "reads and checks nothing when the signal is aborted": async (rig, suite) => {
    const sink = make(rig, suite)
    if (!sink.read && !sink.check) throw new Error("the sink does neither: declare it in `cannot`")
    const targets = [onlyTarget(sink, REGISTRY)]
    const stopped = AbortSignal.abort(new Error("stop"))
    if (sink.read) await expect(sink.read(targets, stopped)).rejects.toThrow("stop")
    if (sink.check) await expect(sink.check(targets, stopped)).rejects.toThrow("stop")
  },

  "does no I/O while it is created": async (rig, suite) => {
    const registries = [REGISTRY, ZERO_REGISTRY]
    const named = registries.flatMap((registry) => make(rig, suite).targets(registry))
    const made = targetsMadeUnderDeno(suite.file, rig.setup.options, registries)
    expect(made).toEqual(JSON.parse(JSON.stringify(named)))
  },

  "refuses an unknown option by its path": async (rig, suite) => {
    expect(v.safeParse(suite.kind.options, rig.setup.options).success).toBe(true)
    const { issues = [] } = v.safeParse(suite.kind.options, { ...rig.setup.options, colour: "blue" })
    expect(issues.map((issue) => v.getDotPath(issue))).toEqual(["colour"])
  },

  "shows no secret in any error, cause, result or finding": async (rig, suite) => {
    const sink = make(rig, suite)
    const quoted = { registry: REGISTRY, expiresAt: NOW, password: AWKWARD_PASSWORDS.quotes as string }
    const credentials = [older(), fresh(), credentialWith(quoted)]
    const shown: string[] = []
    const show = async (one: Sink) => {
      for (const credential of credentials) shown.push(textOf(await settle(one, [credential])))
      const targets = [onlyTarget(one, REGISTRY)]
      shown.push(textOf(await one.read?.(targets, calm()).catch((error: unknown) => error)))
      shown.push(textOf(await one.check?.(targets, calm()).catch((error: unknown) => error)))
    }
    await show(sink)
    for (const setup of [await rig.unreachable?.(), await rig.refused?.()])
      if (setup) await show(make(rig, suite, setup))
    const repair = await rig.breakDelivery?.()
    if (repair) await show(sink)
    await repair?.()
    expectNoSecret(shown.join("\n"), rig, credentials)
  },
} as const satisfies Record<string, Proof>

/** The sentence of a promise. */
export type SinkPromise = keyof typeof proofs

/** The promises that a sink which reads nothing cannot make, and why it does not. */
export const readsNothing = (reason: string): Partial<Record<SinkPromise, string>> => ({
  "reads what a target holds, and until when": reason,
  "takes a place that refuses to be read for unreadable, and not for empty": reason,
  "takes nothing for missing that it cannot get at": reason,
  "takes what is not ours neither for missing nor for right": reason,
  "mends what differs, also in a login that outlives ours": reason,
})
