// What a login file holds: each form to the letter, what is taken for a login of ours, and what is somebody else's.
import { afterEach, expect, test } from "bun:test"
import { readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import kind from "../../sinks/file.ts"
import type { Credential } from "../../src/credential.ts"
import { ConfigError } from "../../src/errors.ts"
import { parseRegistry, type Registry } from "../../src/registry.ts"
import { credentialWith, makeCredential } from "../support/credentials.ts"
import { snapshotOf } from "../support/docker-file.ts"
import { newFile, removeFiles, textIn } from "../support/files.ts"
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

afterEach(removeFiles)

const SHORT = credentialWith({ registry: REGISTRY, expiresAt: NOW + hours(12), password: "pass" })
const fresh = (registry = REGISTRY, lasts = 12) =>
  makeCredential({ registry, expiresAt: NOW + hours(lasts), size: 300 })
const passwordOf = (credential: Credential) => credential.password.reveal()

async function deliver(path: string, credential: Credential, options: object = {}) {
  const sink = makeSink(kind, { path, ...options })
  return (await sink.deliver(deliveriesOf(sink, [credential]), calm()))[0]
}

async function held(path: string, options: object = {}) {
  const sink = makeSink(kind, { path, ...options })
  return (await sink.read?.(sink.targets(REGISTRY), calm()))?.[0]
}

function parsed(host: string): Registry {
  const registry = parseRegistry(host)
  if (!registry) throw new Error(`${host} is no registry`)
  return registry
}

const { host } = REGISTRY
const auth = Buffer.from("AWS:pass").toString("base64")
const at = new Date(NOW + hours(12)).toISOString()

test.each([
  ["the password alone, without a newline that a reader would have to take off", {}, "pass"],
  ["JSON", { format: "json" }, `{"host":"${host}","username":"AWS","password":"pass","expiresAt":"${at}"}\n`],
  ["netrc", { format: "netrc" }, `machine ${host}\n  login AWS\n  password pass\n`],
  [
    "a template, with braces that are its own",
    {
      template: `{"{host}": {"auth":"{auth}", "{username}": "{account}/{region}", "{password}": "{expires_at}"}} {}`,
    },
    `{"${host}": {"auth":"${auth}", "AWS": "123456789012/eu-central-1", "pass": "${at}"}} {}`,
  ],
])("writes %s", async (_, options, text) => {
  const file = newFile()
  expect(await deliver(file, SHORT, options)).toEqual({ outcome: "delivered", expiresAt: SHORT.expiresAt })
  expect(textIn(file)).toBe(text)
})

test("a password with what means something in a template stays as it is", async () => {
  const file = newFile()
  const password = "$& {host} $1"
  await deliver(file, { ...credentialWith({ ...SHORT, password }) }, { template: "{password}\n" })
  expect(textIn(file)).toBe(`${password}\n`)
})

test.each([REGISTRY, ZERO_REGISTRY, parsed("public.ecr.aws"), { ...REGISTRY, host: "images.example.com" }])(
  "what was written for $host is known again, whatever the template holds",
  async (registry) => {
    const file = newFile()
    const names = ["host", "username", "password", "auth", "expires_at", "account", "region"]
    const template = names.map((name) => `${name}.*$(={${name}} [{${name}}]`).join("|")
    for (const lasts of [11, 12]) {
      const credential = fresh(registry, lasts)
      expect(await deliver(file, credential, { template })).toMatchObject({ outcome: "delivered" })
      const sink = makeSink(kind, { path: file, template })
      expect(await sink.read?.(sink.targets(registry), calm())).toEqual([
        { state: "held", expiresAt: credential.expiresAt },
      ])
    }
  },
)

test.each([
  ["the password", {}, (password: string) => password],
  ["what `aws ecr get-login-password` wrote", {}, (password: string) => `${password}\n`],
  ["JSON", { format: "json" }, (password: string) => json(password)],
  ["netrc", { format: "netrc" }, (password: string) => netrc(password)],
  [
    "base64",
    { template: "X={auth}\nHOST={host}" },
    (password: string) => `X=${Buffer.from(`AWS:${password}`).toString("base64")}\nHOST=${host}\n`,
  ],
])("reads until when %s is good, and leaves it alone where that is later", async (_, options, textOf) => {
  const later = fresh(REGISTRY, 12.5)
  const file = newFile(textOf(passwordOf(later)))
  const before = textIn(file)
  const sink = makeSink(kind, { path: file, mode: "0644", ...options })
  expect(await sink.read?.(sink.targets(REGISTRY), calm())).toEqual([
    { state: "held", expiresAt: later.expiresAt },
  ])
  expect(await deliver(file, fresh(), options)).toEqual({ outcome: "unchanged", expiresAt: later.expiresAt })
  expect(textIn(file)).toBe(before)
})

const json = (password: string, to = host, expiresAt = at) =>
  `{"host":"${to}","username":"AWS","password":"${password}","expiresAt":"${expiresAt}"}`
const netrc = (password: string, to = host) => `machine ${to}\n  login AWS\n  password ${password}\n`

test("JSON tells an expiry that its password does not", async () => {
  const expiresAt = new Date(NOW + hours(12.5)).toISOString()
  const file = newFile(json("tells-nothing", host, expiresAt))
  expect(await held(file, { format: "json", mode: "0644" })).toEqual({
    state: "held",
    expiresAt: NOW + hours(12.5),
  })
})

test.each([
  ["of another form", {}, netrc, "it is a login in another format"],
  ["to another registry", { format: "json" }, toZero, "it is the login to another registry"],
])("a login %s is replaced, however long it lives", async (_, options, textOf, differs) => {
  const later = fresh(REGISTRY, 12.5)
  const file = newFile(textOf(passwordOf(later)))
  expect(await held(file, options)).toEqual({ state: "held", expiresAt: later.expiresAt, differs })
  expect(await deliver(file, fresh(), options)).toMatchObject({ outcome: "delivered" })
  expect(await held(file, options)).toEqual({ state: "held", expiresAt: NOW + hours(12) })
})

function toZero(password: string): string {
  return json(password, ZERO_REGISTRY.host)
}

test("a long password that tells no expiry is known for one of AWS all the same", async () => {
  const file = newFile("A".repeat(1200))
  expect(await held(file, { mode: "0644" })).toEqual({ state: "held", expiresAt: undefined })
  expect(await deliver(file, SHORT)).toMatchObject({ outcome: "delivered" })
})

test.each([
  ["a password of somebody else", {}, "c2VjcmV0"],
  ["a file of settings", {}, "[core]\nfernet_key = c2VjcmV0\n"],
  ["bytes that are no text", {}, Buffer.from([0xff, 0xfe, 0x00, 0x41])],
  ["JSON of somebody else", { format: "json" }, `{"password":"c2VjcmV0"}`],
  ["a login of another user", { format: "netrc" }, `machine ${host}\n  login eva\n  password c2VjcmV0\n`],
  [
    "ours beside another machine's",
    { format: "netrc" },
    `${netrc("pass")}machine x login eva password c2VjcmV0\n`,
  ],
  ["a variable that fits the template", { template: "TOKEN={password}\n" }, "TOKEN=c2VjcmV0\n"],
])("refuses to replace %s, unless adopt=true says so", async (_, options, content) => {
  const file = newFile("")
  writeFileSync(file, content)
  const before = snapshotOf(dirname(file))
  const result = await deliver(file, fresh(), options)
  const error = result?.outcome === "failed" ? result.error : undefined
  expect(error).toMatchObject({ code: "not-ours", retryable: false, target: file })
  expect(error?.message).toBe(`${file}: holds something other than one ECR login`)
  expect(error?.hint).toContain("adopt=true")
  expect(await held(file, options)).toMatchObject({ state: "unreadable", error: { code: "not-ours" } })
  const sink = makeSink(kind, { path: file, ...options })
  expect(await sink.check?.(sink.targets(REGISTRY), calm())).toMatchObject([
    { level: "error", subject: file },
  ])
  expect(snapshotOf(dirname(file))).toEqual(before)
  const adopt = { ...options, adopt: "true" }
  expect(await held(file, adopt)).toMatchObject({ state: "held", differs: expect.stringContaining("other") })
  expect(await deliver(file, fresh(), adopt)).toMatchObject({ outcome: "delivered" })
  expect(await held(file, options)).toMatchObject({ state: "held", expiresAt: NOW + hours(12) })
})

test("an empty file holds nothing that could be lost", async () => {
  const file = newFile("\n")
  expect(await held(file)).toEqual({ state: "missing" })
  expect(await deliver(file, SHORT)).toMatchObject({ outcome: "delivered" })
})

test("each registry has a file of its own by what stands in the path; one that cannot be written fails alone", async () => {
  const folder = dirname(newFile())
  const sink = makeSink(kind, { path: join(folder, "{account}/{region}/{host}") })
  const deliveries = deliveriesOf(sink, [fresh(), fresh(ZERO_REGISTRY)])
  expect(deliveries.map(({ target }) => target.name)).toEqual(
    [REGISTRY, ZERO_REGISTRY].map(({ account, region, host }) => join(folder, account, region, host)),
  )
  writeFileSync(join(folder, ZERO_REGISTRY.account), "no folder")
  expect(await sink.deliver(deliveries, calm())).toMatchObject([
    { outcome: "delivered" },
    { outcome: "failed", error: { code: "not-a-folder" } },
  ])
  expect(await sink.folders?.(calm())).toEqual([folder])
})

test("~ is the home directory, and a service may write there", async () => {
  const home = dirname(newFile())
  const sink = makeSink(kind, { path: "~/.netrc", format: "netrc" }, testDeps({ home }))
  await sink.deliver(deliveriesOf(sink, [SHORT]), calm())
  expect(readFileSync(join(home, ".netrc"), "utf8")).toContain("password pass")
  expect(await sink.folders?.(calm())).toEqual([home])
  expect(() => makeSink(kind, { path: "~/.netrc" })).toThrow("there is no home directory")
})

test.each([
  [{ path: "ecr/password" }, /must be a full path/],
  [{ path: "/etc/ecr/" }, /must name a file/],
  [{ path: "/etc/{acount}" }, /\{acount\} is not a placeholder/],
  [{ template: "{password} {hots}" }, /\{hots\} is not a placeholder; there are \{host\}, .* and \{region\}/],
  [{ template: "{host}" }, /must hold \{password\}, or \{auth\}/],
  [
    { template: "{password}{account}" },
    /could not read back what it would write: put something that no login holds/,
  ],
  [{ template: "{password}-{region}" }, /could not read back/],
  [{ template: "{auth}{password}" }, /could not read back/],
  [{ template: "{password}", format: "json" }, /takes the place of format/],
  [{ format: "yaml" }, /format|Expected/],
  [{ mode: "rw" }, /octal mode/],
  [{ mode: "0288" }, /octal mode/],
  [{ mode: "0200" }, /octal mode that lets its owner read/],
  [{ mode: "4755" }, /octal mode/],
  [{ mode: 416 }, /in quotes/],
  [{ owner: "-x" }, /USER, USER:GROUP or :GROUP/],
  [{ owner: "eva:" }, /USER, USER:GROUP or :GROUP/],
])("refuses %j before any I/O", (options, says) => {
  expect(() => makeSink(kind, { path: "/etc/ecr", ...options })).toThrow(says)
})

test.each(["x{password}y", "{password}{password}{host}", "{password}\n{region}", "{host}/{region}={auth}"])(
  "takes the template %j, which can be read again, and finds its login in place",
  async (template) => {
    const file = newFile()
    const credential = makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(12), size: 2000 })
    expect(await deliver(file, credential, { template })).toMatchObject({ outcome: "delivered" })
    expect(await deliver(file, credential, { template })).toMatchObject({ outcome: "unchanged" })
  },
)

test("format and template together are a fault of the configuration", () => {
  expect(() => makeSink(kind, { path: "/x", format: "json", template: "{auth}" })).toThrow(ConfigError)
})
