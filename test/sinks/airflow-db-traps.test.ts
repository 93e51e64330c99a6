// What makes a good login useless, found by `check`: each fault is made, is found with its fix, and after the fix it is
// gone. None of them is an error: a delivery does its work all the same.
import { expect, test } from "bun:test"
import { parseDatabaseUrl } from "../../sinks/_airflow/database-url.ts"
import type { Session } from "../../sinks/_airflow/session.ts"
import { tlsPolicy } from "../../sinks/_airflow/tls.ts"
import { findTraps } from "../../sinks/_airflow/traps.ts"
import {
  type Airflow,
  CONN_ID,
  deliver,
  fresh,
  onEachDatabase,
  openAirflow,
  seal,
} from "../support/airflow-db.ts"
import { calm, REGISTRY, testDeps } from "../support/sinks.ts"

const OURS = { conn_id: CONN_ID, conn_type: "docker", host: REGISTRY.host, login: "AWS" }

/** Warnings of the check: what it says, and what to do. */
async function trapsOf(airflow: Airflow, env: Record<string, string> = {}) {
  const sink = airflow.sink({ conn_id: CONN_ID }, { env })
  const findings = (await sink.check?.(sink.targets(REGISTRY), calm())) ?? []
  expect(findings.filter(({ level }) => level === "error")).toEqual([])
  return findings.flatMap(({ level, message, fix }) => (level === "warning" ? [{ message, fix }] : []))
}

onEachDatabase((place) => {
  test(`finds a host and a port with which docker does not find the login, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    await airflow.insert({ ...OURS, host: `https://${REGISTRY.host}`, port: 443, plain: "stale" })
    expect(await trapsOf(airflow)).toEqual([
      {
        message: `cannot log in as it is: host is https://${REGISTRY.host}, port is 443`,
        fix: "`ecrelay refresh` fixes it",
      },
    ])
    await deliver(airflow.sink({ conn_id: CONN_ID }), fresh())
    expect(await trapsOf(airflow)).toEqual([])
  })

  test(`finds "reauth": false, encrypted or not, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    const extra = '{"reauth": false}'
    await airflow.insert({ ...OURS, plain: "x", extra, is_extra_encrypted: false } as never)
    const found = [
      { message: expect.stringContaining('"reauth": false'), fix: expect.stringContaining("remove it") },
    ]
    expect(await trapsOf(airflow)).toEqual(found)
    await airflow.run(`UPDATE connection SET extra = '${seal(extra)}', is_extra_encrypted = true`)
    expect(await trapsOf(airflow)).toEqual(found)
    await airflow.run(`UPDATE connection SET extra = '${seal('{"reauth": true}')}'`)
    expect(await trapsOf(airflow)).toEqual([])
  })
})

test("finds two connections of one id, as Airflow 1.10 allows them", async () => {
  await using airflow = await openAirflow("sqlite", "1.10.15")
  await airflow.insert({ ...OURS, plain: "one" })
  await airflow.insert({ ...OURS, plain: "two" })
  expect(await trapsOf(airflow)).toMatchObject([
    { message: expect.stringContaining("there are 2 connections") },
  ])
  await airflow.run("DELETE FROM connection WHERE id = (SELECT max(id) FROM connection)")
  expect(await trapsOf(airflow)).toEqual([])
})

test("finds a variable and a secrets backend that Airflow asks before the database", async () => {
  await using airflow = await openAirflow("sqlite")
  await airflow.insert({ ...OURS, plain: "x" })
  const variable = `AIRFLOW_CONN_${CONN_ID.toUpperCase()}`
  expect(await trapsOf(airflow, { [variable]: "docker://x" })).toEqual([
    { message: expect.stringContaining(`${variable} is set here`), fix: `unset ${variable} for Airflow` },
  ])
  expect(await trapsOf(airflow, { AIRFLOW__SECRETS__BACKEND: "some.Backend" })).toEqual([
    { message: expect.stringContaining("AIRFLOW__SECRETS__BACKEND"), fix: expect.any(String) },
  ])
  expect(await trapsOf(airflow)).toEqual([])
})

test.each([
  ["postgresql://u@db/airflow", "airflow", ["its URL says prefer", "sslmode=verify-full"]],
  ["postgresql://u@db/airflow?sslmode=require", "airflow", ["its URL says require", "sslmode=verify-full"]],
  ["mysql://u@db/airflow", "airflow", ["its URL says prefer", "ssl_mode=VERIFY_IDENTITY"]],
  ["postgresql://u@db/airflow?sslmode=verify-full", "airflow", undefined],
  ["postgresql://u@db/airflow", "given", undefined],
  ["postgresql://u@localhost/airflow", "airflow", undefined],
] as const)(
  "of %s from %s it says whether anybody could stand in for the server",
  async (text, origin, says) => {
    const url = parseDatabaseUrl(text)
    const session = { dialect: url.dialect, columns: [], query: async () => [] } as unknown as Session
    const policy = tlsPolicy(url, origin)
    const place = { url, policy, schema: undefined, fernet: { state: "empty", from: "" } } as const
    const found = await findTraps(session, [], { name: "db", place }, { adopt: false }, testDeps())
    expect(found.map(({ message, fix }) => [message, fix])).toEqual(
      says ? [[expect.stringContaining(says[0]), expect.stringContaining(says[1])]] : [],
    )
  },
)
