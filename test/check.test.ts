// `ecrelay check`, the doctor: each fault between the identity and the pull is made, found with its fix, and gone after
// the fix; and nothing is changed by looking.
import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdir, readdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { type StandIn, startAws } from "../scripts/aws.ts"
import { binary, ecrelay, OFFLINE, standInEnvironment, temporaryFolder } from "./support/binary.ts"

const HOST = "012345678901.dkr.ecr.eu-west-1.amazonaws.com"

let aws: StandIn
beforeAll(async () => {
  aws = startAws()
  await binary()
}, 60_000)
afterAll(() => aws.stop())

type Finding = {
  readonly level: string
  readonly subject: string
  readonly message: string
  readonly fix?: string
}

/** Findings for a person with docker's config at home; `more` changes their environment. */
async function findings(more: Record<string, string> = {}, home?: string, url = aws.url) {
  const env = { HOME: home ?? (await temporaryFolder()), ...standInEnvironment(url), ...OFFLINE, ...more }
  const said = await ecrelay(["check", "--sink", "docker-config", "--output", "json"], { env })
  expect(said.error).toBe("")
  const found: readonly Finding[] = JSON.parse(said.out).findings
  return { code: said.code, errors: found.filter(({ level }) => level === "error"), found, home: env.HOME }
}

test("finds nothing to mend where all is well, and changes nothing", async () => {
  const { code, errors, found, home } = await findings()
  expect({ code, errors }).toEqual({ code: 0, errors: [] })
  expect(found.map(({ message }) => message)).toEqual([
    "AWS knows this identity as one of account 012345678901",
    expect.stringMatching(/^ecr:GetAuthorizationToken is allowed; a token lives until /),
    expect.stringMatching(/^the registry cannot be asked from here: /),
    "can be written",
  ])
  expect(await readdir(home)).toEqual([])
})

test("says once that there are no credentials, and how to give some", async () => {
  const { code, errors } = await findings({ AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "" })
  expect(code).toBe(1)
  expect(errors).toEqual([
    {
      level: "error",
      subject: expect.any(String),
      message: expect.stringContaining("no AWS credentials found"),
      fix: expect.stringContaining("AWS_ACCESS_KEY_ID"),
    },
  ])
})

test("says which permission is missing, though the identity is known", async () => {
  const denied = { kind: "error", status: 400, type: "AccessDeniedException", message: "no" } as const
  aws.fail("GetAuthorizationToken", denied, 1)
  const { code, errors, found } = await findings()
  expect(code).toBe(1)
  expect(errors).toMatchObject([{ fix: expect.stringContaining("ecr:GetAuthorizationToken") }])
  expect(found[0]).toMatchObject({ level: "ok", message: expect.stringContaining("012345678901") })
  expect((await findings()).errors).toEqual([])
})

test("goes on without STS where a token can be had, and says that it was not there", async () => {
  const down = { kind: "error", status: 403, type: "AccessDenied", message: "no" } as const
  aws.fail("GetCallerIdentity", down, 1)
  const { code, errors, found } = await findings()
  expect({ code, errors, first: found[0]?.level }).toEqual({ code: 0, errors: [], first: "warning" })
})

test.each([
  ["behind", 180_000],
  ["ahead of", -180_000],
] as const)("finds a clock that is three minutes %s AWS's", async (word, byMs) => {
  const other = startAws({ now: () => Date.now() + byMs })
  const { found } = await findings({}, undefined, other.url)
  await other.stop()
  expect(found).toContainEqual({
    level: "warning",
    subject: expect.any(String),
    message: expect.stringMatching(new RegExp(`^this machine's clock is (3m|2m 59s) ${word} AWS's$`)),
    fix: expect.stringContaining("NTP"),
  })
})

test("finds a helper that hides the login, and a file that cannot be understood, until they are mended", async () => {
  const home = await temporaryFolder()
  await mkdir(join(home, ".docker"))
  const file = join(home, ".docker/config.json")
  await writeFile(file, JSON.stringify({ credHelpers: { [HOST]: "ecr-login" } }))
  expect((await findings({}, home)).errors).toMatchObject([{ fix: expect.stringContaining("credHelpers") }])
  await writeFile(file, "{")
  expect((await findings({}, home)).errors).toMatchObject([{ fix: expect.stringContaining("by hand") }])
  await writeFile(file, "{}")
  expect((await findings({}, home)).errors).toEqual([])
})

test("shows people what is wrong first, and says at the end what it comes to", async () => {
  const home = await temporaryFolder()
  await mkdir(join(home, ".docker"))
  await writeFile(join(home, ".docker/config.json"), "{")
  const env = { HOME: home, ...standInEnvironment(aws.url), ...OFFLINE }
  const { out, code } = await ecrelay(["check", "--sink", "docker-config"], { env })
  expect(code).toBe(1)
  const lines = out.trimEnd().split("\n")
  expect(lines[0]).toMatch(/^error +.*config\.json/)
  expect(lines[1]).toMatch(/^ +fix: /)
  expect(lines.at(-1)).toBe("1 error to mend, 1 warning; nothing was changed")
})
