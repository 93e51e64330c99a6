// What the airflow-db sink writes, read by real Airflow: each release opens it with its own Connection, and the Docker
// provider's hook logs in and pulls with it, on every kind of database; also across a change of the Fernet key.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { randomBytes } from "node:crypto"
import type { Proof } from "../../scripts/compatibility.ts"
import type { AirflowName } from "../../scripts/services/airflow-releases.ts"
import kind from "../../sinks/airflow-db.ts"
import type { Credential } from "../../src/credential.ts"
import { type InstalledAirflow, openRealAirflow, type RealAirflow } from "../support/airflow.ts"
import type { Place } from "../support/airflow-database.ts"
import { deliver, fresh, outcomesOf } from "../support/airflow-db.ts"
import { expectPulledWith, startDockerDaemon } from "../support/docker-daemon.ts"
import { proven } from "../support/proven.ts"
import { describeWithService } from "../support/services.ts"
import { makeSink, REGISTRY, testDeps, ZERO_REGISTRY } from "../support/sinks.ts"

const PATIENCE_MS = 180_000
// One that Airflow had before us, and one that it never heard of.
const OLD = "ecr_012345678901"
const NEW = "ecr_123456789012"

const theirs = {
  conn_id: "postgres_theirs",
  conn_type: "postgres",
  host: "db.example.com",
  login: "app",
  password: "theirs: pässword",
  port: 5432,
  extra: { sslmode: "require" },
}
const old = {
  conn_id: OLD,
  conn_type: "docker",
  host: `https://${ZERO_REGISTRY.host}`,
  login: "AWS",
  password: "stale",
  port: 443,
  extra: { email: "ci@example.com" },
}

function sinkOf(env: Readonly<Record<string, string>>) {
  return makeSink(kind, { conn_id: "ecr_{account}" }, testDeps({ env }))
}

function expected({ registry, password }: Credential) {
  const [conn_id, extra] = registry === ZERO_REGISTRY ? [OLD, old.extra] : [NEW, {}]
  const login = { host: registry.host, login: "AWS", password: password.reveal(), port: null }
  return { conn_id, conn_type: "docker", ...login, extra, is_encrypted: true }
}

/** A release on a database of its own. While one is tested, the next makes its tables: that takes longer than the tests. */
type Opening = { readonly open: () => Promise<RealAirflow>; started?: Promise<RealAirflow> }
const openings: Opening[] = []

function start(opening: Opening | undefined): Promise<RealAirflow> | undefined {
  if (opening && !opening.started) {
    opening.started = opening.open()
    // Whoever waits for it is told.
    opening.started.catch(() => {})
  }
  return opening?.started
}

/** The tests of one release on one kind of database; `full` where the release has the Docker provider. */
function proveOn(installed: InstalledAirflow, place: Place & Proof["place"], full: boolean): void {
  const what = `Airflow ${installed.version} on ${place}`
  const note = (how: "read" | "login" | "rotation") => proven({ release: installed.version, place, how })
  let airflow: RealAirflow
  let credentials: readonly Credential[]
  const deliverAnew = async (env: Readonly<Record<string, string>>) => {
    credentials = [fresh(ZERO_REGISTRY), fresh(REGISTRY)]
    return outcomesOf(deliver(sinkOf(env), ...credentials))
  }

  const opening: Opening = {
    open: async () => {
      const opened = await openRealAirflow(installed, place)
      await opened.add([theirs, old])
      return opened
    },
  }
  openings.push(opening)

  beforeAll(async () => {
    airflow = (await start(opening)) as RealAirflow
    void start(openings[openings.indexOf(opening) + 1])
  }, PATIENCE_MS)
  afterAll(() => airflow[Symbol.asyncDispose]())

  test(
    `${what} reads what is delivered with its own Connection, and its other rows as before`,
    async () => {
      expect(await deliverAnew(airflow.env)).toEqual(["delivered", "delivered"])
      expect(await airflow.rows([theirs.conn_id, OLD, NEW])).toMatchObject([
        { ...theirs, is_encrypted: true, is_extra_encrypted: true },
        ...credentials.map(expected),
      ])
      note("read")
    },
    PATIENCE_MS,
  )

  if (!full) return

  test(
    `${what} logs DockerHook in with what is delivered, and pulls`,
    async () => {
      using daemon = startDockerDaemon()
      using second = startDockerDaemon()
      expect(await deliverAnew(airflow.env)).toEqual(["delivered", "delivered"])
      await airflow.pull([
        { daemon: daemon.url, connId: OLD, image: `${ZERO_REGISTRY.host}/team/app:1` },
        { daemon: second.url, connId: NEW, image: `${REGISTRY.host}/team/app:1` },
      ])
      for (const [i, one] of [daemon, second].entries())
        expectPulledWith(one, {
          host: credentials[i]?.registry.host ?? "",
          password: credentials[i]?.password.reveal() ?? "",
        })
      note("login")
    },
    PATIENCE_MS,
  )

  test(
    `${what} reads all of it after rotate-fernet-key between two refreshes`,
    async () => {
      const newKey = randomBytes(32).toString("base64url").concat("=")
      const both = { AIRFLOW__CORE__FERNET_KEY: `${newKey},${airflow.fernetKey}` }
      await airflow.command(["rotate-fernet-key"], both)
      const after = { ...airflow.env, AIRFLOW__CORE__FERNET_KEY: newKey }
      expect(await outcomesOf(deliver(sinkOf(airflow.env), fresh(REGISTRY)))).toEqual(["fernet-key-wrong"])
      expect(await deliverAnew(after)).toEqual(["delivered", "delivered"])
      expect(await airflow.rows([theirs.conn_id, OLD, NEW], after)).toMatchObject([
        { ...theirs, is_encrypted: true },
        ...credentials.map(expected),
      ])
      note("rotation")
    },
    PATIENCE_MS,
  )
}

const releases: readonly { readonly name: AirflowName; readonly full: boolean }[] = [
  { name: "airflow33", full: true },
  { name: "airflow211", full: true },
  { name: "airflow31", full: false },
  { name: "airflow27", full: false },
  { name: "airflow110", full: false },
]

for (const { name, full } of releases)
  describeWithService(name, name, (installed) => {
    describe("on sqlite", () => proveOn(installed, "sqlite", full))
    const places = full ? (["postgres", "mariadb", "mysql"] as const) : (["postgres", "mariadb"] as const)
    for (const place of places)
      describeWithService(place, `${name} on ${place}`, () => proveOn(installed, place, full))
  })
