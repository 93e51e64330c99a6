// A module's file as a person writes it, wrong in every way that can be thought of, and its mistakes while it works: each
// is told by the file's name, and none of them is taken for a fault of ecrelay.
import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import module from "../../sinks/module.ts"
import { ConfigError, DeliveryError } from "../../src/errors.ts"
import type { Sink } from "../../src/sink.ts"
import { createSink, parseSinkTable, secretKeysOf } from "../../src/sink-spec.ts"
import { makeCredential } from "../support/credentials.ts"
import { credentialForms, textOf } from "../support/secrets.ts"
import { calm, deliveriesOf, hours, NOW, onlyTarget, REGISTRY, testDeps } from "../support/sinks.ts"

const folder = mkdtempSync(join(tmpdir(), "module-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const kinds = { module: async () => module }
let count = 0

/** A file with this text. */
function written(text: string, extension = "ts"): string {
  const file = join(folder, `plugin-${count++}.${extension}`)
  writeFileSync(file, text, { mode: 0o600 })
  return file
}

const make = (path: unknown, options: object = {}): Promise<Sink> =>
  createSink(parseSinkTable({ type: "module", path, ...options }, "sink[0]"), kinds, testDeps())

/** A module whose sink has these members. */
const sinkWith = (members: string, options = "") =>
  written(`export default ({ v, defineSink, DeliveryError, ...host }) => defineSink({
    type: "mine", summary: "", permissions: [], options: v.strictObject({ ${options} }),
    create: (options, deps) => ({
      type: "mine",
      targets: (registry) => [{ registry, slot: registry.host, name: "mine " + registry.host }],
      deliver: async (deliveries) => deliveries.map(() => ({ outcome: "delivered", expiresAt: undefined })),
      ${members}
    }),
  })`)

const complaintAbout = (made: Promise<unknown>) =>
  made.then(
    () => "accepted",
    (error: unknown) => {
      if (error instanceof ConfigError) return error.message
      throw error
    },
  )

describe("refuses", () => {
  const RETURNS = "export default ({ v, defineSink }) => "
  test.each([
    ["no path", undefined, /^sink\[0\], path: is required$/],
    ["a path that is not whole", "vault.ts", /path: must be the full path of a \.ts or \.js file/],
    ["another kind of file", "/etc/passwd", /must be the full path of a \.ts or \.js file/],
    ["a file that is not there", "/nowhere/vault.ts", /\/nowhere\/vault\.ts: there is no such file$/],
    ["a folder", () => folder, /must be the full path/],
    ["what cannot be parsed", () => written("export default ("), /plugin-\d+\.ts: cannot be loaded: \S/],
    ["what throws", () => written("throw new Error('no luck')"), /cannot be loaded: no luck$/],
    [
      "an import of what only ecrelay has",
      () => written("import * as v from 'valibot-not-here'; export default v"),
      /cannot be loaded: .*valibot-not-here.*; packages are looked for in node_modules beside the file, and what ecrelay provides is passed/,
    ],
    [
      "no default export",
      () => written("export const sink = {}"),
      /has no default export that is a function/,
    ],
    [
      "a sink instead of a function",
      () => written("export default { type: 'x' }"),
      /has no default export that is/,
    ],
    [
      "a function that throws",
      () => written("export default () => { throw new Error('oh') }"),
      /its function fails: oh/,
    ],
    [
      "a function that returns nothing",
      () => written(`${RETURNS}undefined`),
      /does not return a sink: it does not match/,
    ],
    [
      "a sink without a type",
      () => written(`${RETURNS}({ summary: "", permissions: [], options: v.strictObject({}), create() {} })`),
      /does not return a sink: type does not match `ecrelay sinks module --types`/,
    ],
    [
      "options that are not strict",
      () =>
        written(
          `${RETURNS}({ type: "x", summary: "", permissions: [], options: v.object({}), create() {} })`,
        ),
      /does not return a sink: options\.type does not match/,
    ],
    ["an option of the name path", () => sinkWith("", "path: v.string()"), /own option needs another name/],
  ] as const)("%s", async (_, path, complaint) => {
    expect(await complaintAbout(make(typeof path === "function" ? path() : path))).toMatch(complaint)
  })

  test("a file that others can write, before any of it runs", async () => {
    const file = written(`globalThis.moduleRan = true; export default () => ({})`)
    Bun.spawnSync(["chmod", "666", file])
    const complaint = await complaintAbout(make(file))
    expect(complaint).toBe(
      `sink[0], path: ${file}: is not loaded, since ${file} can be written by everybody (mode 0666); \`chmod go-w ${file}\``,
    )
    expect(globalThis).not.toHaveProperty("moduleRan")
  })

  test("an option that the module does not know, by its path and with what there is", async () => {
    const file = sinkWith("", "address: v.string()")
    expect(await complaintAbout(make(file, { adress: "x" }))).toBe(
      "sink[0], address: is required\nsink[0], adress: unknown option; did you mean address?",
    )
  })
})

test.each(["ts", "mts", "js", "mjs"])(
  "loads a .%s file, with its own options and what is beside it",
  async (extension) => {
    writeFileSync(join(folder, "beside.js"), "export const place = 'beside'")
    const types = extension.endsWith("ts") ? ": string" : ""
    const text = `import { place } from "./beside.js"
    const name${types} = place
    export default ({ v, defineSink, listOption }) => defineSink({
      type: "mine", summary: "", permissions: [], options: v.strictObject({ to: listOption("where to") }),
      create: ({ to }) => ({ type: "mine", targets: (registry) => [{ registry, slot: name, name: [name, ...to].join(" ") }], deliver: async () => [] }),
    })`
    const sink = await make(written(text, extension), { to: ["a", "b"] })
    expect(sink.targets(REGISTRY)[0]?.name).toBe("beside a b")
    expect([sink.type, sink.read, sink.check, sink.folders]).toEqual([
      "mine",
      undefined,
      undefined,
      undefined,
    ])
  },
)

test("tells which of a module's options are secret, so that `config` shows none", async () => {
  const file = sinkWith("", "token: host.secretOption('a token'), to: v.optional(v.string())")
  const spec = parseSinkTable({ type: "module", path: file, token: "x" }, "sink[0]")
  expect(await secretKeysOf(spec, kinds, testDeps())).toEqual(["token"])
})

test("hands a module no way to AWS but the login", async () => {
  const sink = await make(
    sinkWith(
      `check: async () => [{ level: "ok", subject: "x", message: Object.keys(deps).sort().join(" ") }]`,
    ),
  )
  const [finding] = (await sink.check?.([], calm())) ?? []
  expect(finding?.message).toBe("clock env fetch home secret uid writeOut")
})

describe("takes for a fault of the module", () => {
  const credential = makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(12) })
  const failureOf = async (members: string, call: (sink: Sink) => Promise<unknown> | undefined) => {
    const file = sinkWith(members)
    const error = await call(await make(file))?.catch((thrown: unknown) => thrown)
    if (!(error instanceof DeliveryError)) throw new Error(`expected a DeliveryError, got ${textOf(error)}`)
    expect(error).toMatchObject({ code: "module-fault", sink: "mine", retryable: false })
    expect(error.hint).toContain(file)
    expect(credentialForms(credential).filter((form) => textOf(error).includes(form))).toEqual([])
    return error.message
  }
  const delivered = (sink: Sink) => sink.deliver(deliveriesOf(sink, [credential]), calm())
  const read = (sink: Sink) => sink.read?.([onlyTarget(sink, REGISTRY)], calm())

  test.each([
    ["deliver: async () => undefined,", "deliver returned no list"],
    ["deliver: async () => [],", "deliver returned 0 results for 1 targets"],
    [
      "deliver: async () => ['done'],",
      "deliver returned something that the contract does not allow, as number 1",
    ],
    [
      "deliver: async () => [{ outcome: 'failed', error: new Error('x') }],",
      "deliver returned something that",
    ],
    ["deliver: async () => { null.x },", "deliver threw TypeError: "],
    ["deliver() { throw 'a text' },", "deliver threw Error: a text"],
  ])("%s", async (members, says) => {
    expect(await failureOf(members, delivered)).toStartWith(`mine ${REGISTRY.host}: ${says}`)
  })

  test("an error that quotes the login, of which nothing is shown", async () => {
    const members = `deliver: async ([{ credential }]) => { throw new Error("PUT failed with " + JSON.stringify({ p: credential.password.reveal() })) },`
    expect(await failureOf(members, delivered)).toContain(`PUT failed with {"p":"[redacted]"}`)
  })

  test("what it reads", async () => {
    expect(await failureOf("read: async () => [{ state: 'gone' }],", read)).toContain(
      "read returned something that",
    )
  })

  test("but not what it reports as the contract has it, nor that it was stopped", async () => {
    const refuse = `throw new DeliveryError("mine: is full", { sink: "mine", target: "mine", code: "full", hint: "make room", retryable: true })`
    const refusing = await make(sinkWith(`deliver: async () => { ${refuse} },`))
    expect(await delivered(refusing).catch((error) => [error.code, error.retryable])).toEqual(["full", true])
    const stopping = await make(sinkWith("deliver: async (_, signal) => signal.throwIfAborted(),"))
    const stopped = stopping.deliver(
      deliveriesOf(stopping, [credential]),
      AbortSignal.abort(new Error("stop")),
    )
    expect(await stopped.catch((error: Error) => error.message)).toBe("stop")
  })
})
