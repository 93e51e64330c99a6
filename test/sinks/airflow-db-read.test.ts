// What the airflow-db sink tells of a connection, and what it finds out before a delivery, on every kind of database.
import { expect, test } from "bun:test"
import kind from "../../sinks/airflow-db.ts"
import {
  type Airflow,
  CONN_ID,
  fresh,
  onEachDatabase,
  openAirflow,
  otherKey,
  seal,
} from "../support/airflow-db.ts"
import { calm, hours, makeSink, NOW, REGISTRY } from "../support/sinks.ts"

onEachDatabase((place) => {
  const read = (airflow: Airflow, more: object = {}, connId = CONN_ID) => {
    const sink = airflow.sink({ conn_id: connId, ...more })
    return sink.read?.(sink.targets(REGISTRY), calm())
  }

  test(`reads in what a connection differs, and whether it is ours at all, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    const credential = fresh()
    const host = `https://${REGISTRY.host}`
    await airflow.insert({
      conn_id: CONN_ID,
      conn_type: "docker",
      host,
      login: "AWS",
      port: 443,
      plain: credential.password.reveal(),
    })
    await airflow.insert({ conn_id: "http", conn_type: "http", host: "example.com", plain: "theirs" })
    expect(await read(airflow)).toEqual([
      { state: "held", expiresAt: credential.expiresAt, differs: `host is ${host}, port is 443` },
    ])
    expect(await read(airflow, {}, "http")).toMatchObject([
      { state: "unreadable", error: { code: "not-ours" } },
    ])
    expect(await read(airflow, { adopt: true }, "http")).toMatchObject([
      { state: "held", differs: expect.stringContaining("conn_type is http") },
    ])
    expect(await read(airflow, { fernet_key: otherKey })).toMatchObject([
      { state: "unreadable", error: { code: "fernet-key-wrong" } },
    ])
  })

  test(`tells until when a login is good at the latest where it has no key, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    await airflow.insert({
      ...{ conn_id: CONN_ID, conn_type: "docker", host: REGISTRY.host, login: "AWS" },
      ...{ password: seal("anything", otherKey, NOW - hours(5)), is_encrypted: true },
    })
    const sink = makeSink(kind, { url: airflow.url, conn_id: CONN_ID })
    expect(await sink.read?.(sink.targets(REGISTRY), calm())).toEqual([
      { state: "held", expiresAt: NOW + hours(7) },
    ])
  })

  test(`checks everything that a delivery does on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    const check = (more: object = {}) => {
      const sink = airflow.sink({ conn_id: [CONN_ID, "http"], ...more })
      return sink.check?.(sink.targets(REGISTRY), calm())
    }
    expect(await check()).toMatchObject([{ level: "ok", message: "2 connections can be written" }])
    await airflow.insert({ conn_id: "http", conn_type: "http", plain: "theirs" })
    expect(await check()).toMatchObject([
      { level: "error", subject: expect.stringContaining("http"), fix: expect.any(String) },
    ])
    expect(await check({ fernet_key: otherKey })).toMatchObject([
      { level: "error", message: expect.stringContaining("not an ECR login") },
      { level: "error", message: expect.stringContaining("decrypts none of the encrypted rows (1 tried)") },
    ])
    await airflow.run("DROP TABLE connection")
    expect(await check()).toMatchObject([
      { level: "error", fix: expect.stringContaining("airflow db migrate") },
    ])
  })
})
