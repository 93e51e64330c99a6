// The airflow-rest sink through Amazon MWAA: the shared contract on the stand-in of InvokeRestApi, what exactly is sent,
// and what a person is told where AWS or Airflow refuses.
import { afterEach, describe, expect, test } from "bun:test"
import kind from "../../sinks/airflow-rest.ts"
import { ConfigError } from "../../src/errors.ts"
import { deliverOne, failureOf } from "../support/airflow-rest.ts"
import { depsOf, innerAirflow, mwaaSink, openMwaa } from "../support/airflow-rest-mwaa.ts"
import { type RestServerOptions, startAirflowRest } from "../support/airflow-rest-server.ts"
import { credentialWith, makeCredential } from "../support/credentials.ts"
import { ENVIRONMENT, INVOKERS, type MwaaServer, startMwaa } from "../support/mwaa-server.ts"
import { readsNothing, type SinkPromise } from "../support/sink-promises.ts"
import { testSink } from "../support/sink-suite.ts"
import {
  calm,
  deliveriesOf,
  hours,
  makeSink,
  manyRegistries,
  NOW,
  REGISTRY,
  testDeps,
} from "../support/sinks.ts"

const BLIND = "REST shows no password, so nothing tells what a connection holds"
const cannot: Partial<Record<SinkPromise, string>> = {
  "does not replace a newer credential with an older one": BLIND,
  "changes nothing when the same is delivered twice": `${BLIND}: it is written again`,
  "delivers to 500 registries at once": `${BLIND}: nothing is ever unchanged; proven without that`,
  ...readsNothing(BLIND),
}
const file = import.meta.resolve("../../sinks/airflow-rest.ts")
const APIS = ["v1", "v2"] as const

for (const api of APIS) testSink({ kind, file, place: `MWAA ${api}`, open: () => openMwaa(api), cannot })

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()))
})
function start(options: RestServerOptions, limits: Partial<Parameters<typeof startMwaa>[0]> = {}) {
  const server = startAirflowRest(options)
  const mwaa = startMwaa({ airflow: innerAirflow(server, options.api), ...limits })
  stops.push(server.stop, mwaa.stop)
  return { server, mwaa }
}

const LOGIN = credentialWith({ registry: REGISTRY, expiresAt: NOW + hours(12), password: "t0ken" })
const OTHERS = { schema: "s", extra: '{"reauth": false, "token": "t"}', description: "by hand" }
const pathsOf = ({ invocations }: MwaaServer) => invocations.map(({ Method, Path }) => `${Method} ${Path}`)

describe.each(APIS)("on %s", (api) => {
  test("asks for paths without an API version, and sends no list as a query", async () => {
    const { server, mwaa } = start({ api })
    server.put({ connection_id: "ecr", port: 443, ...OTHERS })
    expect(await deliverOne(mwaaSink(mwaa.url), LOGIN)).toBe("delivered")
    expect(pathsOf(mwaa)).toEqual(["GET /version", "GET /connections/ecr", "PATCH /connections/ecr"])
    expect(mwaa.invocations.map(({ QueryParameters }) => QueryParameters)).toEqual(Array(3).fill(undefined))
    expect([...mwaa.userAgents]).toEqual(["ecrelay/0.0.0-source"])
    expect(server.connections.get("ecr")).toEqual({
      connection_id: "ecr",
      conn_type: "docker",
      host: REGISTRY.host,
      login: "AWS",
      password: "t0ken",
      port: null,
      ...OTHERS,
    })
  })

  test("writes many, looking them up by pages", async () => {
    const { server, mwaa } = start({ api })
    const sink = mwaaSink(mwaa.url, { conn_id: "ecr-{account}" })
    const credentials = manyRegistries(60).map((registry) =>
      makeCredential({ registry, expiresAt: NOW + hours(12), size: 200 }),
    )
    const results = await sink.deliver(deliveriesOf(sink, credentials), calm())
    expect(new Set(results.map(({ outcome }) => outcome))).toEqual(new Set(["delivered"]))
    expect(server.writes()).toBe(60)
    expect(mwaa.invocations[1]?.QueryParameters).toEqual({ limit: "100", offset: "0" })
    // A call must be done within MWAA's ten seconds.
    if (api === "v2") expect(pathsOf(mwaa).slice(2)).toEqual(Array(3).fill("PATCH /connections"))
  })

  test("checks without changing anything, and names the environment", async () => {
    const { server, mwaa } = start({ api })
    const sink = mwaaSink(mwaa.url)
    const version = api === "v1" ? "2.11.2" : "3.3.2"
    expect(await sink.check?.(sink.targets(REGISTRY), calm())).toEqual([
      {
        level: "ok",
        subject: `eu-central-1 MWAA ${ENVIRONMENT}`,
        message: `Airflow ${version} lets ecrelay in: 1 connection can be written`,
      },
    ])
    expect(server.writes()).toBe(0)
  })

  test("says what the policy has to end with where Airflow refuses (403)", async () => {
    const { server, mwaa } = start({ api })
    const { message, code, hint, retryable } = await failureOf(
      mwaaSink(mwaa.url, {}, depsOf(mwaa.url, INVOKERS.viewer)),
    )
    expect({ message, code, retryable }).toEqual({
      message: `eu-central-1 MWAA ${ENVIRONMENT} ecr: Airflow refused access (403)`,
      code: "access-refused",
      retryable: false,
    })
    expect(hint).toContain(`arn:aws:airflow:eu-central-1:<account>:role/${ENVIRONMENT}/Op`)
    expect(server.writes()).toBe(0)
  })

  test("changes a connection that somebody else created at the same moment (404, then 409)", async () => {
    const { server, mwaa } = start({ api })
    server.put({ connection_id: "ecr", ...OTHERS })
    let first = true
    server.intercept(({ method, path }) => {
      if (!first || method !== "GET" || !path.endsWith("/ecr")) return undefined
      first = false
      return Response.json({ detail: "not found" }, { status: 404 })
    })
    expect(await deliverOne(mwaaSink(mwaa.url), LOGIN)).toBe("delivered")
    expect(pathsOf(mwaa).slice(1)).toEqual([
      "GET /connections/ecr",
      "POST /connections",
      "GET /connections/ecr",
      "PATCH /connections/ecr",
    ])
    expect(server.connections.get("ecr")).toMatchObject({ password: "t0ken", ...OTHERS })
  })

  test("says that a failing web server may soon answer", async () => {
    const { server, mwaa } = start({ api })
    server.intercept(({ method }) => (method === "GET" ? undefined : new Response("<html>", { status: 502 })))
    expect(await failureOf(mwaaSink(mwaa.url))).toMatchObject({ code: "server-error", retryable: true })
  })

  test("refuses what is not ours, and takes it over with adopt=true", async () => {
    const { server, mwaa } = start({ api })
    server.put({ connection_id: "ecr", conn_type: "postgres", host: "db", password: "p", ...OTHERS })
    expect(await failureOf(mwaaSink(mwaa.url))).toMatchObject({ code: "not-ours", retryable: false })
    expect(server.writes()).toBe(0)
    expect(await deliverOne(mwaaSink(mwaa.url, { adopt: true }), LOGIN)).toBe("delivered")
    expect(server.connections.get("ecr")).toMatchObject({ password: "t0ken", ...OTHERS })
  })
})

describe("AWS", () => {
  const open = () => start({ api: "v2" })

  test("is asked as whom the keys name, session token included", async () => {
    const { mwaa } = open()
    expect(await deliverOne(mwaaSink(mwaa.url, {}, depsOf(mwaa.url, INVOKERS.session)))).toBe("delivered")
  })

  test("is asked at AWS_ENDPOINT_URL_MWAA before AWS_ENDPOINT_URL", async () => {
    const { mwaa } = open()
    const variables = { AWS_ENDPOINT_URL_MWAA: mwaa.url }
    const deps = depsOf("http://127.0.0.1:9", INVOKERS.admin, variables)
    expect(await deliverOne(mwaaSink(mwaa.url, {}, deps))).toBe("delivered")
  })

  test.each([
    [
      "a wrong secret key",
      { ...INVOKERS.admin, secretAccessKey: "another" },
      "signature",
      "AWS_SECRET_ACCESS_KEY",
    ],
    [
      "an unknown key",
      { ...INVOKERS.admin, accessKeyId: "AKIDNOBODY" },
      "credentials-invalid",
      "make a new one",
    ],
    [
      "no session token where one belongs to the key",
      { ...INVOKERS.session, sessionToken: "" },
      "credentials-invalid",
      "key",
    ],
  ])("refuses %s, and the hint says what to do", async (_, invoker, code, hint) => {
    const { mwaa } = open()
    const error = await failureOf(mwaaSink(mwaa.url, {}, depsOf(mwaa.url, invoker)))
    expect(error).toMatchObject({ code, retryable: false })
    expect(error.hint).toContain(hint)
    expect(mwaa.invocations).toEqual([])
  })

  test("refuses a clock that is off", async () => {
    const { mwaa } = start({ api: "v2" }, { now: () => Date.now() + 3_600_000 })
    const error = await failureOf(mwaaSink(mwaa.url))
    expect(error).toMatchObject({ code: "signature", retryable: false })
    expect(error.hint).toContain("this machine's clock")
  })

  test("refuses another region's signature", async () => {
    const { mwaa } = open()
    expect(await failureOf(mwaaSink(mwaa.url, { region: "us-east-1" }))).toMatchObject({ code: "signature" })
  })

  test("names action and resource where IAM refuses", async () => {
    const { mwaa } = open()
    const { message, code, hint, retryable } = await failureOf(
      mwaaSink(mwaa.url, {}, depsOf(mwaa.url, INVOKERS.stranger)),
    )
    expect({ code, retryable }).toEqual({ code: "access-denied", retryable: false })
    expect(message).toStartWith(
      `eu-central-1 MWAA ${ENVIRONMENT}: AWS refused access: airflow:InvokeRestApi (User: arn:aws:iam::1:user/us is not authorized`,
    )
    expect(hint).toStartWith(
      `allow airflow:InvokeRestApi on arn:aws:airflow:eu-central-1:<account>:role/${ENVIRONMENT}/Op`,
    )
  })

  test("says where to look for an environment that is not there", async () => {
    const { mwaa } = open()
    const error = await failureOf(mwaaSink(mwaa.url, { mwaa_environment: "other" }))
    expect(error.message).toBe(
      "eu-central-1 MWAA other: MWAA has no such environment here (Environment other not found)",
    )
    expect(error).toMatchObject({ code: "no-environment", retryable: false })
    expect(error.hint).toContain("aws mwaa list-environments")
  })

  test.each([
    [{ status: 500, type: "InternalServerException" }, "server-error", true],
    [{ status: 503, type: "ServiceUnavailableException" }, "server-error", true],
    [{ status: 400, type: "RestApiServerException", message: "timed out" }, "server-error", true],
    [{ status: 429, type: "TooManyRequestsException" }, "throttled", true],
    [{ status: 400, type: "ThrottlingException" }, "throttled", true],
    [{ status: 400, type: "ValidationException" }, "invalid", false],
    [{ status: 400, message: "Update your environment to use InvokeRestApi" }, "not-mwaa", false],
    [{ status: 502, message: "<html>bad gateway</html>" }, "not-mwaa", true],
    [{ status: 403, type: "ExpiredTokenException" }, "credentials-expired", false],
  ])("answering %j means %s, retryable %p", async (fault, code, retryable) => {
    const { mwaa } = open()
    mwaa.fail(fault)
    expect(await failureOf(mwaaSink(mwaa.url))).toMatchObject({ code, retryable })
  })

  test("may say in plain words that the environment is too old", async () => {
    const { mwaa } = open()
    mwaa.fail({ status: 400, message: "Update your environment to use InvokeRestApi" })
    const { message, hint } = await failureOf(mwaaSink(mwaa.url))
    expect(message).toEndWith("(Update your environment to use InvokeRestApi)")
    expect(hint).toContain("has to be updated once")
  })

  test("is asked again, ever more slowly, where it throttles", async () => {
    const { server, mwaa } = start({ api: "v1" }, { perSecond: 6 })
    const sink = mwaaSink(
      mwaa.url,
      { conn_id: "ecr-{account}" },
      depsOf(mwaa.url, INVOKERS.admin, { AWS_MAX_ATTEMPTS: "8" }),
    )
    const credentials = manyRegistries(8).map((registry) =>
      makeCredential({ registry, expiresAt: NOW + hours(12), size: 200 }),
    )
    const results = await sink.deliver(deliveriesOf(sink, credentials), calm())
    expect(new Set(results.map(({ outcome }) => outcome))).toEqual(new Set(["delivered"]))
    expect(mwaa.requests()).toBeGreaterThan(mwaa.invocations.length)
    expect(server.writes()).toBe(8)
  }, 30_000)

  test("is not asked again where it refuses", async () => {
    const { mwaa } = open()
    const deps = depsOf(mwaa.url, INVOKERS.stranger, { AWS_MAX_ATTEMPTS: "5" })
    await failureOf(mwaaSink(mwaa.url, {}, deps))
    expect(mwaa.requests()).toBe(1)
  })

  test("is not quoted where it quotes the login", async () => {
    const { mwaa } = open()
    mwaa.fail(
      { status: 400, type: "ValidationException", message: "Value 't0ken' at 'body' failed" },
      ({ Body }) => Body !== undefined,
    )
    const error = await failureOf(mwaaSink(mwaa.url), LOGIN)
    expect(error.message).toEndWith("ecr: MWAA rejected the call")
    expect(Bun.inspect(error)).not.toContain("t0ken")
  })
})

describe("the options", () => {
  const issuesOf = (options: object) => {
    try {
      makeSink(kind, { conn_id: "ecr", ...options }, testDeps())
    } catch (error) {
      if (error instanceof ConfigError) return error.issues.map(({ path }) => path)
      throw error
    }
    return []
  }

  test("of a web server do not go with mwaa_environment, and all are named at once", () => {
    const all = { url: "https://a.test", username: "u", password: "p", token: "t", client_id: "c" }
    expect(issuesOf({ mwaa_environment: "prod", ...all })).toEqual(Object.keys(all))
    expect(issuesOf({ mwaa_environment: "prod", api: "v2" })).toEqual(["api"])
  })

  test("of AWS go with mwaa_environment alone", () => {
    const web = { url: "https://a.test", token: "t" }
    expect(issuesOf({ ...web, region: "eu-west-1", profile: "p" })).toEqual(["region", "profile"])
    expect(issuesOf({ mwaa_environment: "prod", region: "eu-west-1", profile: "p" })).toEqual([])
    expect(issuesOf({ mwaa_environment: "prod", external_id: "x" })).toEqual(["external_id"])
  })

  test("name one of the two", () => expect(issuesOf({})).toEqual(["url"]))

  test.each(["1st", "a/b", "a b", "../x", "ü", "a".repeat(81)])("refuse the environment %j", (name) => {
    expect(issuesOf({ mwaa_environment: name })).toEqual(["mwaa_environment"])
  })

  test("leave room for a connection id of 51 characters", () => {
    expect(issuesOf({ mwaa_environment: "prod", conn_id: "a".repeat(51) })).toEqual([])
    expect(issuesOf({ mwaa_environment: "prod", conn_id: "a".repeat(52) })).toEqual(["conn_id"])
    expect(issuesOf({ mwaa_environment: "prod", conn_id: "ö".repeat(9) })).toEqual(["conn_id"])
  })

  test("name the region, and whose environment it is, in the target", () => {
    const nameWith = (options: object) =>
      mwaaSink("", options)
        .targets(REGISTRY)
        .map(({ name }) => name)
    expect(nameWith({})).toEqual([`eu-central-1 MWAA ${ENVIRONMENT} ecr`])
    expect(nameWith({ region: "us-east-1", profile: "ops" })).toEqual([
      `us-east-1 (ops) MWAA ${ENVIRONMENT} ecr`,
    ])
  })
})

test.each([
  ["eu-west-1", {}, "https://env.airflow.eu-west-1.amazonaws.com"],
  ["cn-north-1", {}, "https://env.airflow.cn-north-1.amazonaws.com.cn"],
  [
    "us-gov-west-1",
    { AWS_USE_FIPS_ENDPOINT: "true" },
    "https://env.airflow-fips.us-gov-west-1.amazonaws.com",
  ],
  ["eu-west-1", { AWS_USE_DUALSTACK_ENDPOINT: "true" }, "https://env.airflow.eu-west-1.api.aws"],
])("without an endpoint of its own, MWAA in %s with %j is %s", async (region, variables, origin) => {
  const seen: string[] = []
  const refuse = (async (input: unknown) => {
    seen.push((input as Request).url)
    throw Object.assign(new Error("no"), { code: "ENOTFOUND" })
  }) as unknown as typeof fetch
  const { createAwsAccess } = await import("../../src/aws-access.ts")
  const env = { AWS_ACCESS_KEY_ID: "k", AWS_SECRET_ACCESS_KEY: "s", AWS_MAX_ATTEMPTS: "1", ...variables }
  const loadAirflowIdentity = () => Promise.reject(new Error("this test has no Airflow"))
  const aws = createAwsAccess({}, { env, fetch: refuse, loadAirflowIdentity })
  expect(await failureOf(mwaaSink("", { region }, { aws }))).toMatchObject({
    code: "unreachable",
    retryable: true,
  })
  expect(seen).toEqual([`${origin}/restapi/${ENVIRONMENT}`])
})
