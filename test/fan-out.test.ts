// Many accounts and regions in one process: each registry asked for by its own identity, each sink given what it names.
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { DEMO_IDENTITY, type StandIn, startAws } from "../scripts/aws.ts"
import { binary, ecrelay, standInEnvironment, temporaryFolder } from "./support/binary.ts"

const TEAM = { accessKeyId: "AKIDTEAM", secretAccessKey: "the-team's-key", account: "222222222222" }
const PARTNER = { accessKeyId: "AKIDPARTNER", secretAccessKey: "the-partner's-key", account: "333333333333" }
const hostOf = (account: string, region: string) => `${account}.dkr.ecr.${region}.amazonaws.com`

let aws: StandIn
let home: string
beforeAll(async () => {
  aws = startAws({ identities: [DEMO_IDENTITY, TEAM, PARTNER] })
  await binary()
}, 60_000)
afterAll(() => aws.stop())
beforeEach(async () => {
  home = await temporaryFolder()
  await mkdir(join(home, ".aws"))
  await writeFile(
    join(home, ".aws/credentials"),
    `[team]\naws_access_key_id = ${TEAM.accessKeyId}\naws_secret_access_key = ${TEAM.secretAccessKey}\n`,
  )
})

async function run(config: string, ...argv: readonly string[]) {
  await writeFile(join(home, "config.toml"), config)
  const before = aws.calls.length
  const env = {
    HOME: home,
    ...standInEnvironment(aws.url),
    AIRFLOW_CONN_AWS_PARTNER: `aws://${PARTNER.accessKeyId}:${encodeURIComponent(PARTNER.secretAccessKey)}@/`,
  }
  const transcript = await ecrelay([...argv, "--config", join(home, "config.toml")], { env })
  const calls = aws.calls
    .slice(before)
    .map(({ operation, account, region }) => `${operation} ${account} ${region}`)
  return { ...transcript, calls: calls.sort() }
}

const hostsIn = async (path: string) => Object.keys(JSON.parse(await readFile(path, "utf8")).auths).sort()

test("each identity is asked once a region, and each sink gets the registries that it names", async () => {
  const everything = `
    [[registry]]
    region = "eu-west-1"
    [[registry]]
    region = "us-east-1"
    profile = "team"
    [[registry]]
    host = "${hostOf("999999999999", "us-east-1")}"
    profile = "team"
    [[registry]]
    region = "eu-central-1"
    aws_conn_id = "aws_partner"
    [[registry]]
    host = "${hostOf("555555555555", "eu-north-1")}"
    role_arn = ["arn:aws:iam::444444444444:role/hub", "arn:aws:iam::555555555555:role/external-abc"]
    external_id = "abc"
    [[sink]]
    type = "docker-config"
    path = "${home}/all.json"
    [[sink]]
    type = "docker-config"
    path = "${home}/team.json"
    registries = ["us-east-1", "${hostOf("999999999999", "us-east-1")}"]
  `
  const { code, error, calls } = await run(everything, "refresh")
  expect({ code, error }).toEqual({ code: 0, error: "" })
  expect(await hostsIn(`${home}/all.json`)).toEqual([
    hostOf(DEMO_IDENTITY.account, "eu-west-1"),
    hostOf(TEAM.account, "us-east-1"),
    hostOf(PARTNER.account, "eu-central-1"),
    hostOf("555555555555", "eu-north-1"),
    hostOf("999999999999", "us-east-1"),
  ])
  expect(await hostsIn(`${home}/team.json`)).toEqual([
    hostOf(TEAM.account, "us-east-1"),
    hostOf("999999999999", "us-east-1"),
  ])
  expect(calls).toEqual([
    `AssumeRole ${DEMO_IDENTITY.account} eu-north-1`,
    "AssumeRole 444444444444 eu-north-1",
    `GetAuthorizationToken ${DEMO_IDENTITY.account} eu-west-1`,
    `GetAuthorizationToken ${TEAM.account} us-east-1`,
    `GetAuthorizationToken ${PARTNER.account} eu-central-1`,
    "GetAuthorizationToken 555555555555 eu-north-1",
  ])
})

test("an identity that AWS refuses fails alone", async () => {
  const { code, out } = await run(
    `
    [[registry]]
    region = "eu-west-1"
    [[registry]]
    host = "${hostOf("555555555555", "eu-north-1")}"
    role_arn = "arn:aws:iam::555555555555:role/external-abc"
    external_id = "wrong"
    [[sink]]
    type = "docker-config"
    path = "${home}/all.json"
    `,
    "refresh",
  )
  expect(code).toBe(1)
  expect(out).toMatch(/^delivered.*\n.*failed.*\n.*AWS refused access for role arn:aws:iam::555555555555/m)
  expect(await hostsIn(`${home}/all.json`)).toEqual([hostOf(DEMO_IDENTITY.account, "eu-west-1")])
})

test("config prints what was read, and it is read again as it was meant", async () => {
  const { out, code } = await run(
    `
    aws_conn_id = "aws_partner"
    [airflow]
    url = "env:AIRFLOW_DATABASE"
    [[registry]]
    region = "eu-west-1"
    [[registry]]
    region = "eu-west-2"
    role_arn = ["arn:aws:iam::444444444444:role/hub", "arn:aws:iam::555555555555:role/pull"]
    probe = true
    [[sink]]
    type = "docker-config"
    `,
    "config",
  )
  expect(code).toBe(0)
  expect(out).toContain('aws_conn_id = "aws_partner"')
  expect(out).toContain(
    'role_arn = [ "arn:aws:iam::444444444444:role/hub", "arn:aws:iam::555555555555:role/pull" ]',
  )
  expect((await run(out, "config")).out).toBe(out)
})
