// The airflow-rest sink: the shared contract on stand-ins of Airflow 2 and 3, and what exactly is written there.
import { afterEach, describe, expect, test } from "bun:test"
import kind from "../../sinks/airflow-rest.ts"
import type { Credential } from "../../src/credential.ts"
import { callsOf, deliverOne, failureOf, openAirflowRest, sinkFor } from "../support/airflow-rest.ts"
import {
  type Intercept,
  type RestServer,
  type RestServerOptions,
  startAirflowRest,
} from "../support/airflow-rest-server.ts"
import { credentialWith, makeCredential } from "../support/credentials.ts"
import { readsNothing, type SinkPromise } from "../support/sink-promises.ts"
import { testSink } from "../support/sink-suite.ts"
import { calm, deliveriesOf, hours, manyRegistries, NOW, REGISTRY } from "../support/sinks.ts"

const BLIND = "REST shows no password, so nothing tells what a connection holds"
const cannot: Partial<Record<SinkPromise, string>> = {
  "does not replace a newer credential with an older one": BLIND,
  "changes nothing when the same is delivered twice": `${BLIND}: it is written again`,
  "delivers to 500 registries at once": `${BLIND}: nothing is ever unchanged; proven without that`,
  ...readsNothing(BLIND),
}
const file = import.meta.resolve("../../sinks/airflow-rest.ts")
const APIS = ["v1", "v2"] as const

for (const api of APIS)
  testSink({ kind, file, place: api, open: () => openAirflowRest({ api, base: "/base" }), cannot })

const servers: RestServer[] = []
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()))
})
function start(options: RestServerOptions): RestServer {
  const server = startAirflowRest(options)
  servers.push(server)
  return server
}

const HOST = REGISTRY.host
const LOGIN = credentialWith({ registry: REGISTRY, expiresAt: NOW + hours(12), password: "t0ken" })
const OTHERS = { schema: "s", extra: '{"reauth": false, "token": "t"}', description: "by hand" }

/** Answers the first request that matches with `answer`, and the rest as usual. */
function once(matches: string, answer: () => Response): Intercept {
  let done = false
  return ({ method, path }) => {
    if (done || !`${method} ${path}`.startsWith(matches)) return undefined
    done = true
    return answer()
  }
}

describe.each(APIS)("on %s", (api) => {
  const PATH = `api/${api}/connections`
  const missing = () => Response.json({ detail: "not found", title: "Connection not found" }, { status: 404 })

  test("says that it is always due", () => {
    expect(kind.summary).toContain("cannot be read: always due")
    expect(sinkFor({ url: "https://airflow.test" })).not.toHaveProperty("read")
  })

  test("tries again where a gateway did not get the call in time", async () => {
    const server = start({ api })
    server.intercept(once(`GET ${PATH}`, () => new Response("<html></html>", { status: 408 })))
    expect(await failureOf(sinkFor(server), LOGIN)).toMatchObject({ code: "timeout", retryable: true })
    expect(await deliverOne(sinkFor(server), LOGIN)).toBe("delivered")
  })

  test("names no address where a redirect has none", async () => {
    const server = start({ api })
    server.intercept(once(`GET ${PATH}`, () => new Response("", { status: 300 })))
    expect((await failureOf(sinkFor(server), LOGIN)).message).toEndWith("the server redirects")
  })

  test("creates what is missing, with what a docker connection to ECR needs and no more", async () => {
    const server = start({ api })
    const sink = sinkFor(server)
    const [result] = await sink.deliver(deliveriesOf(sink, [LOGIN]), calm())
    expect(result).toEqual({ outcome: "delivered", expiresAt: LOGIN.expiresAt })
    expect(server.connections.get("ecr")).toEqual({
      connection_id: "ecr",
      conn_type: "docker",
      host: HOST,
      login: "AWS",
      password: "t0ken",
      port: null,
      schema: null,
      extra: null,
      description: null,
    })
  })

  test("changes type, host, login, password and port, and leaves the rest alone", async () => {
    const server = start({ api })
    server.put({
      connection_id: "ecr",
      conn_type: "",
      host: `https://${HOST}`,
      login: "x",
      port: 443,
      ...OTHERS,
    })
    expect(await deliverOne(sinkFor(server), LOGIN)).toBe("delivered")
    expect(server.connections.get("ecr")).toEqual({
      connection_id: "ecr",
      conn_type: "docker",
      host: HOST,
      login: "AWS",
      password: "t0ken",
      port: null,
      ...OTHERS,
    })
  })

  test("names the fields in the form that this version understands", async () => {
    const server = start({ api })
    server.put({ connection_id: "ecr" })
    await deliverOne(sinkFor(server))
    const [patch] = callsOf(server, `${PATH}/ecr?`)
    const mask = new URL(`http://x/${patch?.split(" ")[1]}`).searchParams.getAll("update_mask")
    const fields = ["conn_type", "host", "login", "password", "port"]
    expect(mask).toEqual(api === "v1" ? [fields.join(",")] : fields)
  })

  test.each([
    ["has no password then", (one: object) => ({ ...one, password: null })],
    ["has another host then", (one: object) => ({ ...one, host: "old.example.com" })],
    ["has another login then", (one: object) => ({ ...one, login: "eva" })],
    ["has a port then", (one: object) => ({ ...one, port: 443 })],
    ["has another type then", (one: object) => ({ ...one, conn_type: "http" })],
  ])("does not believe an answer of 200 where the connection %s", async (_, change) => {
    const server = start({ api })
    server.put({ connection_id: "ecr", host: HOST, login: "AWS" })
    const right = { connection_id: "ecr", conn_type: "docker", host: HOST, login: "AWS", port: null }
    server.intercept(({ method }) => (method === "PATCH" ? Response.json(change(right)) : undefined))
    const { code, message, retryable } = await failureOf(sinkFor(server))
    expect({ code, retryable }).toEqual({ code: "not-applied", retryable: false })
    expect(message).toContain("Airflow answered 200, but the login is not there: ")
  })

  test.each([
    ["another type", { conn_type: "postgres", host: "db" }, "type postgres, host db"],
    [
      "a host that is not ECR's",
      { host: "https://index.docker.io/v1/" },
      "type docker, host index.docker.io",
    ],
    ["a look-alike of ECR", { host: `${HOST}.evil.com` }, `type docker, host ${HOST}.evil.com`],
    ["a login before its host", { host: "eva:hush@hub.example.com" }, "type docker, host hub.example.com"],
  ])("refuses a connection with %s, and takes it over with adopt=true", async (_, held, holds) => {
    const server = start({ api })
    server.put({ connection_id: "ecr", password: "p", ...OTHERS, ...held })
    const { message, code, hint, retryable, target } = await failureOf(sinkFor(server))
    expect({ message, code, retryable, target }).toEqual({
      message: `${server.url} ecr: connection ecr is not an ECR login: it holds ${holds}`,
      code: "not-ours",
      retryable: false,
      target: `${server.url} ecr`,
    })
    expect(hint).toContain("adopt=true")
    expect(server.writes()).toBe(0)
    expect(await deliverOne(sinkFor(server, { adopt: true }), LOGIN)).toBe("delivered")
    expect(server.connections.get("ecr")).toMatchObject({ password: "t0ken", host: HOST, ...OTHERS })
  })

  test.each([
    [{ conn_type: "docker", host: null }],
    [{ conn_type: "", host: "" }],
    [{ host: `https://${HOST}` }],
    [{ host: `${HOST}:443`, port: 443 }],
    [{ host: "000000000000.dkr.ecr.eu-west-1.amazonaws.com" }],
  ])("takes %j for its own", async (held) => {
    const server = start({ api })
    server.put({ connection_id: "ecr", ...held })
    expect(await deliverOne(sinkFor(server))).toBe("delivered")
  })

  test("changes a connection that somebody else created at the same moment", async () => {
    const server = start({ api })
    server.put({ connection_id: "ecr", ...OTHERS })
    server.intercept(once(`GET ${PATH}/ecr`, missing))
    expect(await deliverOne(sinkFor(server), LOGIN)).toBe("delivered")
    expect(server.connections.get("ecr")).toMatchObject({ password: "t0ken", ...OTHERS })
  })

  test("refuses what somebody else created at the same moment for something else", async () => {
    const server = start({ api })
    server.put({ connection_id: "ecr", conn_type: "postgres", host: "db" })
    server.intercept(once(`GET ${PATH}/ecr`, missing))
    expect(await failureOf(sinkFor(server))).toMatchObject({ code: "not-ours" })
    expect(server.writes()).toBe(0)
  })

  test("creates a connection that was deleted at the same moment", async () => {
    const server = start({ api })
    server.put({ connection_id: "ecr" })
    server.intercept(({ method }) => {
      if (method === "PATCH") server.connections.delete("ecr")
      return undefined
    })
    expect(await deliverOne(sinkFor(server), LOGIN)).toBe("delivered")
    expect(server.connections.get("ecr")).toMatchObject({ password: "t0ken" })
  })

  test("gives up where that never ends", async () => {
    const server = start({ api })
    server.intercept(({ method, path }) =>
      method === "POST" && path === PATH ? Response.json({}, { status: 409 }) : undefined,
    )
    expect(await failureOf(sinkFor(server))).toMatchObject({ code: "changed-meanwhile", retryable: true })
  })

  test("leaves a connection alone that the database takes for this id", async () => {
    const server = start({ api, ignoresCase: true })
    server.put({ connection_id: "Ecr", host: HOST })
    const { code, message, hint } = await failureOf(sinkFor(server))
    expect({ code, message }).toEqual({
      code: "conn-id-taken",
      message: `${server.url} ecr: the database cannot tell connection ecr from Ecr`,
    })
    expect(hint).toContain("conn_id=Ecr")
    expect(server.writes()).toBe(0)
  })

  test("leaves alone what the database takes for this id by more than case", async () => {
    const server = start({ api })
    server.intercept(({ method, path }) =>
      method === "GET" && path.endsWith(encodeURIComponent("straße"))
        ? Response.json({ connection_id: "strasse", conn_type: "docker", host: HOST })
        : undefined,
    )
    const { code, hint } = await failureOf(sinkFor(server, { conn_id: "straße" }))
    expect(code).toBe("conn-id-taken")
    expect(hint).toContain("use conn_id=strasse instead")
    expect(server.writes()).toBe(0)
  })

  test("finds out only in writing that the database takes two of its own ids for one", async () => {
    const server = start({ api, ignoresCase: true })
    const sink = sinkFor(server, { conn_id: ["a", "b", "ecr", "ECR"] })
    const results = await sink.deliver(deliveriesOf(sink, [LOGIN]), calm())
    expect(results.filter(({ outcome }) => outcome === "failed")).toMatchObject([
      { error: { code: "conn-id-taken" } },
    ])
    expect(server.connections.size).toBe(3)
  })

  test("takes a gateway's page of 404 for no word of Airflow's, and writes nothing", async () => {
    const server = start({ api })
    const page = () => new Response("<html>nothing here</html>", { status: 404 })
    server.intercept(({ method, path }) => (method === "GET" && path.startsWith(PATH) ? page() : undefined))
    expect(await failureOf(sinkFor(server))).toMatchObject({ code: "not-airflow" })
    expect(server.writes()).toBe(0)
  })

  test("keeps ids of other scripts, dots and dashes in one piece", async () => {
    const server = start({ api })
    server.put({ connection_id: "a.b-c_D9", host: HOST })
    expect(await deliverOne(sinkFor(server, { conn_id: "a.b-c_D9" }), LOGIN)).toBe("delivered")
    expect(server.connections.get("a.b-c_D9")).toMatchObject({ password: "t0ken" })
    expect(sinkFor(server, { conn_id: "größe" }).targets(REGISTRY)).toMatchObject([{ slot: "größe" }])
  })

  test("delivers to 500 registries at once, eight calls at a time at most", async () => {
    const server = start({ api })
    let running = 0
    let most = 0
    server.intercept(async () => {
      most = Math.max(most, ++running)
      await Bun.sleep(0)
      running--
      return undefined as unknown as Response
    })
    const sink = sinkFor(server, { conn_id: "ecr-{account}" })
    for (const round of [1, 2]) {
      const credentials = manyRegistries(500).map((registry) =>
        makeCredential({ registry, expiresAt: NOW + hours(round), size: 200 }),
      )
      const results = await sink.deliver(deliveriesOf(sink, credentials), calm())
      expect(new Set(results.map(({ outcome }) => outcome))).toEqual(new Set(["delivered"]))
      const stored = (one: Credential) => server.connections.get(`ecr-${one.registry.account}`)?.password
      expect(credentials.filter((one) => stored(one) !== one.password.reveal())).toEqual([])
    }
    expect(server.writes()).toBe(1000)
    expect(most).toBeLessThanOrEqual(8)
  })
})

test("logs in a second time where a new login is refused, and not once more for each connection", async () => {
  const server = start({ api: "v2" })
  server.intercept(({ method, path }) =>
    method !== "GET" && path.startsWith("api/v2/connections")
      ? new Response("{}", { status: 401 })
      : undefined,
  )
  const sink = sinkFor(server, { conn_id: "ecr-{account}" })
  // More than are written side by side: the later ones come when the second login has been refused.
  const credentials = manyRegistries(20).map((registry) =>
    makeCredential({ registry, expiresAt: NOW + hours(12), size: 200 }),
  )
  const results = await sink.deliver(deliveriesOf(sink, credentials), calm())
  expect(results).toMatchObject(
    credentials.map(() => ({ outcome: "failed", error: { code: "access-refused" } })),
  )
  expect(server.seen.filter(({ path }) => path === "auth/token")).toHaveLength(2)
})
