// What clients of AWS are made with where a sink makes them: as whom, and in which region.
import { expect, test } from "bun:test"
import { parseAirflowIdentity } from "../src/airflow-identity.ts"
import { createAwsAccess } from "../src/aws-access.ts"
import { loadClientConfig } from "../src/aws-client.ts"
import { connectionOf } from "./support/airflow-identity.ts"
import { homeWith, withAws } from "./support/aws-environment.ts"
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

test("a sink asks as the command does, unless it names an identity of its own, were it a profile alone", async () => {
  const keys = (id: string) => `aws_access_key_id = ${id}\naws_secret_access_key = secret\n`
  const HOME = await homeWith({ credentials: `[command]\n${keys("AKIDCOMMAND")}[team]\n${keys("AKIDTEAM")}` })
  const ids = await withAws({ HOME, AWS_REGION: "eu-west-1" }, (_, env) => {
    const loadAirflowIdentity = () => Promise.reject(new Error("this test has no Airflow"))
    const access = createAwsAccess({ profile: "command" }, { env, fetch, loadAirflowIdentity })
    return Promise.all(
      [{}, { region: "eu-west-2" }, { profile: "team" }].map(async (who) => {
        const { credentials } = await access.clientConfig("ssm", who, calm())
        return credentials.accessKeyId
      }),
    )
  })
  expect(ids).toEqual(["AKIDCOMMAND", "AKIDCOMMAND", "AKIDTEAM"])
})

test("what a connection says of FIPS and dual stack beats the environment, in both ways", async () => {
  const endpointsBy = async (use_fips_endpoint: boolean, use_dualstack_endpoint: boolean) => {
    const extra = { config_kwargs: { use_fips_endpoint, use_dualstack_endpoint } }
    const connection = connectionOf({ login: "AKIDTEAM", password: "the-team's-key", extra })
    const others = { AWS_USE_FIPS_ENDPOINT: `${!use_fips_endpoint}` }
    const env = { ...others, AWS_USE_DUALSTACK_ENDPOINT: `${!use_dualstack_endpoint}` }
    const loadAirflowIdentity = async () => parseAirflowIdentity(connection, env)
    const asking = { service: "ssm", principal, region: "eu-west-1" } as const
    const config = await loadClientConfig(asking, { env, fetch, loadAirflowIdentity }, calm())
    return [config.useFipsEndpoint, config.useDualstackEndpoint]
  }
  expect(await endpointsBy(true, false)).toEqual([true, false])
  expect(await endpointsBy(false, true)).toEqual([false, true])
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
