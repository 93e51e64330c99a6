// A connection as Airflow itself would find it: the places in their order, and what is said where there is none.
import { describe, expect, test } from "bun:test"
import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { loadAirflowConnection } from "../../sinks/_airflow/connection.ts"
import { EXTRA, load, placeOf, ROW, refusalOf, SEALED_EXTRA, SECRET } from "../support/airflow-connection.ts"
import { openAirflow, otherKey } from "../support/airflow-db.ts"
import { fernetKey } from "../support/airflow-rows.ts"
import { textOf } from "../support/secrets.ts"
import { testDeps } from "../support/sinks.ts"
import { temporaryFolder } from "./folder.ts"

const VARIABLE = "AIRFLOW_CONN_AWS_EU"

describe("the places", () => {
  test("the variable comes first, as a URI or as JSON, and the database is not even looked for", async () => {
    const uri = `aws://AKIAURI:${encodeURIComponent(SECRET)}@/?region_name=eu-west-2`
    const json = JSON.stringify({ conn_type: "aws", login: "AKIAJSON", password: SECRET, extra: EXTRA })
    const expected = { id: "aws_eu", connType: "aws", password: SECRET, from: VARIABLE, warnings: [] }
    expect(await load({ url: "sqlite:////not/there" }, { env: { [VARIABLE]: uri } })).toEqual({
      ...expected,
      login: "AKIAURI",
      extra: { region_name: "eu-west-2" },
    })
    expect(await load({ url: "sqlite:////not/there" }, { env: { [VARIABLE]: json } })).toEqual({
      ...expected,
      login: "AKIAJSON",
      extra: EXTRA,
    })
  })

  test("the variable's name is in capitals, the id as it is", async () => {
    const env = { "AIRFLOW_CONN_AWS.EU-1": "aws://" }
    expect(await load({}, { env }, "aws.Eu-1")).toMatchObject({
      id: "aws.Eu-1",
      from: "AIRFLOW_CONN_AWS.EU-1",
    })
  })

  test("then the database, where the variable is empty too", async () => {
    await using airflow = await openAirflow("sqlite")
    await airflow.insert({ ...ROW, ...SEALED_EXTRA })
    for (const env of [{}, { [VARIABLE]: "" }])
      expect(await load(placeOf(airflow), { env })).toEqual({
        id: "aws_eu",
        connType: "aws",
        login: "AKIAROW",
        password: SECRET,
        extra: EXTRA,
        from: expect.stringMatching(/^sqlite:.*airflow\.db$/),
        warnings: [],
      })
  })

  test("the database and its key are found where Airflow finds them", async () => {
    await using airflow = await openAirflow("sqlite")
    await using home = await temporaryFolder()
    await airflow.insert({ ...ROW, ...SEALED_EXTRA })
    const env = { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: airflow.url, AIRFLOW__CORE__FERNET_KEY: fernetKey }
    expect(await load({}, { env })).toMatchObject({ password: SECRET })
    await mkdir(join(home.path, "airflow"))
    await writeFile(
      join(home.path, "airflow/airflow.cfg"),
      `[core]\nfernet_key = ${fernetKey}\n[database]\nsql_alchemy_conn = ${airflow.url}\n`,
    )
    expect(await load({}, { home: home.path })).toMatchObject({ password: SECRET, extra: EXTRA })
  })

  test("a secrets backend, which Airflow asks first, is not asked, and that is said", async () => {
    const env = { AIRFLOW__SECRETS__BACKEND: "some.Backend", [VARIABLE]: "aws://" }
    expect((await load({}, { env })).warnings).toEqual([
      `Airflow connection aws_eu was taken from ${VARIABLE}: Airflow asks the secrets backend of AIRFLOW__SECRETS__BACKEND first, which ecrelay does not`,
    ])
    await using airflow = await openAirflow("sqlite")
    const { hint } = await refusalOf(placeOf(airflow), { env: { AIRFLOW__WORKERS__SECRETS_BACKEND: "x" } })
    expect(hint).toContain("but not at the secrets backend of AIRFLOW__WORKERS__SECRETS_BACKEND")
  })
})

describe("where there is none that can be read", () => {
  test("a missing connection is an error that says where it was looked for", async () => {
    await using airflow = await openAirflow("sqlite")
    await airflow.insert({ ...ROW, conn_id: "aws_us" })
    const error = await refusalOf(placeOf(airflow))
    expect(error).toMatchObject({ code: "connection-missing", retryable: false })
    expect(error.principal).toBe("Airflow connection aws_eu")
    expect(error.message).toMatch(
      /^Airflow connection aws_eu: Airflow holds no such connection \(sqlite:.*\)$/,
    )
    expect(error.hint).toMatch(
      /^create it in Airflow, or set AIRFLOW_CONN_AWS_EU; looked at AIRFLOW_CONN_AWS_EU \(not set\) and sqlite:/,
    )
  })

  test("without a database the hint says how to name one", async () => {
    const { code, hint } = await refusalOf({})
    expect(code).toBe("airflow-config-missing")
    expect(hint).toStartWith(`set ${VARIABLE}, or give the option url`)
    expect(hint).toContain("under [airflow] in the config file, and --airflow-url is the same url")
  })

  test.each([
    ["password", ROW, "wrong"],
    ["password", ROW, "empty"],
    ["password", ROW, "absent"],
    ["extra", { conn_id: "aws_eu", conn_type: "aws", ...SEALED_EXTRA }, "wrong"],
    ["extra", { conn_id: "aws_eu", conn_type: "aws", ...SEALED_EXTRA }, "empty"],
  ] as const)("what no key opens is refused: %s of %j, the key is %s", async (column, sealed, key) => {
    await using airflow = await openAirflow("sqlite")
    await airflow.insert(sealed)
    const fernet_key = { wrong: otherKey, empty: "", absent: undefined }[key]
    const { code, message, hint } = await refusalOf({ url: airflow.url, fernet_key })
    expect(code).toBe(key === "wrong" ? "fernet-key-wrong" : "fernet-key-missing")
    expect(message).toContain(
      key === "wrong"
        ? `does not decrypt its ${column}`
        : `its ${column} is encrypted, and there is no fernet key`,
    )
    expect(hint).toEndWith(
      "url and fernet_key stand under [airflow] in the config file, and --airflow-url is the same url",
    )
  })

  test("where another url helps, the hint says where one is given", async () => {
    const env = { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: "postgresql://u@db/airflow?require_auth=none" }
    const { code, hint } = await refusalOf({}, { env })
    expect(code).toBe("tls-option-invalid")
    expect(hint).toEndWith("--airflow-url is the same url")
  })

  test("what is plain needs no key", async () => {
    await using airflow = await openAirflow("sqlite")
    const { plain, ...bare } = ROW
    await airflow.insert({ ...bare, password: plain, extra: JSON.stringify(EXTRA) })
    expect(await load({ url: airflow.url })).toMatchObject({ password: SECRET, extra: EXTRA })
  })

  test("an extra that is no object is refused, and not quoted", async () => {
    await using airflow = await openAirflow("sqlite")
    await airflow.insert({ ...ROW, extra: SECRET })
    const error = await refusalOf(placeOf(airflow))
    expect(error).toMatchObject({ code: "connection-invalid", retryable: false })
    expect(error.message).toContain("Airflow connection aws_eu: its extra is not a JSON object")
    expect(textOf(error)).not.toContain(SECRET)
  })

  test("a variable that cannot be read is not passed over for the database", async () => {
    await using airflow = await openAirflow("sqlite")
    await airflow.insert(ROW)
    const error = await refusalOf(placeOf(airflow), { env: { [VARIABLE]: `AKIA:${SECRET}` } })
    expect(error).toMatchObject({ code: "connection-invalid", retryable: false })
    expect(error.message).toStartWith(`Airflow connection aws_eu: ${VARIABLE}: `)
    expect(textOf(error)).not.toContain(SECRET)
  })

  test("a database without the table says how it gets one", async () => {
    await using airflow = await openAirflow("sqlite")
    await airflow.run("DROP TABLE connection")
    const { code, hint } = await refusalOf(placeOf(airflow))
    expect(code).toBe("table-missing")
    expect(hint).toContain("airflow db migrate")
  })

  test("a server that is away is worth another try, and the URL's password stays out of it", async () => {
    const url = "postgresql://airflow:hunter2@127.0.0.1:1/airflow"
    const error = await refusalOf({ url, fernet_key: fernetKey })
    expect(error).toMatchObject({ code: "unreachable", retryable: true })
    expect(textOf(error)).not.toContain("hunter2")
  })

  test("a stop is a stop, not a failure", async () => {
    const stop = new AbortController()
    stop.abort(new Error("stopped by SIGTERM"))
    const loading = loadAirflowConnection("aws_eu", {}, testDeps(), stop.signal)
    expect(await loading.catch((error: unknown) => error)).toBe(stop.signal.reason)
  })
})
