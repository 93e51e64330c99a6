// What clients of AWS are made with where a sink makes them: as whom, and in which region.
import { expect, test } from "bun:test"
import { parseAirflowIdentity } from "../src/airflow-identity.ts"
import { loadClientConfig } from "../src/aws-client.ts"
import { connectionOf } from "./support/airflow-identity.ts"
import { calm } from "./support/sinks.ts"

const principal = { airflowConnection: "aws_default" }

/** The region of a client for an Airflow connection with this extra. */
async function regionOf(region: string | undefined, extra: object, env: Record<string, string>) {
  const connection = connectionOf({ login: "AKIDTEAM", password: "the-team's-key", extra: { ...extra } })
  const loadAirflowIdentity = async () => parseAirflowIdentity(connection, env)
  const config = await loadClientConfig(
    { service: "ssm", principal, region },
    { env, fetch, loadAirflowIdentity },
    calm(),
  )
  return config.region
}

test("without a region of its own a client asks in the connection's, and then in the environment's", async () => {
  const env = { AWS_REGION: "eu-west-1" }
  const extra = { region_name: "eu-west-3" }
  expect(await regionOf("eu-west-2", extra, env)).toBe("eu-west-2")
  expect(await regionOf(undefined, extra, env)).toBe("eu-west-3")
  expect(await regionOf(undefined, {}, env)).toBe("eu-west-1")
})

test("without any region it says where one is named", async () => {
  expect(await regionOf(undefined, {}, {}).catch((error) => error)).toMatchObject({
    name: "FetchError",
    code: "no-region",
    principal: "Airflow connection aws_default",
    retryable: false,
  })
})

test("of whose keys sign is told as much as AWS's own tool shows, and of an endpoint no password", async () => {
  const told: string[] = []
  const endpoint_url = "https://eva:hunter2@vpce.example/ecr?token=hunter2"
  const connection = connectionOf({ login: "AKIDTEAM", password: "the-team's-key", extra: { endpoint_url } })
  const env = { AWS_REGION: "eu-west-1" }
  const loadAirflowIdentity = async () => parseAirflowIdentity(connection, env)
  await loadClientConfig(
    { service: "ssm", principal, region: undefined },
    { env, fetch, loadAirflowIdentity, debug: (text) => void told.push(text) },
    calm(),
  )
  expect(told).toEqual([
    "Airflow connection aws_default: access key ending in TEAM, endpoint https://vpce.example",
  ])
})
