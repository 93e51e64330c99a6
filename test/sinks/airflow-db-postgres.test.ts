// The airflow-db sink on PostgreSQL and through PgBouncer in transaction mode: the shared contract on real servers, and
// what is special about them.
import { expect, test } from "bun:test"
import { randomBytes } from "node:crypto"
import { fileURLToPath } from "node:url"
import kind from "../../sinks/airflow-db.ts"
import {
  type Airflow,
  CONN_ID,
  deliver,
  errorOf,
  fresh,
  openAirflow,
  openRig,
  otherKey,
  outcomesOf,
} from "../support/airflow-db.ts"
import { fernetKey } from "../support/airflow-rows.ts"
import { urlOfUser } from "../support/airflow-user.ts"
import { describeWithService } from "../support/services.ts"
import { testSink } from "../support/sink-suite.ts"
import { makeSink, manyRegistries, REGISTRY, testDeps } from "../support/sinks.ts"

const PROGRAM = fileURLToPath(new URL("../support/deliver-many.ts", import.meta.url))
const file = import.meta.resolve("../../sinks/airflow-db.ts")

for (const place of ["postgres", "pgbouncer"] as const)
  describeWithService(place, place, () => {
    testSink({
      kind,
      file,
      place: place === "postgres" ? "PostgreSQL" : "PostgreSQL through PgBouncer",
      open: () =>
        openRig(place, {
          unreachable: async (airflow) => ({
            options: airflow.options({ url: "postgresql://airflow:gone@127.0.0.1:1/airflow" }),
          }),
          refused: async (airflow) => {
            const url = airflow.url.replace(/:[^:@/]+@/, ":not-the-password@")
            if (place === "postgres") return { options: airflow.options({ url }) }
            // PgBouncer's code for a wrong password is the one for a server that is down: it cannot be told apart.
            await airflow.insert({ conn_id: "other", conn_type: "http", plain: "theirs" })
            return { options: airflow.options({ fernet_key: otherKey }) }
          },
          secrets: ["not-the-password", otherKey],
        }),
      cannot:
        place === "postgres"
          ? {}
          : {
              "takes a place that refuses to be read for unreadable, and not for empty":
                "what refuses here is the Fernet key, which an empty table is read without",
            },
    })
  })

describeWithService("postgres", "postgres", ({ url: admin, socket }) => {
  // Airflow's table in a schema of its own, and a decoy where a careless statement would look.
  async function openSchema(place: "postgres" | "pgbouncer"): Promise<Airflow> {
    const airflow = await openAirflow(place)
    await airflow.run('CREATE SCHEMA "Air flow"')
    await airflow.run('CREATE TABLE "Air flow".connection (LIKE connection INCLUDING ALL)')
    return airflow
  }

  async function inSchema({ run }: Airflow): Promise<readonly unknown[]> {
    return (await run('SELECT host FROM "Air flow".connection')).map(({ host }) => host)
  }

  for (const place of ["postgres", "pgbouncer"] as const)
    describeWithService(place, place, () => {
      test(`writes into the schema that the URL's search_path names, ${place}`, async () => {
        await using airflow = await openSchema(place)
        const options = encodeURIComponent('-csearch_path="Air\\ flow",public')
        const sink = airflow.sink({ url: `${airflow.url}?options=${options}` })
        expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered"])
        expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered"])
        expect(await inSchema(airflow)).toEqual([REGISTRY.host])
        expect(await airflow.rows()).toEqual([])
      })

      test(`says how a url that is given names the schema of Airflow's, ${place}`, async () => {
        await using airflow = await openSchema(place)
        await airflow.run("ALTER TABLE connection RENAME TO elsewhere")
        const error = await errorOf(deliver(airflow.sink(), fresh()))
        expect(error).toMatchObject({ code: "table-missing", retryable: false })
        const [, options = ""] = /ends with (\?options=\S+)SCHEMA$/.exec(error.hint ?? "") ?? []
        const sink = airflow.sink({ url: `${airflow.url}${options}${encodeURIComponent('"Air\\ flow"')}` })
        expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered"])
        expect(await inSchema(airflow)).toEqual([REGISTRY.host])
      })

      test(`writes into Airflow's sql_alchemy_schema, ${place}`, async () => {
        await using airflow = await openSchema(place)
        const env = {
          AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: airflow.url,
          AIRFLOW__DATABASE__SQL_ALCHEMY_SCHEMA: "Air flow",
          AIRFLOW__CORE__FERNET_KEY: fernetKey,
        }
        const sink = makeSink(kind, { conn_id: CONN_ID }, testDeps({ env }))
        expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered"])
        expect(await inSchema(airflow)).toEqual([REGISTRY.host])
        expect(await airflow.rows()).toEqual([])
      })
    })

  test("tells the server what else the URL's options say", async () => {
    await using airflow = await openAirflow("postgres")
    // A user who has no right of its own, and a role that it takes for the session.
    const role = `Air flow ${randomBytes(4).toString("hex")}`
    const url = await urlOfUser(airflow, "REFERENCES")
    await airflow.run(`CREATE ROLE "${role}"`)
    // Before the GRANT, which since PostgreSQL 16 keeps what it finds.
    await airflow.run(`ALTER ROLE ${new URL(url).username} NOINHERIT`)
    await airflow.run(`GRANT "${role}" TO ${new URL(url).username}`)
    await airflow.run(`GRANT SELECT, INSERT, UPDATE ON connection TO "${role}"`)
    await airflow.run(`GRANT USAGE ON SEQUENCE connection_id_seq TO "${role}"`)
    const options = encodeURIComponent(`-csearch_path=public -c role=${role.replaceAll(" ", "\\ ")}`)
    const sink = airflow.sink({ url: `${url}?options=${options}` })
    expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered"])
  })

  describeWithService("pgbouncer", "pgbouncer", () =>
    test("leaves nothing of itself in a session that it shares, PgBouncer", async () => {
      await using airflow = await openAirflow("pgbouncer")
      const credentials = manyRegistries(1100).map((registry) => fresh(registry, 100))
      await Promise.all([1, 2, 3, 4].map(() => outcomesOf(deliver(airflow.sink(), ...credentials))))
      expect(await airflow.rows()).toHaveLength(1100)
      expect(await outcomesOf(deliver(airflow.sink(), fresh()))).toEqual(["delivered"])
      // The server's session that was ours a moment ago, since a pool hands out the last one first.
      expect(await airflow.run("SELECT name, statement FROM pg_prepared_statements")).toEqual([])
      expect(await airflow.run("SHOW lock_timeout")).toEqual([{ lock_timeout: "0" }])
    }),
  )

  describeWithService("pgbouncer", "pgbouncer", () =>
    test("tells options that the pooler does not take from whatever else it refuses, PgBouncer", async () => {
      await using airflow = await openAirflow("pgbouncer")
      const query = `?options=${encodeURIComponent("-csearch_path=public -cstatement_timeout=9000")}`
      const error = await errorOf(deliver(airflow.sink({ url: airflow.url + query }), fresh()))
      expect(error).toMatchObject({ code: "pooler-options", retryable: false })
      expect(error.message).toContain("refuses the startup parameter options")
      expect(error.hint).toContain("ignore_startup_parameters = options")
      const stranger = airflow.url.replace(/\/\/[^@]*@/, "//stranger:pw@") + query
      expect(await errorOf(deliver(airflow.sink({ url: stranger }), fresh()))).toMatchObject({
        code: "pooler-refused",
        message: expect.stringContaining("startup parameter"),
      })
    }),
  )

  test("goes on to the next host where the first does not answer", async () => {
    await using airflow = await openAirflow("postgres")
    const { host, pathname } = new URL(airflow.url)
    const login = new URL(admin)
    const url = (hosts: string) => `postgresql://${login.username}:${login.password}@${pathname}?${hosts}`
    const both = `host=127.0.0.1:1&host=${host}`
    expect(await outcomesOf(deliver(airflow.sink({ url: url(both) }), fresh()))).toEqual(["delivered"])
    await airflow.run(`ALTER DATABASE ${pathname.slice(1)} SET default_transaction_read_only = on`)
    const standby = `${both}&target_session_attrs=read-write`
    const error = await errorOf(deliver(airflow.sink({ url: url(standby) }), fresh()))
    expect(error).toMatchObject({ code: "read-only" })
    // Without that option it is the first write that finds out, and it may pass.
    const late = await errorOf(deliver(airflow.sink({ url: url(both) }), fresh()))
    expect(late).toMatchObject({ code: "read-only", retryable: true })
  })

  test("connects through the unix socket that the URL names", async () => {
    await using airflow = await openAirflow("postgres")
    const { port, pathname } = new URL(airflow.url)
    const folder = encodeURIComponent(socket)
    const url = `postgresql://airflow:airflow@${pathname}?host=${folder}&port=${port}`
    expect(await outcomesOf(deliver(airflow.sink({ url }), fresh()))).toEqual(["delivered"])
  })

  test("is not led astray by variables for libpq", async () => {
    await using airflow = await openAirflow("postgres")
    const env = {
      ...process.env,
      PGHOST: "127.0.0.9",
      PGPORT: "1",
      PGPASSWORD: "wrong",
      PGDATABASE: "nowhere",
    }
    const child = Bun.spawnSync([process.execPath, PROGRAM, JSON.stringify(airflow.options())], { env })
    expect(child.stdout.toString()).toBe("delivering\n1 delivered\n")
  })
})
