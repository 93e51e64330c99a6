// The sink `file`: the shared contract on real files in each of their forms, read as their readers would.
import { test } from "bun:test"
import kind from "../../sinks/file.ts"
import { AWKWARD_PASSWORDS, credentialWith } from "../support/credentials.ts"
import { openLoginFiles, type Reader } from "../support/login-file.ts"
import { deliver, expectStored, make } from "../support/sink-expectations.ts"
import { type SinkSuite, testSink } from "../support/sink-suite.ts"
import { hours, NOW, REGISTRY } from "../support/sinks.ts"

const file = import.meta.resolve("../../sinks/file.ts")

const asPassword: Reader = (password, { registry }) => ({ host: registry.host, userName: "AWS", password })

const asJson: Reader = (text) => {
  if (!text.startsWith("{")) return undefined
  const { host, username, password } = JSON.parse(text)
  return { host, userName: username, password }
}

const asNetrc: Reader = (text) => {
  const words = text.trim().split(/\s+/)
  const after = (word: string) => words[words.indexOf(word) + 1] ?? ""
  return { host: after("machine"), userName: after("login"), password: after("password") }
}

// As a unit of systemd reads an EnvironmentFile.
const asVariables: Reader = (text) => {
  const [, host, auth] = /^HOST=(.*)\nAUTH=(.*)\n$/.exec(text) ?? []
  if (host === undefined || auth === undefined) return undefined
  const [userName = "", ...password] = Buffer.from(auth, "base64").toString().split(":")
  return { host, userName, password: password.join(":") }
}

const NO_ECR_LOGIN =
  "the next login finds a password there that AWS never made, and takes it for somebody else's"

const suites = [
  ["JSON", { format: "json" }, asJson, {}],
  ["a template", { template: "HOST={host}\nAUTH={auth}\n" }, asVariables, {}],
  ["the password alone", {}, asPassword, { "delivers awkward passwords exactly": NO_ECR_LOGIN }],
  [
    "netrc",
    { format: "netrc" },
    asNetrc,
    {
      "delivers awkward passwords exactly": "a word of netrc ends at a blank; AWS makes passwords of base64",
    },
  ],
] as const satisfies readonly (readonly [string, object, Reader, SinkSuite["cannot"]])[]

const NO_SERVER = {
  "ends with the signal's reason when that is aborted while the place keeps silent":
    "the calls of a file system cannot be called off; the wait for a lock is, in test/lock.test.ts",
} as const

for (const [place, form, reader, cannot] of suites)
  testSink({
    kind,
    file,
    place,
    cannot: { ...cannot, ...NO_SERVER },
    open: () => openLoginFiles(form, reader),
  })

test("a file of its own takes the most awkward password as it is", async () => {
  for (const password of Object.values(AWKWARD_PASSWORDS)) {
    const rig = await openLoginFiles({}, asPassword)
    const sink = make(rig, { kind, file, open: async () => rig })
    const credential = credentialWith({ registry: REGISTRY, expiresAt: NOW + hours(12), password })
    await deliver(sink, [credential])
    await expectStored(rig, sink, credential)
    await rig.close()
  }
})
