// --aws-conn-id out of Airflow's database: one connection for all, one for each registry, rotated while `run` stays, and
// roles at moto's STS, which nobody here wrote.
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { type Identity, type StandIn, startAws } from "../scripts/aws.ts"
import { type Airflow, openAirflow, otherKey, seal } from "./support/airflow-db.ts"
import { fernetKey } from "./support/airflow-rows.ts"
import { askAs, IDENTITIES, NOBODY, PARTNER, ROLE, TEAM, variable } from "./support/aws-conn-id.ts"
import { binary, ecrelay, standInEnvironment, temporaryFolder } from "./support/binary.ts"
import { describeWithService } from "./support/services.ts"

const hostOf = ({ account }: Identity, region: string) => `${account}.dkr.ecr.${region}.amazonaws.com`

let aws: StandIn
let home: string
beforeAll(async () => {
  aws = startAws({ identities: IDENTITIES })
  await binary()
}, 60_000)
afterAll(() => aws.stop())
beforeEach(async () => {
  home = await temporaryFolder()
})

/** A connection with these keys, encrypted, as is its extra. */
async function insert(airflow: Airflow, conn_id: string, identity: Identity, extra: object = {}) {
  const { accessKeyId: login, secretAccessKey: plain } = identity
  const sealed = { extra: seal(JSON.stringify(extra)), is_extra_encrypted: true }
  await airflow.insert({ conn_id, conn_type: "aws", login, plain, ...sealed })
}

const settingsOf = ({ url }: Airflow) => ({
  AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: url,
  AIRFLOW__CORE__FERNET_KEY: fernetKey,
})

const hostsIn = async (file: string) => Object.keys(JSON.parse(await readFile(file, "utf8")).auths).sort()

test("the connection is found where Airflow finds it, and asked with", async () => {
  await using airflow = await openAirflow("sqlite")
  await insert(airflow, "aws_eu", TEAM, { region_name: "eu-central-1" })
  const { code, error, asked } = await askAs({ aws, home }, ["refresh"], settingsOf(airflow))
  expect({ code, error, asked }).toEqual({
    code: 0,
    error: "",
    asked: ["GetAuthorizationToken 222222222222 eu-central-1"],
  })
})

test("the variable is before the database, and --airflow-url is the database's place", async () => {
  await using airflow = await openAirflow("sqlite")
  await insert(airflow, "aws_eu", TEAM)
  const { AIRFLOW__CORE__FERNET_KEY } = settingsOf(airflow)
  const argv = ["refresh", "--airflow-url", airflow.url]
  const env = { AIRFLOW__CORE__FERNET_KEY }
  expect((await askAs({ aws, home }, argv, env)).asked).toEqual([
    "GetAuthorizationToken 222222222222 eu-west-1",
  ])
  expect((await askAs({ aws, home }, argv, { ...env, ...variable({}, PARTNER) })).asked).toEqual([
    "GetAuthorizationToken 333333333333 eu-west-1",
  ])
})

test("each registry asks with the connection that it names, and one that fails fails alone", async () => {
  await using airflow = await openAirflow("sqlite")
  await insert(airflow, "aws_team", TEAM)
  await insert(airflow, "aws_partner", PARTNER, { role_arn: ROLE, assume_role_kwargs: { ExternalId: "abc" } })
  const config = join(home, "config.toml")
  await writeFile(join(home, "key"), `${otherKey},${fernetKey}\n`)
  await writeFile(
    config,
    `
    [airflow]
    url = "env:AIRFLOW_DATABASE"
    fernet_key = "file:${home}/key"
    [[registry]]
    region = "eu-west-1"
    aws_conn_id = "aws_team"
    [[registry]]
    region = "eu-west-2"
    aws_conn_id = "aws_partner"
    [[registry]]
    region = "eu-west-3"
    aws_conn_id = "aws_typo"
    [[sink]]
    type = "docker-config"
    `,
  )
  const env = { HOME: home, ...standInEnvironment(aws.url), AIRFLOW_DATABASE: airflow.url }
  const { code, out } = await ecrelay(["refresh", "--config", config], { env })
  expect(code).toBe(1)
  expect(out).toContain("eu-west-3: Airflow connection aws_typo: Airflow holds no such connection")
  expect(await hostsIn(join(home, ".docker/config.json"))).toEqual([
    hostOf(TEAM, "eu-west-1"),
    hostOf({ ...NOBODY, account: "444444444444" }, "eu-west-2"),
  ])
})

test("run asks with the keys that the connection holds now", async () => {
  await using airflow = await openAirflow("sqlite")
  await insert(airflow, "aws_eu", TEAM)
  const argv = ["run", "--aws-conn-id", "aws_eu", "--sink", "docker-config", "--region", "eu-west-1"]
  const child = Bun.spawn([await binary(), ...argv], {
    env: { HOME: home, ...standInEnvironment(aws.url), ...settingsOf(airflow) },
    stdout: "ignore",
    stderr: "ignore",
  })
  const file = join(home, ".docker/config.json")
  const seen = async (host: string) => {
    while (!(await hostsIn(file).catch(() => [] as readonly string[])).includes(host)) await Bun.sleep(10)
  }
  await seen(hostOf(TEAM, "eu-west-1"))
  const { accessKeyId, secretAccessKey } = PARTNER
  await airflow.run(
    `UPDATE connection SET login = '${accessKeyId}', password = '${seal(secretAccessKey)}' WHERE conn_id = 'aws_eu'`,
  )
  child.kill("SIGUSR1")
  await seen(hostOf(PARTNER, "eu-west-1"))
  child.kill("SIGTERM")
  expect(await child.exited).toBe(0)
}, 30_000)

describeWithService("moto", "moto's STS", ({ url }) => {
  const MOTO = { accessKeyId: "AKIAMOTO", secretAccessKey: "moto", account: "123456789012" }
  const PULL = { ...NOBODY, account: "555555555555" }
  const role_arn = `arn:aws:iam::${PULL.account}:role/pull`

  /** Refreshes by a connection with these keys and this extra. */
  async function refresh(identity: Identity, extra: object): Promise<readonly string[]> {
    await using airflow = await openAirflow("sqlite")
    await insert(airflow, "aws_eu", identity, { ...extra, region_name: "eu-central-1" })
    const argv = ["refresh", "--aws-conn-id", "aws_eu", "--sink", "docker-config"]
    const env = { HOME: home, AWS_ENDPOINT_URL: url, ...settingsOf(airflow) }
    expect(await ecrelay(argv, { env })).toMatchObject({ error: "", code: 0 })
    return hostsIn(join(home, ".docker/config.json"))
  }

  test("gives the role's account by keys", async () => {
    const extra = { role_arn, assume_role_kwargs: { ExternalId: "us", DurationSeconds: 900 } }
    expect(await refresh(MOTO, extra)).toEqual([hostOf(PULL, "eu-central-1")])
  })

  test("gives the role's account by a web identity from a file", async () => {
    await writeFile(join(home, "token"), "header.payload.signature\n")
    const extra = {
      role_arn,
      assume_role_method: "assume_role_with_web_identity",
      assume_role_with_web_identity_federation: "file",
      assume_role_with_web_identity_token_file: join(home, "token"),
    }
    expect(await refresh(NOBODY, extra)).toEqual([hostOf(PULL, "eu-central-1")])
  })
})
