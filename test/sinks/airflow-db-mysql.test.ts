// The airflow-db sink on MariaDB and MySQL: the shared contract on real servers, and what is special about them.
import { expect, test } from "bun:test"
import { randomBytes } from "node:crypto"
import kind from "../../sinks/airflow-db.ts"
import { Secret } from "../../src/credential.ts"
import {
  type Airflow,
  deliver,
  errorOf,
  fresh,
  openAirflow,
  openRig,
  outcomesOf,
} from "../support/airflow-db.ts"
import { fernetKey } from "../support/airflow-rows.ts"
import { describeWithService } from "../support/services.ts"
import { testSink } from "../support/sink-suite.ts"
import { calm, makeSink, manyRegistries, REGISTRY, testDeps, ZERO_REGISTRY } from "../support/sinks.ts"

const file = import.meta.resolve("../../sinks/airflow-db.ts")

for (const place of ["mariadb", "mysql"] as const)
  describeWithService(place, place, () => {
    testSink({
      kind,
      file,
      place: place === "mariadb" ? "MariaDB" : "MySQL",
      open: () =>
        openRig(place, {
          unreachable: async (airflow) => ({
            options: airflow.options({ url: "mysql://airflow:gone@127.0.0.1:1/airflow" }),
          }),
          refused: async (airflow) => ({
            options: airflow.options({ url: airflow.url.replace(/:[^:@/]+@/, ":not-the-password@") }),
          }),
          secrets: ["not-the-password"],
        }),
    })
    specialTests(place)
  })

function specialTests(place: "mariadb" | "mysql"): void {
  // Sets something for all new connections, and back again.
  async function setGlobally({ run }: Airflow, name: string, value: string): Promise<AsyncDisposable> {
    const [before] = await run(`SELECT @@global.${name} AS value`)
    await run(`SET GLOBAL ${name} = ${value}`)
    const old = typeof before?.value === "string" ? `'${before.value}'` : before?.value
    return { [Symbol.asyncDispose]: async () => void (await run(`SET GLOBAL ${name} = ${old}`)) }
  }

  test(`does not take Ecr_Docker for ecr_docker, ${place}`, async () => {
    await using airflow = await openAirflow(place)
    await airflow.insert({ conn_id: "Ecr_Docker", conn_type: "docker", plain: "theirs" })
    const before = await airflow.rows()
    const sink = airflow.sink({ conn_id: ["ecr_docker", "beside", "Beside"] })
    const results = deliver(sink, fresh())
    expect(await outcomesOf(results)).toEqual(["conn-id-taken", "delivered", "conn-id-taken"])
    expect(await errorOf(results)).toMatchObject({ hint: expect.stringContaining("conn_id=Ecr_Docker") })
    expect(await airflow.rows("Ecr_Docker")).toEqual(before)
    expect(await airflow.rows()).toHaveLength(2)
    const known = await sink.read?.(sink.targets(REGISTRY), calm())
    expect(known?.map(({ state }) => state)).toEqual(["unreadable", "held", "unreadable"])
  })

  test(`keeps both where the ids' collation tells them apart, ${place}`, async () => {
    await using airflow = await openAirflow(place)
    await airflow.run(
      "ALTER TABLE connection MODIFY conn_id VARCHAR(250) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin NOT NULL",
    )
    const sink = airflow.sink({ conn_id: ["ecr", "Ecr"] })
    expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered", "delivered"])
    expect((await airflow.rows()).map(({ conn_id }) => conn_id)).toEqual(["ecr", "Ecr"])
  })

  test(`writes into Airflow's sql_alchemy_schema, ${place}`, async () => {
    // The table that a careless statement would find is too narrow besides.
    await using airflow = await openAirflow(place, "1.10.6")
    const schema = `Air \`flow_${randomBytes(4).toString("hex")}`
    const table = `\`${schema.replace("`", "``")}\`.connection`
    await airflow.run(`CREATE DATABASE ${table.replace(/\.connection$/, "")}`)
    await airflow.run(`CREATE TABLE ${table} LIKE connection`)
    await airflow.run(`ALTER TABLE ${table} MODIFY password TEXT, ADD UNIQUE (conn_id)`)
    const env = {
      AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: airflow.url,
      AIRFLOW__DATABASE__SQL_ALCHEMY_SCHEMA: schema,
      AIRFLOW__CORE__FERNET_KEY: fernetKey,
    }
    const sink = makeSink(kind, { conn_id: ["ecr", "other"] }, testDeps({ env }))
    const hosts = async () => (await airflow.run(`SELECT host FROM ${table}`)).map(({ host }) => host)
    expect(await sink.check?.(sink.targets(REGISTRY), calm())).toMatchObject([{ level: "ok" }])
    // Made, then changed.
    for (const registry of [ZERO_REGISTRY, REGISTRY]) {
      expect(await outcomesOf(deliver(sink, fresh(registry)))).toEqual(["delivered", "delivered"])
      expect(await hosts()).toEqual([registry.host, registry.host])
    }
    expect(await airflow.rows()).toEqual([])
    await airflow.run(`DROP DATABASE ${table.replace(/\.connection$/, "")}`)
  })

  test(`sends nothing longer than the server takes, ${place}`, async () => {
    await using airflow = await openAirflow(place)
    {
      await using _ = await setGlobally(airflow, "max_allowed_packet", "16384")
      const credentials = manyRegistries(20).map((registry) => fresh(registry))
      // Made, then found.
      for (const _ of [1, 2])
        expect(new Set(await outcomesOf(deliver(airflow.sink(), ...credentials)))).toHaveLength(1)
      expect(await airflow.rows()).toHaveLength(20)
      const tooLong = fresh(REGISTRY, 16_000)
      const outcomes = outcomesOf(deliver(airflow.sink(), tooLong, fresh(ZERO_REGISTRY)))
      expect(await outcomes).toEqual(["packet-too-small", "delivered"])
    }
    expect(await outcomesOf(deliver(airflow.sink(), fresh(REGISTRY, 16_000)))).toEqual(["delivered"])
  })

  test(`writes exactly what is meant in any sql_mode and character set of the server, ${place}`, async () => {
    await using airflow = await openAirflow(place, "2.11")
    await airflow.run("ALTER TABLE connection CONVERT TO CHARACTER SET latin1")
    await using _ = await setGlobally(
      airflow,
      "sql_mode",
      "'NO_BACKSLASH_ESCAPES,ANSI_QUOTES,PIPES_AS_CONCAT'",
    )
    const conn_id = "a\\b/größe"
    const env = { AIRFLOW__CORE__FERNET_KEY: "" }
    const sink = makeSink(kind, { url: airflow.url, conn_id }, testDeps({ env }))
    for (const password of [`it's "quoted" \\ \\' ü`, "other\\"]) {
      const credential = { ...fresh(), password: new Secret(password) }
      expect(await outcomesOf(deliver(sink, credential))).toEqual(["delivered"])
      expect(await outcomesOf(deliver(sink, credential))).toEqual(["unchanged"])
      expect(await airflow.login(conn_id)).toMatchObject({ password })
    }
    expect(await airflow.rows()).toHaveLength(1)
  })
}

// Plays MariaDB up to the point where it asks for ed25519: Debian's server comes without that plugin.
function listenAsEd25519(): Bun.TCPSocketListener {
  const text = (value: string) => Buffer.from(`${value}\0`)
  const greeting = Buffer.concat([
    ...[Buffer.of(10), text("10.11.0-MariaDB"), Buffer.alloc(4), Buffer.alloc(8, 65), Buffer.of(0)],
    // Protocol 4.1, secure connection; utf8mb4; autocommit; plugin authentication; length of the challenge.
    ...[Buffer.of(0x00, 0x82, 45, 2, 0, 0x08, 0, 21), Buffer.alloc(10), text("B".repeat(12))],
    text("mysql_native_password"),
  ])
  const packet = (sequence: number, body: Buffer) =>
    Buffer.concat([Buffer.of(body.length & 255, body.length >> 8, 0, sequence), body])
  const request = Buffer.concat([Buffer.of(0xfe), text("client_ed25519"), Buffer.alloc(32, 67)])
  return Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => void socket.write(packet(0, greeting)),
      data: (socket) => void socket.write(packet(2, request)),
    },
  })
}

test("says that MariaDB's ed25519 accounts are not supported", async () => {
  using server = listenAsEd25519()
  const sink = makeSink(kind, {
    conn_id: "ecr",
    url: `mysql://me:pw@127.0.0.1:${server.port}/airflow`,
    fernet_key: fernetKey,
  })
  const error = await errorOf(deliver(sink, fresh()))
  expect(error).toMatchObject({ code: "login-method", retryable: false })
  expect(error.hint).toContain("ed25519")
})
