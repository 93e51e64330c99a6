// What the airflow-rest sink delivers, on the started web servers of real Airflow 3 and 2: what they then hold as
// Airflow's own Connection reads it, whom they let in, and that the Docker provider's hook logs in and pulls with it.
import { afterAll, beforeAll, expect, test } from "bun:test"
import { randomBytes } from "node:crypto"
import { passwordOfRole } from "../../scripts/services/airflow-releases.ts"
import { TOKEN_SECONDS } from "../../scripts/services/airflow-server.ts"
import kind from "../../sinks/airflow-rest.ts"
import { systemClock } from "../../src/clock.ts"
import type { SinkDeps } from "../../src/sink.ts"
import { type InstalledAirflow, type RealAirflow, useRealAirflow } from "../support/airflow.ts"
import { deliver, errorOf, fresh, outcomesOf } from "../support/airflow-db.ts"
import { expectPulledWith, startDockerDaemon } from "../support/docker-daemon.ts"
import { proven } from "../support/proven.ts"
import { describeWithService } from "../support/services.ts"
import { calm, makeSink, manyRegistries, REGISTRY, testDeps, ZERO_REGISTRY } from "../support/sinks.ts"

const PATIENCE_MS = 120_000
// The servers may live longer than this run of the tests.
const ID = `rest_${randomBytes(4).toString("hex")}`
const OLD = `${ID}_012345678901`
const NEW = `${ID}_123456789012`
const THEIRS = `${ID}_theirs`

const old = {
  conn_id: OLD,
  conn_type: "docker",
  host: `https://${ZERO_REGISTRY.host}`,
  login: "AWS",
  password: "stale",
  port: 443,
  description: "made by hand",
  extra: { reauth: false, secret_token: "theirs" },
}
const theirs = { conn_id: THEIRS, conn_type: "postgres", host: "db", login: "app", password: "theirs" }

type Server = {
  readonly version: string
  readonly url: string
  readonly home: string
  readonly database: string
}

/** The tests of one server and its API. */
function proveOn(server: Server, installed: InstalledAirflow, api: "v1" | "v2"): void {
  const airflow: RealAirflow = useRealAirflow(installed, { home: server.home, url: server.database })
  const note = (how: "read" | "login" | "viewer" | "expiry") =>
    proven({ release: server.version, place: "rest", how })
  const sinkAs = (role: "admin" | "op" | "viewer", more: object = {}, deps: Partial<SinkDeps> = {}) => {
    const user = { username: role, password: passwordOfRole(role) }
    return makeSink(kind, { url: server.url, conn_id: `${ID}_{account}`, ...user, ...more }, testDeps(deps))
  }

  beforeAll(() => airflow.add([old, theirs]), PATIENCE_MS)
  afterAll(() => airflow[Symbol.asyncDispose]())

  test(
    "creates a connection and repairs another, whose extra and description stay",
    async () => {
      using daemon = startDockerDaemon()
      using second = startDockerDaemon()
      const credentials = [fresh(ZERO_REGISTRY), fresh(REGISTRY)]
      expect(await outcomesOf(deliver(sinkAs("op"), ...credentials))).toEqual(["delivered", "delivered"])
      const logins = credentials.map(({ registry, password }) => ({
        conn_type: "docker",
        host: registry.host,
        login: "AWS",
        password: password.reveal(),
        port: null,
        is_encrypted: true,
      }))
      expect(await airflow.rows([OLD, NEW])).toMatchObject([
        { ...logins[0], conn_id: OLD, extra: old.extra, description: old.description },
        { ...logins[1], conn_id: NEW, extra: {} },
      ])
      note("read")
      await airflow.pull([
        { daemon: daemon.url, connId: OLD, image: `${ZERO_REGISTRY.host}/team/app:1` },
        { daemon: second.url, connId: NEW, image: `${REGISTRY.host}/team/app:1` },
      ])
      for (const [i, one] of [daemon, second].entries())
        expectPulledWith(one, { host: logins[i]?.host ?? "", password: logins[i]?.password ?? "" })
      note("login")
    },
    PATIENCE_MS,
  )

  test(
    "is refused as a viewer and with a wrong password, and says so before it is tried",
    async () => {
      const before = await airflow.rows([OLD, NEW, THEIRS])
      const viewer = sinkAs("viewer")
      const error = await errorOf(deliver(viewer, fresh()))
      expect(error).toMatchObject({ code: "access-refused", retryable: false })
      expect(error.hint).toContain("role Op or Admin")
      expect(await viewer.check?.(viewer.targets(REGISTRY), calm())).toMatchObject([{ level: "error" }])
      const wrong = await errorOf(deliver(sinkAs("op", { password: "wrong" }), fresh()))
      expect(wrong).toMatchObject({
        code: api === "v2" ? "login-refused" : "access-refused",
        retryable: false,
      })
      expect(await airflow.rows([OLD, NEW, THEIRS])).toEqual(before)
      note("viewer")
    },
    PATIENCE_MS,
  )

  test(
    "refuses what is not ours, and checks without changing anything",
    async () => {
      const sink = sinkAs("op", { conn_id: THEIRS })
      expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["not-ours"])
      expect(await sink.check?.(sink.targets(REGISTRY), calm())).toMatchObject([{ level: "error" }])
      const fine = sinkAs("op")
      expect(await fine.check?.(fine.targets(REGISTRY), calm())).toMatchObject([{ level: "ok" }])
      expect(await airflow.rows([THEIRS])).toMatchObject([theirs])
    },
    PATIENCE_MS,
  )

  test(
    "delivers to many connections, half of which are there, and again",
    async () => {
      // A token for each of a few regions: Airflow 3 takes ever longer to mask each further password in its log.
      const refresh = () => {
        const tokens = [fresh(), fresh(), fresh()]
        return manyRegistries(24).map((registry, i) => ({ ...(tokens[i % 3] ?? fresh()), registry }))
      }
      const sink = sinkAs("op")
      const [before, credentials] = [refresh(), refresh()]
      await deliver(sink, ...before.slice(0, 12))
      expect(new Set(await outcomesOf(deliver(sink, ...credentials)))).toEqual(new Set(["delivered"]))
      const rows = await airflow.rows(credentials.map(({ registry }) => `${ID}_${registry.account}`))
      expect(new Map(rows.map(({ host, password }) => [host, password]))).toEqual(
        new Map(credentials.map(({ registry, password }) => [registry.host, password.reveal()])),
      )
    },
    PATIENCE_MS,
  )

  test(
    "lets two start at once on a connection that is missing",
    async () => {
      const sink = sinkAs("op", { conn_id: `${ID}_race` })
      const outcomes = await Promise.all([1, 2, 3].map(() => outcomesOf(deliver(sink, fresh()))))
      expect(outcomes.flat()).toEqual(["delivered", "delivered", "delivered"])
      expect(await airflow.rows([`${ID}_race`])).toHaveLength(1)
    },
    PATIENCE_MS,
  )

  if (api === "v1") return

  // A network that takes longer than a token lives before it carries the first write.
  function slowNetwork() {
    const seen: string[] = []
    const slow = async (...[input, init]: Parameters<typeof fetch>) => {
      const method = init?.method ?? "GET"
      const call = `${method} ${new URL(String(input)).pathname.replace("/base", "")}`
      const wasRefused = seen.some((one) => one.endsWith("401"))
      if (method === "PATCH" && !wasRefused) await Bun.sleep(TOKEN_SECONDS * 1000 + 1500)
      const response = await fetch(input, init)
      seen.push(`${call} ${response.status}`)
      return response
    }
    return { seen, fetch: slow as typeof fetch }
  }

  const PATH = `/api/v2/connections/${NEW}`

  test(
    "survives a token expiring on its way",
    async () => {
      const { seen, fetch } = slowNetwork()
      const credential = fresh()
      expect(await outcomesOf(deliver(sinkAs("op", {}, { fetch }), credential))).toEqual(["delivered"])
      expect(seen.slice(1)).toEqual([
        "POST /auth/token 201",
        `GET ${PATH} 200`,
        `PATCH ${PATH} 401`,
        "POST /auth/token 201",
        `PATCH ${PATH} 200`,
      ])
      expect(await airflow.rows([NEW])).toMatchObject([{ password: credential.password.reveal() }])
      note("expiry")
    },
    PATIENCE_MS,
  )

  test(
    "asks for another token before one ends",
    async () => {
      const seen: string[] = []
      let waited = 0
      const clock = { ...systemClock, uptime: () => systemClock.uptime() + waited }
      const counting = (async (...[input, init]: Parameters<typeof fetch>) => {
        const response = await fetch(input, init)
        seen.push(`${init?.method} ${response.status}`)
        if (init?.method === "GET" && String(input).endsWith(NEW)) waited = TOKEN_SECONDS * 1000
        return response
      }) as typeof fetch
      const sink = sinkAs("op", { api: "v2" }, { clock, fetch: counting })
      expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered"])
      expect(seen).toEqual(["GET 200", "POST 201", "GET 200", "POST 201", "PATCH 200"])
    },
    PATIENCE_MS,
  )
}

describeWithService("server33", "Airflow 3.3 over REST", (server) =>
  describeWithService("airflow33", "v2", (installed) => proveOn(server, installed, "v2")),
)
describeWithService("server211", "Airflow 2.11 over REST", (server) =>
  describeWithService("airflow211", "v1", (installed) => proveOn(server, installed, "v1")),
)
