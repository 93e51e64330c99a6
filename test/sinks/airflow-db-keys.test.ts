// Which Fernet key the airflow-db sink trusts, on every kind of database: it must open what is already there, and where
// nothing is encrypted yet, Airflow's configuration decides.
import { expect, test } from "bun:test"
import kind from "../../sinks/airflow-db.ts"
import {
  CONN_ID,
  deliver,
  errorOf,
  fresh,
  isTrue,
  onEachDatabase,
  openAirflow,
  otherKey,
  outcomesOf,
  seal,
} from "../support/airflow-db.ts"
import { fernetKey } from "../support/airflow-rows.ts"
import { makeSink, manyRegistries, testDeps } from "../support/sinks.ts"

onEachDatabase((place) => {
  test(`encrypts by the first of several keys and opens by all on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    const credential = fresh()
    await deliver(airflow.sink({ fernet_key: otherKey }), credential)
    const rotating = airflow.sink({ fernet_key: `${fernetKey}, ${otherKey}` })
    // What the second key opens needs no writing.
    expect(await outcomesOf(deliver(rotating, credential))).toEqual(["unchanged"])
    const newer = fresh()
    expect(await outcomesOf(deliver(rotating, newer))).toEqual(["delivered"])
    expect(await airflow.login(CONN_ID)).toMatchObject({ password: newer.password.reveal() })
  })

  test(`refuses a key that opens none of the encrypted rows, and says how many, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    await airflow.insert({ conn_id: "http_1", conn_type: "http", plain: "theirs" })
    await airflow.insert({
      conn_id: "http_2",
      conn_type: "http",
      extra: seal("{}"),
      is_extra_encrypted: true,
    })
    await airflow.insert({ conn_id: CONN_ID, conn_type: "docker", plain: "stale" })
    const before = await airflow.rows()
    const error = await errorOf(deliver(airflow.sink({ fernet_key: otherKey }), fresh()))
    expect(error).toMatchObject({ code: "fernet-key-wrong", retryable: false })
    expect(error.message).toEndWith(
      "the fernet key given as fernet_key decrypts none of the encrypted rows (3 tried)",
    )
    expect(error.hint).not.toContain("delete")
    expect(await airflow.rows()).toEqual(before)
  })

  test(`replaces a login of ours that no key opens once another row proves the key, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    await airflow.insert({
      conn_id: CONN_ID,
      conn_type: "docker",
      password: seal("stale", otherKey),
      is_encrypted: true,
    })
    const error = await errorOf(deliver(airflow.sink(), fresh()))
    expect(error).toMatchObject({ code: "fernet-key-wrong" })
    expect(error.message).toEndWith("decrypts none of the encrypted rows (1 tried)")
    expect(error.hint).toContain(`airflow connections delete ${CONN_ID}`)
    await airflow.insert({ conn_id: "http", conn_type: "http", extra: seal("{}"), is_extra_encrypted: true })
    const credential = fresh()
    expect(await outcomesOf(deliver(airflow.sink(), credential))).toEqual(["delivered"])
    expect(await airflow.login(CONN_ID)).toMatchObject({ password: credential.password.reveal() })
  })

  test(`makes a login of ours anew that no key opened once it was deleted as the hint says, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    const ids = [CONN_ID, "ecr_other"]
    for (const conn_id of ids)
      await airflow.insert({
        conn_id,
        conn_type: "docker",
        password: seal("stale", otherKey),
        is_encrypted: true,
      })
    const sink = airflow.sink({ conn_id: ids })
    const { hint } = await errorOf(deliver(sink, fresh()))
    expect(hint).toContain(`delete ${ids.join(", ")}`)
    await airflow.run("DELETE FROM connection")
    expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered", "delivered"])
  })

  test(`proves the key by any of our own rows, or by 20 others, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    const closed = { conn_type: "docker", password: seal("stale", otherKey), is_encrypted: true }
    const registries = manyRegistries(45)
    const sink = airflow.sink()
    const ids = registries.flatMap((registry) => sink.targets(registry).map(({ slot }) => slot))
    await airflow.insert({ conn_id: "oldest", conn_type: "http", plain: "theirs" })
    for (const conn_id of ids.slice(0, 44)) await airflow.insert({ ...closed, conn_id })
    const refused = await outcomesOf(deliver(sink, ...registries.slice(0, 20).map((one) => fresh(one))))
    expect(refused).toEqual(["fernet-key-wrong"])
    await airflow.run("DELETE FROM connection WHERE conn_id = 'oldest'")
    await airflow.insert({ conn_id: ids[44] as string, conn_type: "docker", plain: "stale" })
    const outcomes = await outcomesOf(deliver(sink, ...registries.map((one) => fresh(one))))
    expect(new Set(outcomes)).toEqual(new Set(["delivered"]))
  })

  test(`looks at the 20 newest of the others for its proof, and at no more, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    await airflow.insert({ conn_id: "opens", conn_type: "http", plain: "theirs" })
    for (let i = 0; i < 20; i++)
      await airflow.insert({
        ...{ conn_id: `closed_${i}`, conn_type: "http" },
        ...{ password: seal("x", otherKey), is_encrypted: true },
      })
    const error = await errorOf(deliver(airflow.sink(), fresh()))
    expect(error.message).toEndWith("decrypts none of the encrypted rows (20 tried)")
    expect(await airflow.rows(CONN_ID)).toEqual([])
    await airflow.run("DELETE FROM connection WHERE conn_id = 'closed_19'")
    expect(await outcomesOf(deliver(airflow.sink(), fresh()))).toEqual(["delivered"])
  })

  test(`lets Airflow's configuration decide where nothing is encrypted yet, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    const sink = (env: Record<string, string>, more = {}) =>
      makeSink(kind, { url: airflow.url, conn_id: CONN_ID, ...more }, testDeps({ env }))
    const stored = async () => (await airflow.rows(CONN_ID)).map(({ is_encrypted }) => isTrue(is_encrypted))
    const error = await errorOf(deliver(sink({}), fresh()))
    expect(error).toMatchObject({
      code: "fernet-key-missing",
      hint: expect.stringContaining("allow_plaintext=true"),
    })
    expect(await stored()).toEqual([])

    const empty = await deliver(sink({ AIRFLOW__CORE__FERNET_KEY: "" }), fresh())
    expect(empty).toMatchObject([{ outcome: "delivered", warning: expect.stringContaining("plain text") }])
    expect(await stored()).toEqual([false])

    const credential = fresh()
    const allowed = await deliver(sink({}, { allow_plaintext: true }), credential)
    expect(allowed).toMatchObject([{ outcome: "delivered", warning: expect.stringContaining("plain text") }])
    expect(await airflow.login(CONN_ID)).toMatchObject({ password: credential.password.reveal() })

    // The same login once more, but now there is a key: it is written, encrypted.
    const encrypted = await deliver(sink({ AIRFLOW__CORE__FERNET_KEY: fernetKey }), credential)
    expect(encrypted).toEqual([{ outcome: "delivered", expiresAt: credential.expiresAt }])
    expect(await stored()).toEqual([true])
    expect(await airflow.login(CONN_ID)).toMatchObject({ password: credential.password.reveal() })

    const mixed = await errorOf(deliver(sink({ AIRFLOW__CORE__FERNET_KEY: "" }), fresh()))
    expect(mixed).toMatchObject({
      code: "fernet-key-missing",
      message: expect.stringContaining("1 row of the table is encrypted"),
    })
    expect(await stored()).toEqual([true])
  })
})
