// How Airflow's `aws` connection has AWS spoken to: endpoints, trust, proxies and retries, as botocore takes them.
import { expect, test } from "bun:test"
import { parseAirflowIdentity } from "../src/airflow-identity.ts"
import { createAws } from "../src/ecr.ts"
import { connectionOf, NOTHING, ofExtra, refusalOf } from "./support/airflow-identity.ts"
import { calm } from "./support/sinks.ts"

test("FIPS and dual-stack endpoints, asked for or refused", () => {
  expect(ofExtra({ config_kwargs: { use_fips_endpoint: true, use_dualstack_endpoint: false } })).toEqual({
    ...NOTHING,
    useFips: true,
    useDualstack: false,
  })
})

test("the FIPS endpoint is the one that is asked", async () => {
  const asked: string[] = []
  const noFetch = async (input: Request | URL | string) => {
    asked.push(String(input instanceof Request ? input.url : input))
    throw Object.assign(new Error("no network here"), { code: "ENOTFOUND" })
  }
  const extra = { config_kwargs: { use_fips_endpoint: true, retries: { max_attempts: 0 } } }
  const connection = connectionOf({ login: "AKIDNOBODY", password: "nobody's", extra })
  const { fetchToken } = createAws({
    env: {},
    fetch: Object.assign(noFetch, { preconnect: () => undefined }),
    loadAirflowIdentity: async () => parseAirflowIdentity(connection, {}),
  })
  const principal = { airflowConnection: connection.id }
  await fetchToken({ service: "ecr", region: "us-east-1", principal }, calm()).catch(() => undefined)
  expect(asked).toEqual(["https://api.ecr-fips.us-east-1.amazonaws.com/"])
})

test("endpoints: one for all, and one by service", () => {
  expect(
    ofExtra({
      endpoint_url: "https://all.example",
      service_config: {
        ecr: { endpoint_url: "https://ecr.example" },
        sts: { endpoint_url: "http://sts.example:5000" },
        "ecr-public": { endpoint_url: "https://public.example" },
        s3: { endpoint_url: 7, bucket_name: "not ours" },
      },
    }),
  ).toEqual({
    ...NOTHING,
    endpoints: {
      all: "https://all.example",
      byService: {
        ecr: "https://ecr.example",
        sts: "http://sts.example:5000",
        "ecr-public": "https://public.example",
      },
    },
  })
})

test("the host that 1.10 took for an endpoint counts with a warning", () => {
  const { endpoints, warnings } = ofExtra({ host: "https://old.example" })
  expect(endpoints).toEqual({ all: "https://old.example", byService: {} })
  expect(warnings).toEqual([expect.stringContaining("write endpoint_url instead")])
  expect(ofExtra({ host: "not a URL", endpoint_url: "https://all.example" }).warnings).toEqual([])
})

test.each([
  [{ endpoint_url: "ecr.example" }, "extra.endpoint_url is not a URL"],
  [{ endpoint_url: "https://" }, "extra.endpoint_url is not a URL"],
  [{ endpoint_url: 7 }, "extra.endpoint_url is not a string"],
  [
    { service_config: { sts: { endpoint_url: "ftp://x" } } },
    "extra.service_config.sts.endpoint_url is not a URL",
  ],
  [{ service_config: { ecr: "x" } }, "extra.service_config.ecr is not a JSON object"],
  [{ verify: 7 }, "extra.verify is neither true, false nor a file"],
  [{ config_kwargs: { proxies: { https: "ftp://p" } } }, "extra.config_kwargs.proxies.https is not the URL"],
  [{ config_kwargs: { proxies: "p:3128" } }, "extra.config_kwargs.proxies is not a JSON object"],
  [
    { config_kwargs: { use_fips_endpoint: "yes" } },
    "extra.config_kwargs.use_fips_endpoint is not true or false",
  ],
  [{ config_kwargs: { retries: { total_max_attempts: 0 } } }, "retries.total_max_attempts is 0"],
  [{ config_kwargs: { retries: { max_attempts: "3" } } }, "retries.max_attempts is not a whole number"],
  [{ config_kwargs: { retries: { mode: "eager" } } }, "retries.mode is not a retry mode"],
])("a wrong way to AWS is refused by its path: %j", (extra, problem) => {
  const { message, code } = refusalOf({ extra })
  expect(message).toContain(problem)
  expect(code).toBe("connection-invalid")
})

test.each([
  [true, undefined],
  ["true", undefined],
  ["True", undefined],
  ["/etc/ssl/own.pem", "/etc/ssl/own.pem"],
  [false, false],
  ["False", false],
] as const)("verify %p", (verify, expected) => {
  const identity = ofExtra({ verify })
  expect(identity.verify).toBe(expected as string)
  expect(identity.warnings).toEqual(
    expected === false ? [expect.stringContaining("verify=false lets anybody pose as AWS")] : [],
  )
})

test("proxies by scheme; without one of its own it is an HTTP proxy", () => {
  expect(
    ofExtra({ config_kwargs: { proxies: { http: "p:3128", https: "https://user:pw@p:443" } } }).proxies,
  ).toEqual({ http: "http://p:3128", https: "https://user:pw@p:443" })
  expect(ofExtra({ config_kwargs: { proxies: { ftp: "p" } } }).warnings).toEqual([
    expect.stringContaining("only http and https count"),
  ])
})

test.each([
  [{ max_attempts: 0 }, 1, undefined],
  [{ max_attempts: 4 }, 5, undefined],
  [{ total_max_attempts: 2, max_attempts: 9 }, 2, undefined],
  [{ mode: "adaptive" }, undefined, "adaptive"],
  [{ mode: "legacy" }, undefined, "standard"],
  [{}, undefined, undefined],
] as const)("retries as botocore counts them: %j", (retries, maxAttempts, retryMode) => {
  const identity = ofExtra({ config_kwargs: { retries } })
  expect([identity.maxAttempts, identity.retryMode]).toEqual([maxAttempts, retryMode])
})

test("what else config_kwargs holds is a warning", () => {
  expect(ofExtra({ config_kwargs: { read_timeout: 5, retries: {} } }).warnings).toEqual([
    expect.stringContaining("has no effect here"),
  ])
})
