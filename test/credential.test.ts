// Credentials: what an authorization token decodes to, how long a login is good, and that a password never shows.
import { expect, test } from "bun:test"
import { format, inspect } from "node:util"
import fc from "fast-check"
import {
  decodeAuthorizationToken,
  expiryOf,
  isBelievable,
  outlives,
  Secret,
  TOKEN_LIFETIME_MS,
} from "../src/credential.ts"
import { DeliveryError, FetchError } from "../src/errors.ts"
import { createLog } from "../src/log.ts"
import { credentialWith, makeCredential } from "./support/credentials.ts"
import { HOUR, MINUTE, START } from "./support/fakes.ts"
import { credentialForms, textOf } from "./support/secrets.ts"
import { REGISTRY } from "./support/sinks.ts"

const base64 = (text: string) => Buffer.from(text).toString("base64")

test("the first colon ends the user name, whatever the password holds", () => {
  const login = decodeAuthorizationToken(base64("AWS:pass:with:colons"))
  expect([login?.userName, login?.password.reveal()]).toEqual(["AWS", "pass:with:colons"])
})

test("any user name without a colon and any password come back as they were", () => {
  const userName = fc.string({ minLength: 1, unit: "grapheme" }).filter((text) => !text.includes(":"))
  fc.assert(
    fc.property(userName, fc.string({ minLength: 1, unit: "grapheme" }), (user, password) => {
      const login = decodeAuthorizationToken(base64(`${user}:${password}`))
      expect([login?.userName, login?.password.reveal()]).toEqual([user, password])
    }),
  )
})

test.each([
  "",
  "not base64!",
  `${base64("AWS:password")}!`,
  base64("AWS"),
  base64(":password"),
  base64("AWS:"),
])("%p is no authorization token", (token) => {
  expect(decodeAuthorizationToken(token)).toBeUndefined()
})

test("whatever AWS may answer is decoded or refused, never thrown", () => {
  fc.assert(
    fc.property(fc.string(), (token) => {
      const login = decodeAuthorizationToken(token)
      expect(login === undefined || login.userName.length > 0).toBe(true)
    }),
  )
})

test("a password as ECR makes it tells when it expires, to the second", () => {
  const { password } = makeCredential({ registry: REGISTRY, expiresAt: START + 999 })
  expect(expiryOf(password.reveal())).toBe(START)
})

test.each([
  "",
  "plain",
  base64("{}"),
  base64('{"expiration":"1790000000"}'),
  base64('{"expiration":-1}'),
  base64('{"expiration":null}'),
  base64("null"),
  base64("[1]"),
  base64("{"),
  "%%%",
])("the password %p tells no expiry", (password) => {
  expect(expiryOf(password)).toBeUndefined()
})

test("whatever a slot may hold tells an expiry or none, never throws", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json().map(base64)), (password) => {
      const expiresAt = expiryOf(password)
      expect(expiresAt === undefined || expiresAt > 0).toBe(true)
    }),
  )
})

const ours = makeCredential({ registry: REGISTRY, expiresAt: START + TOKEN_LIFETIME_MS })

test.each([
  ["nothing that is stored", undefined, false],
  ["one that expires earlier", ours.expiresAt - 1000, false],
  ["one that expires in the same second, so that other bytes are written", ours.expiresAt + 999, false],
  ["one that expires a second later", ours.expiresAt + 1000, true],
  ["one that expires 13 hours from now", START + 13 * HOUR, true],
  ["one that claims more than 13 hours", START + 13 * HOUR + 1, false],
] as const)("%s outlives ours: %p → %p", (_, stored, expected) => {
  expect(outlives(stored, ours, START)).toBe(expected)
})

test("an expiry more than 13 hours ahead is not believed, by a clock that says so", () => {
  expect(isBelievable(START + 13 * HOUR, START)).toBe(true)
  expect(isBelievable(START + 13 * HOUR + 1, START)).toBe(false)
  expect(isBelievable(START - 1000 * HOUR, START)).toBe(true)
})

test("a secret shows nowhere: text, JSON, inspection, console, log lines, errors and their causes", () => {
  const credential = makeCredential({ registry: REGISTRY, expiresAt: START })
  const { password } = credential
  const lines: string[] = []
  for (const form of ["text", "json"] as const) {
    const log = createLog({ level: "debug", format: form }, { now: () => START }, (line) => lines.push(line))
    log("error", `a message with ${password}`, { password, credential, hint: password })
  }
  const about = { code: "x", retryable: false, cause: { credential } }
  const shown = [
    `${password}`,
    String(password),
    `in a ${password} sentence`,
    JSON.stringify({ password, list: [credential] }),
    inspect(credential, { depth: 20, showHidden: true }),
    Bun.inspect(credential, { depth: 20 }),
    Bun.inspect(new Map([["key", password]])),
    format("%s %o %j %O", password, credential, credential, [password]),
    Object.entries(password).join(),
    Object.getOwnPropertyNames(password).join(),
    JSON.stringify(structuredClone({ ...password })),
    textOf(new FetchError("m", { ...about, principal: "p", registry: "r" })),
    textOf(new DeliveryError("m", { ...about, sink: "s", target: "t" })),
    Bun.inspect(new DeliveryError("m", { ...about, sink: "s", target: "t" })),
    ...lines,
  ].join("\n")
  for (const form of credentialForms(credential)) expect(shown).not.toContain(form)
  expect(`${password} ${JSON.stringify([password])} ${inspect(password)}`).toBe(
    '[redacted] ["[redacted]"] [redacted]',
  )
  expect(lines.join("")).toContain("[redacted]")
})

test("a secret that a console prints stays one", async () => {
  const script = `import { Secret } from "${import.meta.dirname}/../src/credential.ts"
    const secret = new Secret(process.env.PASSWORD)
    console.log(secret, { secret }, [secret], "%s", secret); console.error(new Error("x", { cause: secret }))
    console.table([{ secret }]); console.dir({ secret }, { depth: 9 })`
  const child = Bun.spawn([process.execPath, "-e", script], {
    env: { ...process.env, PASSWORD: "hunter2-hunter2" },
    stdout: "pipe",
    stderr: "pipe",
  })
  const printed = (await new Response(child.stdout).text()) + (await new Response(child.stderr).text())
  expect(await child.exited).toBe(0)
  expect(printed).toContain("[redacted]")
  expect(printed).not.toContain("hunter2")
})

test("reveal gives the text back, whatever it is", () => {
  fc.assert(fc.property(fc.string(), (text) => expect(new Secret(text).reveal()).toBe(text)))
  expect(
    credentialWith({ registry: REGISTRY, expiresAt: START + MINUTE, password: "p" }).password.reveal(),
  ).toBe("p")
})
