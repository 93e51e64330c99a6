// The airflow-rest sink through the stand-in of Amazon MWAA's InvokeRestApi, in front of the started web servers of real
// Airflow 3 and 2: what Airflow's own Connection reads then, and whom it lets in.
import { afterAll, beforeAll, expect, test } from "bun:test"
import { randomBytes } from "node:crypto"
import { passwordOfRole } from "../../scripts/services/airflow-releases.ts"
import { type InstalledAirflow, type RealAirflow, useRealAirflow } from "../support/airflow.ts"
import { deliver, errorOf, fresh, outcomesOf } from "../support/airflow-db.ts"
import { depsOf, mwaaSink } from "../support/airflow-rest-mwaa.ts"
import {
  INVOKERS,
  type InnerAirflow,
  type Invoker,
  type MwaaServer,
  startMwaa,
} from "../support/mwaa-server.ts"
import { describeWithService } from "../support/services.ts"
import { calm, manyRegistries, REGISTRY, ZERO_REGISTRY } from "../support/sinks.ts"

const PATIENCE_MS = 120_000
// The servers may live longer than this run of the tests.
const ID = `mwaa_${randomBytes(4).toString("hex")}`
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

type Server = { readonly url: string; readonly home: string; readonly database: string }

/** The environment's Airflow; whom MWAA takes for an administrator is no more than Op there, which has to be enough. */
function innerAirflow({ url }: Server, api: "v1" | "v2"): InnerAirflow {
  const authorize = async (role: string) => {
    const username = role === "viewer" ? "viewer" : "op"
    const password = passwordOfRole(username)
    if (api === "v1") return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`
    const headers = { "Content-Type": "application/json" }
    const body = JSON.stringify({ username, password })
    const response = await fetch(`${url}/auth/token`, { method: "POST", headers, body })
    return `Bearer ${((await response.json()) as { access_token: string }).access_token}`
  }
  return { url, api, authorize }
}

/** The tests of one server and its API. */
function proveOn(server: Server, installed: InstalledAirflow, api: "v1" | "v2"): void {
  const airflow: RealAirflow = useRealAirflow(installed, { home: server.home, url: server.database })
  const mwaa: MwaaServer = startMwaa({ airflow: innerAirflow(server, api) })
  const sinkOf = (options: object = {}, invoker: Invoker = INVOKERS.admin) =>
    mwaaSink(mwaa.url, { conn_id: `${ID}_{account}`, ...options }, depsOf(mwaa.url, invoker))

  beforeAll(() => airflow.add([old, theirs]), PATIENCE_MS)
  afterAll(async () => {
    await mwaa.stop()
    await airflow[Symbol.asyncDispose]()
  })

  test(
    "creates a connection and repairs another, whose extra and description stay",
    async () => {
      const credentials = [fresh(ZERO_REGISTRY), fresh(REGISTRY)]
      expect(await outcomesOf(deliver(sinkOf(), ...credentials))).toEqual(["delivered", "delivered"])
      const logins = credentials.map(({ registry, password }) => ({
        conn_type: "docker",
        host: registry.host,
        login: "AWS",
        password: password.reveal(),
        port: null,
      }))
      expect(await airflow.rows([OLD, NEW])).toMatchObject([
        { ...logins[0], conn_id: OLD, extra: old.extra, description: old.description },
        { ...logins[1], conn_id: NEW, extra: {} },
      ])
    },
    PATIENCE_MS,
  )

  test(
    "is refused as a viewer, and says which role the policy has to name",
    async () => {
      const before = await airflow.rows([OLD, NEW, THEIRS])
      const viewer = sinkOf({}, INVOKERS.viewer)
      const error = await errorOf(deliver(viewer, fresh()))
      expect(error).toMatchObject({ code: "access-refused", retryable: false })
      expect(error.hint).toContain("/Op")
      expect(await viewer.check?.(viewer.targets(REGISTRY), calm())).toMatchObject([{ level: "error" }])
      expect(await airflow.rows([OLD, NEW, THEIRS])).toEqual(before)
    },
    PATIENCE_MS,
  )

  test(
    "refuses what is not ours, and checks without changing anything",
    async () => {
      const sink = sinkOf({ conn_id: THEIRS })
      expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["not-ours"])
      expect(await sink.check?.(sink.targets(REGISTRY), calm())).toMatchObject([{ level: "error" }])
      const fine = sinkOf()
      expect(await fine.check?.(fine.targets(REGISTRY), calm())).toMatchObject([{ level: "ok" }])
      expect(await airflow.rows([THEIRS])).toMatchObject([theirs])
    },
    PATIENCE_MS,
  )

  test(
    "delivers to many connections, half of which are there, and again",
    async () => {
      const refresh = () => {
        const tokens = [fresh(), fresh(), fresh()]
        return manyRegistries(28).map((registry, i) => ({ ...(tokens[i % 3] ?? fresh()), registry }))
      }
      const [before, credentials] = [refresh(), refresh()]
      await deliver(sinkOf(), ...before.slice(0, 12))
      expect(new Set(await outcomesOf(deliver(sinkOf(), ...credentials)))).toEqual(new Set(["delivered"]))
      const rows = await airflow.rows(credentials.map(({ registry }) => `${ID}_${registry.account}`))
      expect(new Map(rows.map(({ host, password }) => [host, password]))).toEqual(
        new Map(credentials.map(({ registry, password }) => [registry.host, password.reveal()])),
      )
    },
    PATIENCE_MS,
  )
}

describeWithService("server33", "Airflow 3.3 behind MWAA's call", (server) =>
  describeWithService("airflow33", "v2", (installed) => proveOn(server, installed, "v2")),
)
describeWithService("server211", "Airflow 2.11 behind MWAA's call", (server) =>
  describeWithService("airflow211", "v1", (installed) => proveOn(server, installed, "v1")),
)
