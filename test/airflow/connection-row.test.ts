// A connection's row, opened by its own flags: tables of real releases, on SQLite and on the servers that are there.
import { describe, expect, test } from "bun:test"
import { EXTRA, load, placeOf, ROW, refusalOf, SEALED_EXTRA, SECRET } from "../support/airflow-connection.ts"
import { onEachDatabase, openAirflow, otherKey, seal } from "../support/airflow-db.ts"
import { fernetKey } from "../support/airflow-rows.ts"
import { airflowVersions } from "../support/airflow-tables.ts"
import { describeWithService } from "../support/services.ts"

describe("a row", () => {
  onEachDatabase((where) => {
    test(`password and extra are opened, each by its own flag: ${where}`, async () => {
      await using airflow = await openAirflow(where)
      await airflow.insert({ ...ROW, ...SEALED_EXTRA })
      await airflow.insert({ ...ROW, conn_id: "half", extra: JSON.stringify(EXTRA) })
      const { plain, ...bare } = ROW
      await airflow.insert({ ...bare, conn_id: "other_half", password: plain, ...SEALED_EXTRA })
      await airflow.insert({ conn_id: "empty", conn_type: "aws" })
      for (const id of ["aws_eu", "half", "other_half"])
        expect(await load(placeOf(airflow), {}, id)).toMatchObject({
          id,
          login: "AKIAROW",
          password: SECRET,
          extra: EXTRA,
        })
      expect(await load(placeOf(airflow), {}, "empty")).toMatchObject({
        login: "",
        password: undefined,
        extra: {},
      })
    })

    test(`another id is another connection: ${where}`, async () => {
      await using airflow = await openAirflow(where)
      for (const conn_id of ["aws-eu", "awsxeu", "aws_eu_2"]) await airflow.insert({ ...ROW, conn_id })
      expect((await refusalOf(placeOf(airflow))).code).toBe("connection-missing")
    })
  })

  test.each(airflowVersions)("of Airflow %s", async (version) => {
    await using airflow = await openAirflow("sqlite", version)
    await airflow.insert({ ...ROW, ...SEALED_EXTRA })
    expect(await load(placeOf(airflow))).toMatchObject({ password: SECRET, extra: EXTRA })
  })

  test("is opened by any of several keys", async () => {
    await using airflow = await openAirflow("sqlite")
    await airflow.insert({ ...ROW, ...SEALED_EXTRA })
    const fernet_key = `${otherKey},${fernetKey}`
    expect(await load({ url: airflow.url, fernet_key })).toMatchObject({ password: SECRET, extra: EXTRA })
  })

  test("is read anew every time: a rotated key needs no restart", async () => {
    await using airflow = await openAirflow("sqlite")
    await airflow.insert(ROW)
    expect((await load(placeOf(airflow))).password).toBe(SECRET)
    await airflow.run(`UPDATE connection SET password = '${seal("rotated")}'`)
    expect((await load(placeOf(airflow))).password).toBe("rotated")
  })

  // 1.10 lets an id stand twice.
  test("several of the same id count as one where they say the same, and are refused where they differ", async () => {
    await using airflow = await openAirflow("sqlite", "1.10.15")
    await airflow.insert(ROW)
    await airflow.insert(ROW)
    expect((await load(placeOf(airflow))).password).toBe(SECRET)
    await airflow.insert({ ...ROW, plain: "another" })
    const { code, message } = await refusalOf(placeOf(airflow))
    expect(code).toBe("connection-ambiguous")
    expect(message).toContain("there are 3 connections of this id, and they differ")
  })

  for (const server of ["mysql", "mariadb"] as const)
    describeWithService(server, `${server}'s collation`, () => {
      test("an id in other letters is named, as the database takes both for one", async () => {
        await using airflow = await openAirflow(server)
        await airflow.insert(ROW)
        const { code, hint } = await refusalOf(placeOf(airflow), {}, "AWS_eu")
        expect({ code, hint }).toEqual({
          code: "conn-id-taken",
          hint: "its collation does not tell the two apart: write it as aws_eu",
        })
      })
    })
})

describeWithService("postgres", "PostgreSQL's permissions", () => {
  test("reading is enough, and what is missing is named", async () => {
    await using airflow = await openAirflow("postgres")
    await airflow.insert(ROW)
    const user = `reader_${Math.floor(performance.now() * 1000)}`
    await airflow.run(`CREATE USER ${user} PASSWORD 'reads'`)
    const url = new URL(airflow.url)
    url.username = user
    url.password = "reads"
    const options = { url: url.href, fernet_key: fernetKey }
    expect((await refusalOf(options)).hint).toContain("GRANT SELECT ON")
    await airflow.run(`GRANT SELECT ON connection TO ${user}`)
    expect((await load(options)).password).toBe(SECRET)
    await airflow.run(`DROP OWNED BY ${user}`)
    await airflow.run(`DROP USER ${user}`)
  })
})
