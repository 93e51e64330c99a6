// The airflow-db sink where the database itself sets limits: triggers and rules on the table, a user who may not do much
// at a time, statements that are cut short. What is told is true, and says whether it may pass by itself.
import { expect, test } from "bun:test"
import type { Airflow } from "../support/airflow-db.ts"
import {
  CONN_ID,
  deliver,
  errorOf,
  fresh,
  onEachDatabase,
  openAirflow,
  outcomesOf,
} from "../support/airflow-db.ts"
import { urlOfUser } from "../support/airflow-user.ts"
import { describeWithService } from "../support/services.ts"
import { REGISTRY, ZERO_REGISTRY } from "../support/sinks.ts"

const stale = { conn_id: CONN_ID, conn_type: "docker", host: REGISTRY.host, login: "AWS", plain: "stale" }

// Makes the database pass over every write of this kind in silence; MySQL has nothing that can.
const SKIPS = {
  sqlite: (verb: string) => [
    `CREATE TRIGGER skip BEFORE ${verb} ON connection BEGIN SELECT RAISE(IGNORE); END`,
  ],
  postgresql: (verb: string) => [
    "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
    `CREATE TRIGGER skip BEFORE ${verb} ON connection FOR EACH ROW EXECUTE FUNCTION skip()`,
  ],
}

onEachDatabase((place) => {
  if (place === "mariadb" || place === "mysql") return
  test.each(["UPDATE", "INSERT"])(
    `promises nothing where a trigger skips an %s, on ${place}`,
    async (verb) => {
      await using airflow = await openAirflow(place)
      await airflow.insert(stale)
      const before = await airflow.rows()
      const { dialect } = airflow
      if (dialect !== "mysql") for (const statement of SKIPS[dialect](verb)) await airflow.run(statement)
      const error = await errorOf(deliver(airflow.sink(), fresh(), fresh(ZERO_REGISTRY)))
      expect(error).toMatchObject({ code: "not-applied", retryable: false })
      expect(error.hint).toContain("trigger")
      expect(await airflow.rows()).toEqual(before)
    },
  )
})

for (const place of ["mariadb", "mysql"] as const)
  describeWithService(place, place, () => {
    async function withUser(): Promise<{ airflow: Airflow; url: string; alter(how: string): Promise<void> }> {
      const airflow = await openAirflow(place)
      await airflow.insert(stale)
      const url = await urlOfUser(airflow, "SELECT, INSERT, UPDATE")
      const { username } = new URL(url)
      return {
        airflow,
        url,
        alter: async (how) => void (await airflow.run(`ALTER USER '${username}'@'%' ${how}`)),
      }
    }

    test(`tries again where the user has as many calls as it may, on ${place}`, async () => {
      const { airflow, url, alter } = await withUser()
      await using _ = airflow
      await alter("WITH MAX_QUERIES_PER_HOUR 3")
      const sink = airflow.sink({ url })
      expect(await errorOf(deliver(sink, fresh()))).toMatchObject({ code: "unreachable", retryable: true })
      await alter("WITH MAX_QUERIES_PER_HOUR 0")
      expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered"])
    })

    test(`says that the account is locked, on ${place}`, async () => {
      const { airflow, url, alter } = await withUser()
      await using _ = airflow
      await alter("ACCOUNT LOCK")
      const sink = airflow.sink({ url })
      const error = await errorOf(deliver(sink, fresh()))
      expect(error).toMatchObject({ code: "login-refused", retryable: false })
      expect(error.message).toContain("locked")
      const [, unlock = ""] = /(ALTER USER .*?);/.exec(error.hint ?? "") ?? []
      await airflow.run(unlock)
      expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered"])
    })

    test(`tries again where a statement was cut short, on ${place}`, async () => {
      await using airflow = await openAirflow(place)
      await airflow.insert(stale)
      await using other = await openAirflow(place)
      await airflow.run("CREATE TRIGGER slow BEFORE UPDATE ON connection FOR EACH ROW SET @x = SLEEP(20)")
      const sink = airflow.sink()
      const delivery = errorOf(deliver(sink, fresh()))
      const database = new URL(airflow.url).pathname.slice(1)
      const sleeping = `SELECT id FROM information_schema.processlist WHERE state = 'User sleep' AND db = '${database}'`
      let asleep = await other.run(sleeping)
      for (; asleep.length === 0; asleep = await other.run(sleeping)) await Bun.sleep(20)
      for (const { id } of asleep) await other.run(`KILL QUERY ${id}`)
      const error = await delivery
      expect(error).toMatchObject({ code: "locked", retryable: true })
      expect(error.message).toContain("cancelled a statement")
      await airflow.run("DROP TRIGGER slow")
      expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered"])
    })

    test(`makes a connection where somebody added a column that fills itself, on ${place}`, async () => {
      await using airflow = await openAirflow(place)
      // MariaDB's are never NOT NULL.
      const required = place === "mysql" ? "NOT NULL" : ""
      await airflow.run(
        `ALTER TABLE connection ADD COLUMN beside VARCHAR(300) AS (concat(conn_id, '!')) STORED ${required}`,
      )
      expect(await outcomesOf(deliver(airflow.sink(), fresh()))).toEqual(["delivered"])
    })
  })

describeWithService("mariadb", "limits of MariaDB alone", () => {
  test("tries again where a statement took longer than the user's may, on mariadb", async () => {
    await using airflow = await openAirflow("mariadb")
    await airflow.insert(stale)
    const url = await urlOfUser(airflow, "SELECT, INSERT, UPDATE")
    await airflow.run(`ALTER USER '${new URL(url).username}'@'%' WITH MAX_STATEMENT_TIME 0.2`)
    await airflow.run("CREATE TRIGGER slow BEFORE UPDATE ON connection FOR EACH ROW SET @x = SLEEP(20)")
    const error = await errorOf(deliver(airflow.sink({ url }), fresh()))
    expect(error).toMatchObject({ code: "locked", retryable: true })
    await airflow.run("DROP TRIGGER slow")
    expect(await outcomesOf(deliver(airflow.sink({ url }), fresh()))).toEqual(["delivered"])
  })
})
