// `ecrelay check`, the doctor, as people and programs read it. What it finds is proven in check-faults, check-network and
// check-traps.
import { afterAll, beforeAll, expect, test } from "bun:test"
import { chmod, readdir } from "node:fs/promises"
import { join } from "node:path"
import { type Company, HOST, openCompany } from "./support/company.ts"
import { ecrelayAt, look, openSite } from "./support/doctor.ts"

let company: Company
beforeAll(async () => {
  company = await openCompany()
}, 60_000)
afterAll(() => company.stop())

const WHO = "default credentials, eu-west-1"

test("finds nothing to mend where all is well, and changes nothing", async () => {
  const site = await openSite(company)
  const { code, findings } = await look(site, {})
  expect(code).toBe(0)
  expect(findings).toEqual([
    { level: "ok", subject: WHO, message: "AWS accepts this identity, which is in account 012345678901" },
    {
      level: "ok",
      subject: WHO,
      message: expect.stringMatching(/^ecr:GetAuthorizationToken is allowed; a token lives until 2\d{3}-/),
    },
    { level: "ok", subject: HOST, message: "the registry accepts the login" },
    { level: "ok", subject: join(site.home, ".docker/config.json"), message: "can be written" },
  ])
  expect(await readdir(site.home)).toEqual(["ca.pem"])
})

test("programs get level, subject and message of each finding, and code and fix of what is not right", async () => {
  const site = await openSite(company)
  const path = await site.write(".docker/config.json", `{"credHelpers": {"${HOST}": "ecr-login"}}`)
  const argv = ["--sink", "docker-config", "--output", "json"]
  const { out, code } = await ecrelayAt(site, ["check"], { argv })
  expect({ code, ends: out.endsWith("}]}\n") }).toEqual({ code: 1, ends: true })
  const said = JSON.parse(out)
  expect(Object.keys(said)).toEqual(["findings"])
  expect(said.findings.filter(({ level }: { level: string }) => level !== "ok")).toEqual([
    {
      level: "error",
      code: "shadowed",
      subject: `${path} auths["${HOST}"]`,
      message: `credHelpers["${HOST}"] in the same file would hide the login from docker`,
      fix: `remove credHelpers["${HOST}"] from ${path}, or choose another file with path=, or add shadowed=allow if whoever pulls ignores it`,
    },
  ])
})

test("people read what is wrong first, its fix below it, and at the end what it comes to", async () => {
  const site = await openSite(company)
  const path = await site.write(".docker/config.json", "{")
  const proxy = await company.proxyUrl({ others: { [HOST]: 9 } })
  const { out, code } = await ecrelayAt(site, ["check"], { env: { HTTPS_PROXY: proxy } })
  expect(code).toBe(1)
  expect(out.replace(/2\d{3}-\S+ \d\d:\d\d/, "(then)").replace(/here: \w+/, "here: CODE")).toBe(
    [
      `error    ${path}`,
      "         is not valid JSON",
      "         fix: correct it by hand, or move it away to start with a new one; nothing was changed",
      `warning  ${HOST}`,
      "         the login cannot be tried at the registry from here: CODE",
      "         fix: make sure that whoever pulls can reach it: DNS, proxy, VPC endpoint",
      `ok       ${WHO}  AWS accepts this identity, which is in account 012345678901`,
      `ok       ${WHO}  ecr:GetAuthorizationToken is allowed; a token lives until (then) UTC`,
      "",
      "1 error to fix, 1 warning; nothing was changed",
      "",
    ].join("\n"),
  )
})

test("people read in one line that all is well", async () => {
  const { out } = await ecrelayAt(await openSite(company), ["check"], {})
  expect(out.trimEnd().split("\n").at(-1)).toBe("1 target would be delivered; nothing was changed")
})

test("a sink that knows no check is passed over", async () => {
  const site = await openSite(company)
  const path = await site.write(
    "unchecked.ts",
    `export default ({ v, defineSink }) => defineSink({
      type: "unchecked", summary: "", permissions: [], options: v.strictObject({}),
      create: () => ({
        type: "unchecked",
        targets: (registry) => [{ registry, slot: registry.host, name: "unchecked " + registry.host }],
        deliver: async () => [],
      }),
    })`,
  )
  await chmod(path, 0o600)
  const { findings, code } = await look(site, { argv: ["--sink", `module,path=${path}`] })
  expect([findings.filter(({ level }) => level !== "ok"), code]).toEqual([[], 0])
})

test("an AWS that is silent leaves the sinks their time, and is not laid to them", async () => {
  const env = { AWS_ENDPOINT_URL: `http://${await company.listen()}` }
  const argv = ["--sink", "docker-config", "--registry", HOST, "--timeout", "2s"]
  const { findings } = await look(await openSite(company), { env, argv })
  expect(findings).toMatchObject([{ code: "timeout", subject: WHO }, { message: "can be written" }])
})

test("a registry that two identities would write into one place is said before anything is written", async () => {
  const site = await openSite(company)
  const path = await site.write(
    "config.toml",
    `[[registry]]
region = "eu-west-1"

[[registry]]
host = "${HOST}"
profile = "default"

[[sink]]
type = "docker-config"
`,
  )
  await site.write(".aws/config", "[default]\nregion = eu-west-1\n")
  for (const argv of [["check"], ["refresh", "--dry-run"]]) {
    const { out, code } = await ecrelayAt(site, argv, { argv: ["--config", path] })
    expect({ argv, code }).toEqual({ argv, code: 1 })
    expect(out).toContain(`own registry in eu-west-1 and ${HOST} are the same registry; name it once`)
    expect(out).toMatch(/not written at all\n(ok .*)?\n.*changed\n$/s)
  }
})
