// What the airflow-db sink does with a database user who has few rights: it asks for a right where that is needed, says
// which GRANT is missing, and lets whoever may only update keep alive what is there.
import { expect, test } from "bun:test"
import {
  type Airflow,
  CONN_ID,
  deliver,
  errorOf,
  fresh,
  onEachServer,
  openAirflow,
  outcomesOf,
} from "../support/airflow-db.ts"
import { runGrants, urlOfUser } from "../support/airflow-user.ts"
import { describeWithService } from "../support/services.ts"
import { calm, REGISTRY } from "../support/sinks.ts"

const COLUMNS = "conn_id, conn_type, host, login, password, is_encrypted, is_extra_encrypted"

const LOGIN = { conn_type: "docker", host: REGISTRY.host, login: "AWS" }

const checkOf = async (sink: ReturnType<Airflow["sink"]>) => sink.check?.(sink.targets(REGISTRY), calm())

onEachServer((place) => {
  test(`says which GRANT a user lacks, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    const sink = airflow.sink({ url: await urlOfUser(airflow, "SELECT") })
    const error = await errorOf(deliver(sink, fresh()))
    expect(error).toMatchObject({ code: "permission-denied", retryable: false })
    const needed = expect.stringContaining("GRANT SELECT, INSERT, UPDATE ON")
    expect(error.hint).toEqual(needed)
    expect(await checkOf(sink)).toMatchObject([{ level: "error", code: "permission-denied", fix: needed }])
    expect(await airflow.rows()).toEqual([])
    await runGrants(airflow, error.hint)
    expect(await checkOf(sink)).toMatchObject([{ level: "ok" }])
    expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered"])
    expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered"])
  })

  test(`needs no INSERT to keep alive what is there, and asks for it alone where a row is missing, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    await airflow.insert({ ...LOGIN, conn_id: CONN_ID, plain: "stale" })
    const url = await urlOfUser(airflow, "SELECT, UPDATE")
    const kept = airflow.sink({ url })
    expect(await checkOf(kept)).toMatchObject([{ level: "ok", message: "1 connection can be written" }])
    expect(await outcomesOf(deliver(kept, fresh()))).toEqual(["delivered"])

    const sink = airflow.sink({ url, conn_id: [CONN_ID, "new"] })
    const findings = await checkOf(sink)
    const credential = fresh()
    const results = deliver(sink, credential)
    expect(await outcomesOf(results)).toEqual(["delivered", "permission-denied"])
    const { message, hint = "", retryable } = await errorOf(results)
    expect(message).toEndWith("new: the user may not create new connections")
    expect(hint).toEndWith("; or create the connection once in Airflow (type docker)")
    expect({ retryable, findings }).toMatchObject({
      retryable: false,
      findings: [{ level: "error", subject: sink.targets(REGISTRY)[1]?.name, fix: hint }],
    })
    expect(await airflow.login(CONN_ID)).toMatchObject({ password: credential.password.reveal() })
    expect(await airflow.rows()).toHaveLength(1)

    await runGrants(airflow, hint)
    expect(await checkOf(sink)).toMatchObject([{ level: "ok" }])
    expect(await outcomesOf(deliver(sink, credential))).toEqual(["unchanged", "delivered"])
  })

  test(`is content with rights on the columns that it writes, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    const url = await urlOfUser(airflow, `SELECT, UPDATE, INSERT (${COLUMNS})`)
    const sink = airflow.sink({ url })
    if (place === "postgres") await runGrants(airflow, (await errorOf(deliver(sink, fresh()))).hint)
    expect(await checkOf(sink)).toMatchObject([{ level: "ok" }])
    expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered"])
    const short = await urlOfUser(airflow, `SELECT, UPDATE, INSERT (${COLUMNS.replace(", password", "")})`)
    const lacking = airflow.sink({ url: short, conn_id: [CONN_ID, "new"] })
    expect(await outcomesOf(deliver(lacking, fresh()))).toEqual(["delivered", "permission-denied"])
  })
})

describeWithService("postgres", "postgres", () => {
  test("says so where only the sequence of ids is missing", async () => {
    await using airflow = await openAirflow("postgres")
    await airflow.insert({ ...LOGIN, conn_id: "there", plain: "stale" })
    const url = await urlOfUser(airflow, "SELECT, INSERT, UPDATE")
    const sink = airflow.sink({ url, conn_id: ["there", "new"] })
    const [finding, ...others] = (await checkOf(sink)) ?? []
    expect(others).toEqual([])
    expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered", "permission-denied"])
    expect(finding?.level).toBe("error")
    expect(finding?.fix).toMatch(/^GRANT USAGE ON SEQUENCE /)
    await runGrants(airflow, finding?.fix)
    expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered", "delivered"])
  })

  test("asks for no sequence where the ids are the table's own, as after some migrations", async () => {
    await using airflow = await openAirflow("postgres")
    await airflow.run("ALTER TABLE connection ALTER id DROP DEFAULT")
    await airflow.run("DROP SEQUENCE connection_id_seq")
    await airflow.run("ALTER TABLE connection ALTER id ADD GENERATED BY DEFAULT AS IDENTITY")
    const sink = airflow.sink({ url: await urlOfUser(airflow, "SELECT, INSERT, UPDATE") })
    expect(await checkOf(sink)).toMatchObject([{ level: "ok" }])
    expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered"])
  })
})
