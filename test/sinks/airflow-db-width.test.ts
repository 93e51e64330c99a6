// A password column that is too narrow for a login (AIRFLOW-3014): found before writing, explained, widened on request.
// SQLite is not here: VARCHAR(500) is a word to it, not a limit.
import { expect, test } from "bun:test"
import { Secret } from "../../src/credential.ts"
import {
  CONN_ID,
  deliver,
  errorOf,
  fresh,
  onEachServer,
  openAirflow,
  outcomesOf,
} from "../support/airflow-db.ts"
import { ZERO_REGISTRY } from "../support/sinks.ts"

onEachServer((place) => {
  test(`finds a password column that is too narrow before writing, and says how to widen it, on ${place}`, async () => {
    await using airflow = await openAirflow(place, "1.10.6")
    const short = fresh(ZERO_REGISTRY, 200)
    const error = await errorOf(deliver(airflow.sink(), fresh(), short))
    expect(error).toMatchObject({ code: "column-too-narrow", retryable: false })
    expect(await airflow.rows(CONN_ID)).toEqual([])
    expect(await airflow.login("ecr_012345678901_us-gov-west-1")).toMatchObject({
      password: short.password.reveal(),
    })
    // The hint's own statement is what mends it.
    const [statement = ""] = /ALTER TABLE [^;]*;/.exec(error.hint ?? "") ?? []
    await airflow.run(statement.slice(0, -1))
    expect(await outcomesOf(deliver(airflow.sink(), fresh(), short))).toEqual(["delivered", "unchanged"])
  })

  test(`widens the password column when asked to, and only when needed, on ${place}`, async () => {
    await using airflow = await openAirflow(place, "1.10.6")
    const sink = airflow.sink({ widen_password: "true" })
    const column = async () => {
      const [found] = await airflow.run(
        `SELECT data_type AS type, is_nullable AS nullable FROM information_schema.columns WHERE table_name = 'connection' AND column_name = 'password'
         AND table_schema = ${place === "postgres" ? "current_schema()" : "database()"}`,
      )
      return found
    }
    const narrow = { type: expect.stringMatching(/varchar|character varying/), nullable: "YES" }
    await airflow.insert({ conn_id: "empty", conn_type: "http" })
    expect(await outcomesOf(deliver(sink, fresh(ZERO_REGISTRY, 200)))).toEqual(["delivered"])
    expect(await column()).toEqual(narrow)
    await airflow.insert({ conn_id: "http", conn_type: "http", plain: "theirs" })
    await airflow.insert({ conn_id: CONN_ID, conn_type: "http", plain: "theirs" })
    expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["not-ours"])
    expect(await column()).toEqual(narrow)
    await airflow.run(`DELETE FROM connection WHERE conn_id = '${CONN_ID}'`)
    const credential = fresh()
    expect(await outcomesOf(deliver(sink, credential))).toEqual(["delivered"])
    expect(await column()).toEqual({ type: "text", nullable: "YES" })
    expect(await airflow.login(CONN_ID)).toMatchObject({ password: credential.password.reveal() })
    expect(await airflow.login("http")).toMatchObject({ password: "theirs" })
    expect(await airflow.rows("empty")).toMatchObject([{ password: null }])
  })

  test(`fits exactly what VARCHAR(5000) holds on ${place}`, async () => {
    await using airflow = await openAirflow(place, "1.10.15")
    const credential = (length: number) => {
      const one = fresh()
      const text = one.password.reveal().padEnd(length, "=").slice(0, length)
      return { ...one, password: new Secret(text) }
    }
    expect(await outcomesOf(deliver(airflow.sink(), credential(3680)))).toEqual(["column-too-narrow"])
    expect(await outcomesOf(deliver(airflow.sink(), credential(3679)))).toEqual(["delivered"])
  })
})
