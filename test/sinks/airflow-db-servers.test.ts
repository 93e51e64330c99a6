// The airflow-db sink among others who use the same server: locks, lost connections, missing permissions, TLS. Whatever
// goes wrong leaves the table as it was, and says what to do; and what the hint says is tried out.

import { expect, test } from "bun:test"
import kind from "../../sinks/airflow-db.ts"
import type { DeliveryResult } from "../../src/sink.ts"
import type { Airflow } from "../support/airflow-db.ts"
import {
  breakTable,
  CONN_ID,
  deliver,
  errorOf,
  fresh,
  onEachServer,
  openAirflow,
  outcomesOf,
} from "../support/airflow-db.ts"
import { urlOfUser } from "../support/airflow-user.ts"
import { credentialForms, textOf } from "../support/secrets.ts"
import { tlsFiles } from "../support/services.ts"
import {
  calm,
  deliveriesOf,
  makeSink,
  manyRegistries,
  REGISTRY,
  testDeps,
  ZERO_REGISTRY,
} from "../support/sinks.ts"

onEachServer((place) => {
  const isPostgres = place === "postgres"

  // Somebody else's transaction holds our row; resolves when the delivery waits for it.
  async function blocked(
    airflow: Airflow,
    signal = calm(),
    credentials = [fresh(), fresh(ZERO_REGISTRY)],
  ): Promise<{ readonly delivery: Promise<readonly DeliveryResult[]> }> {
    await airflow.run(isPostgres ? "BEGIN" : "START TRANSACTION")
    await airflow.run(`UPDATE connection SET login = 'somebody' WHERE conn_id = '${CONN_ID}'`)
    const sink = airflow.sink()
    const delivery = sink.deliver(deliveriesOf(sink, credentials), signal)
    delivery.catch(() => {})
    // InnoDB looks anew only when nobody has looked for a tenth of a second.
    while ((await waiting(airflow)).length === 0) await Bun.sleep(isPostgres ? 20 : 150)
    return { delivery }
  }

  async function waiting({ run }: Airflow): Promise<readonly unknown[]> {
    const rows = await run(
      isPostgres
        ? "SELECT pid AS id FROM pg_locks WHERE NOT granted"
        : `SELECT t.trx_mysql_thread_id AS id FROM information_schema.innodb_trx t
           JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
           WHERE t.trx_state = 'LOCK WAIT' AND p.db = database()`,
    )
    return rows.map(({ id }) => id)
  }

  async function withOld(): Promise<Airflow> {
    const airflow = await openAirflow(place)
    await airflow.insert({
      conn_id: CONN_ID,
      conn_type: "docker",
      host: REGISTRY.host,
      login: "AWS",
      plain: "stale",
    })
    return airflow
  }

  test(`writes nothing where a row was changed by somebody else meanwhile, on ${place}`, async () => {
    await using airflow = await withOld()
    const { delivery } = await blocked(airflow)
    await airflow.run("COMMIT")
    expect(await errorOf(delivery)).toMatchObject({ code: "changed-meanwhile", retryable: true })
    expect(await airflow.rows()).toMatchObject([{ conn_id: CONN_ID, login: "somebody" }])
    expect(await outcomesOf(deliver(airflow.sink(), fresh()))).toEqual(["delivered"])
  })

  test(`writes none of many where one was changed meanwhile, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    // More than a chunk, and the one that differs is in the last.
    const credentials = manyRegistries(600).map((registry) => fresh(registry, 100))
    await airflow.insert({ conn_id: "beside", conn_type: "http", plain: "theirs" })
    for (const credential of credentials.slice(0, 599)) {
      const conn_id = airflow.sink().targets(credential.registry)[0]?.slot ?? ""
      await airflow.insert({ conn_id, conn_type: "docker", host: "", plain: "stale" })
    }
    await airflow.insert({ conn_id: CONN_ID, conn_type: "docker", plain: "stale" })
    const before = await airflow.rows()
    const { delivery } = await blocked(airflow, calm(), [...credentials, fresh()])
    await airflow.run("COMMIT")
    expect(await errorOf(delivery)).toMatchObject({ code: "changed-meanwhile" })
    const after = await airflow.rows()
    expect(after.slice(0, -1)).toEqual(before.slice(0, -1))
  })

  test(`goes on where the other one thinks better of it, on ${place}`, async () => {
    await using airflow = await withOld()
    const { delivery } = await blocked(airflow)
    await airflow.run("ROLLBACK")
    expect(await outcomesOf(delivery)).toEqual(["delivered", "delivered"])
  })

  test(`gives up after a while where a row stays locked, to be tried again, on ${place}`, async () => {
    await using airflow = await withOld()
    const { delivery } = await blocked(airflow)
    expect(await errorOf(delivery)).toMatchObject({ code: "locked", retryable: true })
    await airflow.run("ROLLBACK")
    expect(await airflow.rows()).toMatchObject([{ conn_id: CONN_ID, login: "AWS" }])
  })

  test(`leaves all as it was where the connection is lost in the midst, on ${place}`, async () => {
    await using airflow = await withOld()
    const before = await airflow.rows()
    const { delivery } = await blocked(airflow)
    for (const id of await waiting(airflow))
      await airflow.run(isPostgres ? `SELECT pg_terminate_backend(${id})` : `KILL ${id}`)
    expect(await errorOf(delivery)).toMatchObject({ code: "unreachable", retryable: true })
    await airflow.run("ROLLBACK")
    expect(await airflow.rows()).toEqual(before)
    expect(await outcomesOf(deliver(airflow.sink(), fresh()))).toEqual(["delivered"])
  })

  test(`leaves all as it was where the signal is aborted in the midst, on ${place}`, async () => {
    await using airflow = await withOld()
    const before = await airflow.rows()
    const stop = new AbortController()
    const { delivery } = await blocked(airflow, stop.signal)
    stop.abort(new Error("enough"))
    await expect(delivery).rejects.toThrow("enough")
    await airflow.run("ROLLBACK")
    // Time for whoever would go on with it.
    await Bun.sleep(200)
    expect(await airflow.rows()).toEqual(before)
  })

  test(`shows no password in errors although the table holds plain text, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    const credential = fresh()
    const env = { AIRFLOW__CORE__FERNET_KEY: "" }
    const sink = makeSink(kind, { url: airflow.url, conn_id: CONN_ID }, testDeps({ env }))
    const repair = await breakTable(airflow)
    const error = await errorOf(deliver(sink, credential))
    await repair()
    expect(error).toMatchObject({ code: "database-error", retryable: false })
    expect(credentialForms(credential).filter((form) => textOf(error).includes(form))).toEqual([])
  })

  test(`says what is missing: the database, the table, the permission to widen, on ${place}`, async () => {
    await using airflow = await openAirflow(place, "1.10.6")
    const gone = airflow.sink({ url: airflow.url.replace(/\/[^/]*$/, "/not_there") })
    expect(await errorOf(deliver(gone, fresh()))).toMatchObject({
      code: "database-missing",
      retryable: false,
    })
    await airflow.insert({ conn_id: CONN_ID, conn_type: "docker", plain: "stale" })
    const url = await urlOfUser(airflow, "SELECT, UPDATE")
    const narrow = await errorOf(deliver(airflow.sink({ url, widen_password: true }), fresh()))
    expect(narrow).toMatchObject({ code: "column-too-narrow", retryable: false })
    expect(narrow.hint).toContain("ALTER TABLE")
    await airflow.run("DROP TABLE connection")
    const table = await errorOf(deliver(airflow.sink(), fresh()))
    expect(table).toMatchObject({ code: "table-missing", retryable: false })
    expect(table.hint).toContain("airflow db migrate")
    await airflow.run("CREATE TABLE connection (id INTEGER, name VARCHAR(9))")
    expect(await errorOf(deliver(airflow.sink(), fresh()))).toMatchObject({ code: "table-unknown" })
  })

  test(`trusts the server as far as the URL says, and names the option to add, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    const { ca, otherCa } = tlsFiles()
    const options = (file: string) =>
      isPostgres ? `?sslmode=verify-full&sslrootcert=${file}` : `?ssl_ca=${file}`
    const error = await errorOf(deliver(airflow.sink({ url: airflow.url + options(otherCa) }), fresh()))
    expect(error).toMatchObject({ code: "tls-untrusted", retryable: false })
    expect(error.hint).toContain(isPostgres ? "sslrootcert=" : "ssl_ca=")
    expect(await outcomesOf(deliver(airflow.sink({ url: airflow.url + options(ca) }), fresh()))).toEqual([
      "delivered",
    ])
  })

  test(`does not create a second connection where two start at once, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    const outcomes = await Promise.all([1, 2, 3].map(() => outcomesOf(deliver(airflow.sink(), fresh()))))
    expect(outcomes.flat()).toContain("delivered")
    for (const outcome of outcomes.flat())
      expect(["delivered", "created-meanwhile", "changed-meanwhile"]).toContain(outcome)
    expect(await airflow.rows()).toHaveLength(1)
  })
})
