// The airflow-db sink beyond the shared contract, on every kind of database: what it makes of a connection in every
// version's table, what it repairs, what it leaves alone, and what it refuses.
import { expect, test } from "bun:test"
import kind from "../../sinks/airflow-db.ts"
import { ConfigError } from "../../src/errors.ts"
import {
  CONN_ID,
  deliver,
  errorOf,
  fresh,
  isTrue,
  onEachDatabase,
  openAirflow,
  outcomesOf,
  passwordOf,
  seal,
} from "../support/airflow-db.ts"
import { airflowVersions } from "../support/airflow-tables.ts"
import { makeCredential } from "../support/credentials.ts"
import { hours, makeSink, manyRegistries, NOW, REGISTRY, testDeps, ZERO_REGISTRY } from "../support/sinks.ts"

onEachDatabase((place) => {
  for (const version of airflowVersions)
    test(`creates and renews a connection in the table of Airflow ${version} on ${place}`, async () => {
      await using airflow = await openAirflow(place, version)
      // A login of today does not fit 1.10.6: that is the next test's.
      const size = version === "1.10.6" && place !== "sqlite" ? 200 : 2400
      const [older, newer] = [
        makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(3), size }),
        makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(12), size }),
      ]
      expect(await outcomesOf(deliver(airflow.sink(), older))).toEqual(["delivered"])
      const [made] = await airflow.rows()
      expect(await outcomesOf(deliver(airflow.sink(), newer))).toEqual(["delivered"])
      const rows = await airflow.rows()
      expect(rows).toHaveLength(1)
      const [row] = rows
      if (!row || !made) throw new Error("no row")
      expect(passwordOf(row)).toBe(newer.password.reveal())
      // The same row, with the password changed and nothing else.
      expect({ ...row, password: made.password }).toEqual(made)
      const { id, password, is_encrypted, is_extra_encrypted, ...others } = row
      expect([isTrue(is_encrypted), isTrue(is_extra_encrypted)]).toEqual([true, false])
      const { conn_id, conn_type, host, login, ...empty } = others
      expect({ conn_id, conn_type, host, login }).toEqual({
        conn_id: CONN_ID,
        conn_type: "docker",
        host: REGISTRY.host,
        login: "AWS",
      })
      expect(new Set(Object.values(empty))).toEqual(new Set([null]))
    })

  test(`repairs host, login, type and port of an old connection and keeps the rest on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    await airflow.run("INSERT INTO team (name) VALUES ('blue')")
    const kept = {
      extra: '{"reauth": false}',
      description: "made by hand, it's ours",
      schema: "s",
      team_name: "blue",
    }
    const wrong = {
      conn_id: CONN_ID,
      conn_type: "",
      host: `https://${REGISTRY.host}`,
      login: "me",
      port: 443,
    }
    await airflow.insert({ ...wrong, ...kept, plain: "stale" })
    const credential = fresh()
    expect(await outcomesOf(deliver(airflow.sink(), credential))).toEqual(["delivered"])
    const [row] = await airflow.rows()
    expect(row).toMatchObject({ ...kept, conn_type: "docker", host: REGISTRY.host, login: "AWS", port: null })
    expect(row && passwordOf(row)).toBe(credential.password.reveal())
  })

  test(`keeps the password of a newer login whose host it repairs on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    const newer = makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(12) })
    const token = seal(newer.password.reveal())
    const row = { conn_id: CONN_ID, conn_type: "docker", host: `https://${REGISTRY.host}`, login: "AWS" }
    await airflow.insert({ ...row, password: token, is_encrypted: true })
    const older = makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(6) })
    const sink = airflow.sink()
    // Beside one that is written anew, in the same statement.
    await airflow.insert({ conn_id: "ecr_012345678901_us-gov-west-1", conn_type: "docker", plain: "stale" })
    const results = await deliver(sink, older, fresh(ZERO_REGISTRY))
    expect(results).toMatchObject([
      { outcome: "delivered", expiresAt: newer.expiresAt },
      { outcome: "delivered", expiresAt: NOW + hours(12) },
    ])
    expect(await airflow.rows(CONN_ID)).toMatchObject([{ host: REGISTRY.host, password: token }])
  })

  test(`refuses connections that are no ECR logins, unless told to adopt them, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    await airflow.insert({ conn_id: "postgres_default", conn_type: "postgres", host: "db", plain: "theirs" })
    await airflow.insert({
      conn_id: "docker_hub",
      conn_type: "docker",
      host: "docker.io",
      extra: "{}",
      plain: "theirs",
    })
    const before = await airflow.rows()
    for (const conn_id of ["postgres_default", "docker_hub"]) {
      const error = await errorOf(deliver(airflow.sink({ conn_id }), fresh()))
      expect(error).toMatchObject({
        code: "not-ours",
        retryable: false,
        hint: expect.stringContaining("adopt=true"),
      })
      expect(error.target).toEndWith(` ${conn_id}`)
    }
    expect(await airflow.rows()).toEqual(before)
    const sink = airflow.sink({ conn_id: ["docker_hub", CONN_ID], adopt: "true" })
    expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered", "delivered"])
    expect(await airflow.rows("docker_hub")).toMatchObject([{ host: REGISTRY.host, extra: "{}" }])
    expect(await airflow.rows("postgres_default")).toEqual(before.slice(0, 1))
  })

  test(`updates all rows of one id, as Airflow 1.10 may have them, on ${place}`, async () => {
    await using airflow = await openAirflow(place, "1.10.15")
    for (const conn_type of ["docker", null, "docker"])
      await airflow.insert({ conn_id: CONN_ID, conn_type, plain: "stale" })
    const credential = fresh()
    expect(await outcomesOf(deliver(airflow.sink(), credential))).toEqual(["delivered"])
    const passwords = (await airflow.rows(CONN_ID)).map((row) => passwordOf(row))
    expect(passwords).toEqual(Array(3).fill(credential.password.reveal()))
    expect(await outcomesOf(deliver(airflow.sink(), credential))).toEqual(["unchanged"])
    await airflow.insert({ conn_id: CONN_ID, conn_type: "http", plain: "theirs" })
    const before = await airflow.rows()
    expect(await outcomesOf(deliver(airflow.sink(), fresh()))).toEqual(["not-ours"])
    expect(await airflow.rows()).toEqual(before)
  })

  test(`burns no ids on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    for (const _ of [1, 2, 3]) await deliver(airflow.sink(), fresh())
    await deliver(airflow.sink(), fresh(), fresh(ZERO_REGISTRY))
    expect((await airflow.rows()).map(({ id }) => id)).toEqual([1, 2])
  })

  test(`writes 10,000 connections in one delivery, made and found, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    const registries = manyRegistries(10_000)
    const sink = airflow.sink()
    const half = registries
      .slice(0, 5000)
      .map((registry) => makeCredential({ registry, expiresAt: NOW + hours(6), size: 300 }))
    await deliver(sink, ...half)
    const all = registries.map((registry) => fresh(registry, 300))
    const results = await deliver(sink, ...all)
    expect(results.every(({ outcome }) => outcome === "delivered")).toBe(true)
    const stored = new Map((await airflow.rows()).map((row) => [row.host, passwordOf(row)]))
    expect(stored).toEqual(new Map(all.map(({ registry, password }) => [registry.host, password.reveal()])))
    expect(new Set(await outcomesOf(deliver(sink, ...all)))).toEqual(new Set(["unchanged"]))
  }, 60_000)
})

test.each([
  [{ conn_id: "a b" }, "conn_id", /may hold/],
  [{ conn_id: "x".repeat(251) }, "conn_id", /250/],
  [{ conn_id: "ecr_{name}" }, "conn_id", /\{name\}/],
  [{ conn_id: "ecr_{account" }, "conn_id", /\{account/],
  [{ conn_id: "ecr", url: "mssql://db/airflow" }, "url", /postgresql/],
  [{ conn_id: "ecr", url: "postgresql://u:p@db/airflow?sslmode=perhaps" }, "url", /sslmode/],
  [{ conn_id: "ecr", url: "sqlite:///airflow.db" }, "url", /four slashes/],
  [{ conn_id: "ecr", fernet_key: "too-short" }, "fernet_key", /^the key is not 32 bytes/],
] as const)("refuses the options %j before any I/O", (options, path, says) => {
  const create = () => makeSink(kind, { url: "sqlite:////a.db", ...options })
  expect(create).toThrow(ConfigError)
  try {
    create()
  } catch (error) {
    const { issues } = error as ConfigError
    expect(issues.map((issue) => issue.path)).toEqual([path])
    expect(issues[0]?.message).toMatch(says)
    expect(issues[0]?.message).not.toContain("too-short")
  }
})

test("names its targets by the password-free URL, the reference, or Airflow's own database", () => {
  const names = (options: object) =>
    makeSink(kind, options)
      .targets(REGISTRY)
      .map(({ name }) => name)
  expect(
    names({
      conn_id: ["ecr", "{account}.{region}"],
      url: "postgresql://me:secret@db/airflow?sslmode=require",
    }),
  ).toEqual([
    "postgresql://me@db:5432/airflow ecr",
    "postgresql://me@db:5432/airflow 123456789012.eu-central-1",
  ])
  expect(names({ conn_id: "ecr", url: "env:AIRFLOW_DB" })).toEqual(["env:AIRFLOW_DB ecr"])
  expect(names({ conn_id: "ecr" })).toEqual(["Airflow's database ecr"])
})

test("a machine without Airflow is told once that there is none, and where it was looked for", async () => {
  const sink = makeSink(kind, { conn_id: CONN_ID }, testDeps({ home: "/nowhere" }))
  const error = await errorOf(deliver(sink, fresh()))
  expect(error.message).toBe("Airflow's database is not configured here")
  expect(error.hint).toContain("/nowhere/airflow/airflow.db (not there)")
})
