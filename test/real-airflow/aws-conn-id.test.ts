// --aws-conn-id against `aws` connections that real Airflow wrote, encrypted: we understand of each what Airflow's own
// Amazon provider understands, in whatever form Airflow gives it, and ask AWS with it, moto's STS for roles.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { startAws } from "../../scripts/aws.ts"
import { type InstalledAirflow, openRealAirflow, type RealAirflow } from "../support/airflow.ts"
import { otherKey } from "../support/airflow-db.ts"
import { IDENTITIES, PARTNER, TEAM } from "../support/aws-conn-id.ts"
import { connections, connIds, ROLE_ACCOUNT, readByProvider, readByUs } from "../support/aws-connections.ts"
import { binary, ecrelay } from "../support/binary.ts"
import { describeWithService } from "../support/services.ts"

const PATIENCE_MS = 180_000

function proveOn(installed: InstalledAirflow, moto: string): void {
  const aws = startAws({ identities: IDENTITIES })
  let airflow: RealAirflow
  let env: Record<string, string>
  beforeAll(async () => {
    airflow = await openRealAirflow(installed)
    const profiles = join(airflow.env.HOME ?? "", "aws-config")
    await writeFile(profiles, "[profile ci]\n")
    const token = join(airflow.env.HOME ?? "", "token")
    await writeFile(token, "header.payload.signature")
    env = {
      ...airflow.env,
      AWS_DEFAULT_REGION: "us-east-1",
      AWS_CONFIG_FILE: profiles,
      AWS_WEB_IDENTITY_TOKEN_FILE: token,
    }
    await Promise.all([airflow.add(connections), binary()])
  }, PATIENCE_MS)
  afterAll(() => Promise.all([airflow[Symbol.asyncDispose](), aws.stop()]))

  test(
    "each row means to us what it means to Airflow's Amazon provider",
    async () => {
      const expected = await readByProvider(installed, env)
      for (const [i, id] of connIds.entries()) {
        const said = await readByUs(id, env)
        // Without a word about retries, what boto3 and AWS's SDK for JavaScript do by themselves counts.
        const retries = said.attempts === undefined ? { attempts: undefined, mode: undefined } : {}
        expect({ id, ...said }).toEqual({ id, ...expected[i], ...retries })
      }
    },
    PATIENCE_MS,
  )

  test.each(["aws_login", "aws_extra"])("%s is encrypted, and no other key opens it", async (id) => {
    const reading = readByUs(id, { ...env, AIRFLOW__CORE__FERNET_KEY: otherKey })
    expect(await reading.catch((error) => error)).toMatchObject({ code: "fernet-key-wrong" })
  })

  test.each(["uri", "json"])(
    "each variable means to us what the row means, as Airflow itself writes it: %s",
    async (format) => {
      const file = join(airflow.env.HOME ?? "", `${format}.env`)
      const formats = ["--file-format", "env", "--serialization-format", format]
      await airflow.command(["connections", "export", ...formats, file])
      const text = await readFile(file, "utf8")
      for (const id of connIds) {
        const value = new RegExp(`^${id}=(.*)$`, "m").exec(text)?.[1] ?? ""
        const { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: _, ...nowhere } = env
        const variable = { [`AIRFLOW_CONN_${id.toUpperCase()}`]: value }
        expect([id, await readByUs(id, { ...nowhere, ...variable })]).toEqual([id, await readByUs(id, env)])
      }
    },
    PATIENCE_MS,
  )

  test.each([
    ["aws_login", TEAM.account, ""],
    ["aws_extra", PARTNER.account, "a+session/token=="],
    ["aws_old", PARTNER.account, "old"],
    ["aws_both", TEAM.account, "with either"],
  ])("%s asks AWS", async (id, account, sessionToken) => {
    const before = aws.calls.length
    const argv = ["refresh", "--aws-conn-id", id, "--sink", "docker-config"]
    expect(await ecrelay(argv, { env: { ...env, AWS_ENDPOINT_URL: aws.url } })).toMatchObject({ code: 0 })
    expect(aws.calls.slice(before)).toMatchObject([
      { operation: "GetAuthorizationToken", account, sessionToken },
    ])
  })

  test.each(["aws_role", "aws_web_identity"])("%s asks moto for its role, and as that role", async (id) => {
    const file = join(airflow.env.HOME ?? "", id, "config.json")
    const argv = ["refresh", "--aws-conn-id", id, "--sink", `docker-config,path=${file}`]
    expect(await ecrelay(argv, { env: { ...env, AWS_ENDPOINT_URL: moto } })).toMatchObject({
      error: "",
      code: 0,
    })
    const { auths } = JSON.parse(await readFile(file, "utf8"))
    expect(Object.keys(auths)).toEqual([`${ROLE_ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com`])
  })
}

for (const name of ["airflow33", "airflow211"] as const)
  describeWithService(name, name, (installed) => {
    describeWithService("moto", `${name} with moto`, ({ url }) => {
      describe("aws connections", () => proveOn(installed, url))
    })
  })
