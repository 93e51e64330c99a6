// The docker-config sink: the shared contract on a real file, and what is special about docker's file.
import { afterEach, expect, test } from "bun:test"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import kind from "../../sinks/docker-config.ts"
import type { Credential } from "../../src/credential.ts"
import { DeliveryError } from "../../src/errors.ts"
import type { SinkDeps } from "../../src/sink.ts"
import { credentialWith, makeCredential } from "../support/credentials.ts"
import { loginIn, openDockerConfig, snapshotOf } from "../support/docker-file.ts"
import { textOf } from "../support/secrets.ts"
import { testSink } from "../support/sink-suite.ts"
import {
  calm,
  deliveriesOf,
  hours,
  makeSink,
  NOW,
  REGISTRY,
  testDeps,
  ZERO_REGISTRY,
} from "../support/sinks.ts"

testSink({
  kind,
  file: import.meta.resolve("../../sinks/docker-config.ts"),
  open: openDockerConfig,
  cannot: {
    "ends with the signal's reason when that is aborted while the place keeps silent":
      "the calls of a file system cannot be called off; the wait for a lock is, in test/lock.test.ts",
    "takes what is not ours neither for missing nor for right":
      "whatever stands under a registry's own name is ours; what is refused is a helper, and the slot holds nothing then",
  },
})

const HOST = REGISTRY.host
const SHORT = credentialWith({ registry: REGISTRY, expiresAt: NOW + hours(12), password: "pass" })
const AUTH = Buffer.from("AWS:pass").toString("base64")
const fresh = () => makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(12), size: 300 })
const authOf = (credential: Credential) =>
  Buffer.from(`AWS:${credential.password.reveal()}`).toString("base64")

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** A path for a config in a folder of its own, with this content if any is given. */
function configFile(content?: string): string {
  const folder = mkdtempSync(join(tmpdir(), "docker-config-"))
  folders.push(folder)
  const file = join(folder, "config.json")
  if (content !== undefined) writeFileSync(file, content)
  return file
}

const sinkFor = (path: string, options: object = {}, deps: Partial<SinkDeps> = {}) =>
  makeSink(kind, { path, ...options }, testDeps(deps))

async function deliver(path: string, credential: Credential = SHORT, options: object = {}) {
  const sink = sinkFor(path, options)
  const [result] = await sink.deliver(deliveriesOf(sink, [credential]), calm())
  return result
}

async function failureOf(path: string, options: object = {}): Promise<DeliveryError> {
  const result = await deliver(path, SHORT, options).catch((error: unknown) => ({ outcome: "failed", error }))
  const error = result && "error" in result ? result.error : undefined
  if (error instanceof DeliveryError) return error
  throw new Error(`expected a DeliveryError, got ${textOf(result)}`)
}

test("writes a new file as docker would, 0600 in a 0700 folder", async () => {
  const file = join(dirname(configFile()), "a", "b", "config.json")
  await deliver(file)
  expect(readFileSync(file, "utf8")).toBe(
    `{\n\t"auths": {\n\t\t"${HOST}": {\n\t\t\t"auth": "${AUTH}"\n\t\t}\n\t}\n}\n`,
  )
  const modes = [file, dirname(file), dirname(dirname(file))].map((path) => statSync(path).mode & 0o777)
  expect(modes).toEqual([0o600, 0o700, 0o700])
})

test("writes nothing for a twin or another member when nothing of it is left", async () => {
  const file = configFile(`{"auths":{"${HOST}":{"email":"a","auth":"${AUTH.replace("=", "\\u003d")}"}}}`)
  const before = snapshotOf(dirname(file))
  expect(await deliver(file)).toMatchObject({ outcome: "unchanged" })
  expect(snapshotOf(dirname(file))).toEqual(before)
})

test.each([
  ["alone", [`https://${HOST}`]],
  ["beside it", [`https://${HOST}`, HOST]],
])("keeps a login that outlives ours, and removes its twin, which stands %s", async (_, keys) => {
  const later = makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(12.5), size: 300 })
  const auth = authOf(later)
  const auths = Object.fromEntries(keys.map((key) => [key, { auth }]))
  const file = configFile(JSON.stringify({ auths }))
  expect(await deliver(file, fresh())).toEqual({ outcome: "delivered", expiresAt: later.expiresAt })
  expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({ auths: { [HOST]: { auth } } })
  expect(await deliver(file, fresh())).toEqual({ outcome: "unchanged", expiresAt: later.expiresAt })
})

test.each([
  ["an identity token", { identitytoken: "t" }, "AWS"],
  ["an identity token in another case", { identityToken: "t" }, "AWS"],
  ["another user name", {}, "eva"],
])("does not leave a login alone that %s makes useless, however long it lives", async (_, members, user) => {
  const later = makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(12.5), size: 300 })
  const auth = Buffer.from(`${user}:${later.password.reveal()}`).toString("base64")
  const file = configFile(JSON.stringify({ auths: { [HOST]: { auth, ...members } } }))
  expect(await deliver(file)).toMatchObject({ outcome: "delivered" })
  expect(loginIn(file, HOST)?.password).toBe("pass")
})

test.each([
  [{ credsStore: "desktop" }, "credsStore"],
  [{ credsstore: "desktop" }, "credsstore"],
  [{ credsStore: "", CredsStore: "desktop" }, "CredsStore"],
  [{ CREDHELPERS: { [HOST]: "ecr-login" } }, `CREDHELPERS["${HOST}"]`],
  [{ credHelpers: { [HOST]: "ecr-login" } }, `credHelpers["${HOST}"]`],
  [{ credsStore: "desktop", credHelpers: { [HOST]: "ecr-login" } }, `credHelpers["${HOST}"]`],
])("refuses to write a login that %j would hide, and says how to get out", async (config, hiding) => {
  const file = configFile(JSON.stringify({ ...config, auths: {} }))
  const before = snapshotOf(dirname(file))
  const { code, target, message, hint, retryable } = await failureOf(file)
  expect({ code, retryable, target }).toEqual({
    code: "shadowed",
    retryable: false,
    target: `${file} auths["${HOST}"]`,
  })
  expect(message).toContain(`${hiding} in the same file would hide the login`)
  expect(hint).toContain(`remove ${hiding} from ${file}`)
  expect(snapshotOf(dirname(file))).toEqual(before)
})

test("writes a hidden login with a warning where shadowed=allow says so", async () => {
  const file = configFile(`{"credsStore":"desktop"}`)
  const result = await deliver(file, SHORT, { shadowed: "allow" })
  expect(result).toMatchObject({
    outcome: "delivered",
    warning: "docker does not look here, but asks its credsStore",
  })
  expect(loginIn(file, HOST)?.password).toBe("pass")
})

test.each([
  { credsStore: "" },
  { credsStore: "desktop", credHelpers: { [HOST]: "" } },
  { credHelpers: { "ghcr.io": "gh", [`x.${HOST}`]: "other" } },
  { credHelpers: null },
])("sees nothing that hides the login in %j", async (config) => {
  expect(await deliver(configFile(JSON.stringify(config)))).toMatchObject({ outcome: "delivered" })
})

test.each([
  ["is not valid JSON", `{"auths": {"h": {"auth": "c2VjcmV0`],
  ["is not valid JSON", `{"auths": {}} c2VjcmV0`],
  ["is not valid JSON", `{"auths": {},}`],
  ["is not valid JSON", `\ufeff{}`],
  ["is not a JSON object", `["c2VjcmV0"]`],
  ["is not a JSON object", `"c2VjcmV0"`],
  [`"auths" in it is not an object`, `{"auths": ["c2VjcmV0"]}`],
  [`"credHelpers" in it is not an object`, `{"credHelpers": "c2VjcmV0"}`],
  ["is not UTF-8", Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
])("refuses a file that %s, and leaves it", async (fault, content) => {
  const file = configFile("")
  writeFileSync(file, content)
  const before = snapshotOf(dirname(file))
  const error = await failureOf(file)
  expect([error.message, error.code, error.retryable]).toEqual([`${file}: ${fault}`, "invalid-config", false])
  expect(error.hint).toContain("correct it by hand")
  expect(textOf(error)).not.toContain("c2VjcmV0")
  expect(snapshotOf(dirname(file))).toEqual(before)
  const sink = sinkFor(file)
  expect(await sink.read?.(sink.targets(REGISTRY), calm())).toMatchObject([
    { state: "unreadable", error: { code: "invalid-config" } },
  ])
  expect(await sink.check?.(sink.targets(REGISTRY), calm())).toMatchObject([
    { level: "error", subject: file, message: fault },
  ])
})

test("reads what stands for a host, and why it is not what we would write", async () => {
  const login = fresh()
  const auth = authOf(login)
  const expiresAt = login.expiresAt
  const heldBy = async (config: object, options: object = {}) => {
    const sink = sinkFor(configFile(JSON.stringify(config)), options)
    return (await sink.read?.(sink.targets(REGISTRY), calm()))?.[0]
  }
  const held = { state: "held", expiresAt } as const
  expect(await heldBy({ auths: { [HOST]: { auth } } })).toEqual(held)
  expect(await heldBy({ auths: { [HOST]: { auth }, [`https://${HOST}`]: { auth: "b2xk" } } })).toEqual({
    ...held,
    differs: `it is also under "https://${HOST}", which some clients look at first`,
  })
  expect(await heldBy({ auths: { [HOST]: {} } })).toEqual({ state: "missing" })
  expect(await heldBy({ auths: { [`https://${HOST}`]: { auth } } })).toEqual({
    ...held,
    differs: `it is under "https://${HOST}" and not under the bare host, where clients look first`,
  })
  expect(await heldBy({ auths: { [HOST]: { auth, identitytoken: "t" } } })).toEqual({
    ...held,
    differs: `"identitytoken" is set beside it`,
  })
  expect(await heldBy({ auths: { [HOST]: { auth: "??" } } })).toEqual({
    state: "held",
    expiresAt: undefined,
    differs: `"auth" holds no login`,
  })
  expect(await heldBy({ auths: { [HOST]: { auth: "ZXZhOng=" } } })).toEqual({
    state: "held",
    expiresAt: undefined,
    differs: "user name is not AWS",
  })
  const hidden = { credsStore: "desktop", auths: { [HOST]: { auth } } }
  expect(await heldBy(hidden)).toEqual({
    ...held,
    differs: "credsStore hides it from docker",
    hint: expect.stringMatching(/^remove credsStore from .*, or choose another file with path=/),
  })
  expect(await heldBy({ auths: {}, credsStore: "pass" })).toEqual({
    state: "missing",
    hint: expect.stringMatching(/^remove credsStore from /),
  })
  expect(await heldBy(hidden, { shadowed: "allow" })).toEqual(held)
})

test("refuses a config whose logins stand where docker alone would find them", async () => {
  const file = configFile(`{"Auths":{"ghcr.io":{"auth":"eA=="}}}`)
  const { code, message } = await failureOf(file)
  expect({ code, message }).toEqual({
    code: "invalid-config",
    message: `${file}: "Auths" in it means "auths" to docker and nothing to other programs: write it in lower case`,
  })
})

test("check finds what would stand in the way, and says what to do", async () => {
  const checked = (file: string, options: object = {}, deps: Partial<SinkDeps> = {}) => {
    const sink = sinkFor(file, options, deps)
    return sink.check?.([...sink.targets(REGISTRY), ...sink.targets(ZERO_REGISTRY)], calm())
  }
  const file = configFile(JSON.stringify({ credHelpers: { [HOST]: "ecr-login" } }))
  const ok = { level: "ok", subject: file, message: "can be written" } as const
  const finding = { subject: `${file} auths["${HOST}"]`, fix: expect.stringContaining("remove credHelpers") }
  expect(await checked(file)).toMatchObject([ok, { level: "error", ...finding }])
  expect(await checked(file, { shadowed: "allow" })).toMatchObject([ok, { level: "warning", ...finding }])
  const missing = join(dirname(file), "new", "config.json")
  const env = { DOCKER_AUTH_CONFIG: "{}" }
  expect(await checked(missing, {}, { env })).toMatchObject([
    { level: "ok", subject: missing },
    { level: "warning", subject: "DOCKER_AUTH_CONFIG" },
  ])
  expect(await checked(join(file, "config.json"))).toMatchObject([
    { level: "error", subject: `${file}/config.json`, message: "a part of the path is not a folder" },
  ])
})

test("rewrites the file itself where in_place=true says so", async () => {
  const file = configFile(`{"a": "${"long ".repeat(100)}", "auths": {"${HOST}": {"auth": "b2xk"}}}`)
  const inode = statSync(file).ino
  for (const in_place of [true, "true"])
    await deliver(file, in_place === true ? fresh() : SHORT, { in_place })
  expect(statSync(file).ino).toBe(inode)
  expect(loginIn(file, HOST)?.password).toBe("pass")
  mkdirSync(join(dirname(file), "empty"))
  expect(await deliver(join(dirname(file), "empty"), SHORT, { in_place: true })).toMatchObject({
    outcome: "delivered",
  })
})

test("path may name a file for each account, region or host; each is written, read and checked on its own", async () => {
  const folder = dirname(configFile())
  const sink = sinkFor(join(folder, "{account}/{region}/{host}/config.json"))
  const credentials = [REGISTRY, ZERO_REGISTRY].map((registry) => ({ ...SHORT, registry }))
  const deliveries = deliveriesOf(sink, credentials)
  expect(await sink.deliver(deliveries, calm())).toMatchObject([
    { outcome: "delivered" },
    { outcome: "delivered" },
  ])
  for (const { account, region, host } of [REGISTRY, ZERO_REGISTRY]) {
    const { auths } = JSON.parse(readFileSync(join(folder, account, region, host, "config.json"), "utf8"))
    expect(Object.keys(auths)).toEqual([host])
  }
  const targets = deliveries.map(({ target }) => target)
  expect(await sink.read?.(targets, calm())).toMatchObject([{ state: "held" }, { state: "held" }])
  expect(await sink.check?.(targets, calm())).toMatchObject([{ level: "ok" }, { level: "ok" }])
  expect(await sink.folders?.(calm())).toEqual([folder])
})

test("of several files, one that cannot be written fails alone", async () => {
  const folder = dirname(configFile())
  mkdirSync(join(folder, REGISTRY.account))
  writeFileSync(join(folder, REGISTRY.account, "config.json"), "{broken")
  const sink = sinkFor(join(folder, "{account}/config.json"))
  const credentials = [REGISTRY, ZERO_REGISTRY].map((registry) => ({ ...SHORT, registry }))
  expect(await sink.deliver(deliveriesOf(sink, credentials), calm())).toMatchObject([
    { outcome: "failed", error: { code: "invalid-config" } },
    { outcome: "delivered" },
  ])
})

test("a place-holder that stands for nothing is refused before any I/O", () => {
  for (const nothing of ["{acount}", "{}", "{ACCOUNT}", "{"])
    expect(() => sinkFor(`/tmp/${nothing}`)).toThrow(`${nothing} is not a placeholder`)
})

test("check finds a twin of the registry's entry, and a refresh removes it", async () => {
  const path = configFile(`{"auths": {"https://${HOST}": {"auth": "${AUTH}"}}}`)
  const check = async () => {
    const sink = sinkFor(path)
    return (await sink.check?.(sink.targets(REGISTRY), calm()))?.filter(({ level }) => level === "warning")
  }
  expect(await check()).toMatchObject([
    { message: expect.stringContaining(`also there as "https://${HOST}"`) },
  ])
  await deliver(path)
  expect(await check()).toEqual([])
})
