// From the token to a connection in Airflow on Amazon MWAA, as the binary, Bun and Deno run it: an identity of its own for
// the delivery, what `check` says, and a refusal as a person reads it.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { type StandIn, startAws } from "../scripts/aws.ts"
import { innerAirflow } from "./support/airflow-rest-mwaa.ts"
import { type RestServer, startAirflowRest } from "./support/airflow-rest-server.ts"
import { homeWith } from "./support/aws-environment.ts"
import { binary, OFFLINE, standInEnvironment } from "./support/binary.ts"
import { ENVIRONMENT, INVOKERS, type MwaaServer, startMwaa } from "./support/mwaa-server.ts"
import { RUNTIMES, runUnder } from "./support/runtimes.ts"

const SINK = `airflow-rest,mwaa_environment=${ENVIRONMENT},conn_id=ecr_docker`
const HOST = "012345678901.dkr.ecr.eu-west-1.amazonaws.com"

let aws: StandIn
let airflow: RestServer
let mwaa: MwaaServer
beforeAll(async () => {
  aws = startAws()
  airflow = startAirflowRest({ api: "v2" })
  mwaa = startMwaa({ airflow: innerAirflow(airflow, "v2"), region: "eu-west-1" })
  await binary()
}, 60_000)
beforeEach(() => airflow.connections.clear())
afterAll(() => Promise.all([aws.stop(), airflow.stop(), mwaa.stop()]))

const profile = (name: string, keys: { readonly accessKeyId: string; readonly secretAccessKey: string }) =>
  `[profile ${name}]\naws_access_key_id = ${keys.accessKeyId}\naws_secret_access_key = ${keys.secretAccessKey}\n`

describe.each([...RUNTIMES])("under %s", (_, command) => {
  async function run(verb: string, who: string, more: Readonly<Record<string, string>> = {}) {
    const config = profile("ops", INVOKERS.admin) + profile("nobody", INVOKERS.stranger)
    const env = {
      HOME: await homeWith({ config }),
      ...standInEnvironment(aws.url),
      AWS_ENDPOINT_URL_MWAA: mwaa.url,
      ...OFFLINE,
      ...more,
    }
    return runUnder(command, [verb, "--sink", `${SINK},profile=${who}`], env)
  }

  test("delivers with the sink's own profile", async () => {
    const { out, error, code } = await run("refresh", "ops")
    expect({ error, code }).toEqual({ error: "", code: 0 })
    expect(out).toStartWith(`delivered  airflow-rest  eu-west-1 (ops) MWAA ${ENVIRONMENT} ecr_docker`)
    expect(airflow.connections.get("ecr_docker")).toMatchObject({ host: HOST, login: "AWS" })
  }, 30_000)

  test("says beforehand that it would be let in", async () => {
    const { out } = await run("check", "ops")
    expect(out).toContain("Airflow 3.3.2 lets ecrelay in: 1 connection can be written")
    expect(airflow.connections.size).toBe(0)
  }, 30_000)

  test.each(["AWS_ENDPOINT_URL_MWAA", "AWS_ENDPOINT_URL_ECR"])(
    "calls it by its name where nobody answers at %s",
    async (variable) => {
      const gone = startAws()
      await gone.stop()
      // Long enough for a first attempt to come to its end where the source is compiled first.
      const { out, code } = await run("refresh", "ops", { [variable]: gone.url, ECRELAY_TIMEOUT: "4s" })
      expect(code).toBe(1)
      expect(out).toContain("AWS cannot be reached")
    },
    30_000,
  )

  test("tells a person what to allow", async () => {
    const { out, code } = await run("refresh", "nobody")
    expect(code).toBe(1)
    expect(out).toContain("AWS refused access: airflow:InvokeRestApi (User: ")
    expect(out).toContain(
      `allow airflow:InvokeRestApi on arn:aws:airflow:eu-west-1:<account>:role/${ENVIRONMENT}/Op`,
    )
  }, 30_000)
})
