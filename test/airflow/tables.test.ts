// That our copies of Airflow's `connection` table are what the airflow-db sink will meet: each property in which the
// versions differ is provoked on every database at hand.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { type AirflowDatabase, airflowDatabase, dialectOf, type Place } from "../support/airflow-database.ts"
import { type AirflowRow, insertStatement, neighbours } from "../support/airflow-rows.ts"
import { type AirflowVersion, airflowVersions, isSince } from "../support/airflow-tables.ts"
import { describeWithService } from "../support/services.ts"

const ours: AirflowRow = { conn_id: "ecr", conn_type: "docker", host: "registry", login: "AWS" }

describe("Airflow's connection table on SQLite", () => tableTests("sqlite"))
for (const place of ["postgres", "mariadb", "mysql"] as const)
  describeWithService(place, `Airflow's connection table on ${place}`, () => tableTests(place))

function tableTests(place: Place): void {
  const opened = new Map<AirflowVersion, AirflowDatabase>()
  beforeAll(async () => {
    for (const version of airflowVersions) opened.set(version, await airflowDatabase(place, version))
  })
  afterAll(() => Promise.all([...opened.values()].map((database) => database[Symbol.asyncDispose]())))

  /** The database of a version, its `connection` table empty. */
  async function emptied(version: AirflowVersion): Promise<AirflowDatabase> {
    const database = opened.get(version)
    if (!database) throw new Error(`no database of ${version}`)
    await database.run("DELETE FROM connection")
    return database
  }

  /** The versions whose empty table lets `work` succeed. */
  async function versionsThatTake(work: (database: AirflowDatabase) => Promise<unknown>) {
    const taken: AirflowVersion[] = []
    for (const version of airflowVersions)
      if (await succeeds(work(await emptied(version)))) taken.push(version)
    return taken
  }

  test.each(airflowVersions)("of %s holds rows as Airflow wrote them", async (version) => {
    const database = await emptied(version)
    for (const row of neighbours) await database.run(insertStatement(row, database.dialect))
    const rows = await database.run("SELECT * FROM connection ORDER BY id")
    expect(rows.map(withPlainFlags)).toMatchObject(neighbours.map(withPlainFlags))
  })

  test("takes an id twice before 2.0 only", async () => {
    const taken = await versionsThatTake(async (database) => {
      await database.run(insertStatement(ours, database.dialect))
      await database.run(insertStatement(ours, database.dialect))
    })
    expect(taken).toEqual(["1.10.6", "1.10.15"])
  })

  test("lets an id and a type be NULL before 2.0 only", async () => {
    for (const column of ["conn_id", "conn_type"]) {
      const taken = await versionsThatTake((database) =>
        database.run(insertStatement({ ...ours, [column]: null }, database.dialect)),
      )
      expect(taken).toEqual(["1.10.6", "1.10.15"])
    }
  })

  test("wants both flags from 3.3 on", async () => {
    for (const flag of ["is_encrypted", "is_extra_encrypted"]) {
      const taken = await versionsThatTake((database) =>
        database.run(`INSERT INTO connection (conn_id, conn_type, ${flag}) VALUES ('ecr', 'docker', FALSE)`),
      )
      expect(taken).toEqual(airflowVersions.filter((version) => !isSince(version, "3.3")))
    }
  })

  test("gives a password 500 characters, then 5000, then as many as it takes", async () => {
    const withPassword = (length: number) =>
      versionsThatTake((database) =>
        database.run(insertStatement({ ...ours, password: "x".repeat(length) }, database.dialect)),
      )
    // SQLite keeps the widths in its declarations only.
    const from = (first: AirflowVersion) =>
      airflowVersions.filter((version) => place === "sqlite" || isSince(version, first))
    expect(await withPassword(500)).toEqual([...airflowVersions])
    expect(await withPassword(501)).toEqual(from("1.10.15"))
    expect(await withPassword(5000)).toEqual(from("1.10.15"))
    expect(await withPassword(5001)).toEqual(from("2.11"))
  })

  test("belongs to teams from 3.1 on, by id and later by name", async () => {
    const withTeam = (column: string) =>
      versionsThatTake((database) =>
        database.run(insertStatement({ ...ours, [column]: null }, database.dialect)),
      )
    expect(await withTeam("team_id")).toEqual(["3.1"])
    expect(await withTeam("team_name")).toEqual(["3.3"])
  })

  test("loses a connection's team with the team, not the connection, in 3.3", async () => {
    const database = await emptied("3.3")
    if (place === "sqlite") await database.run("PRAGMA foreign_keys = ON")
    await database.run("INSERT INTO team (name) VALUES ('data')")
    await database.run(insertStatement({ ...ours, team_name: "data" }, database.dialect))
    expect(await succeeds(database.run("UPDATE connection SET team_name = 'nobody'"))).toBeFalse()
    await database.run("DELETE FROM team")
    expect(await database.run("SELECT conn_id, team_name FROM connection")).toMatchObject([
      { conn_id: "ecr", team_name: null },
    ])
  })

  const tellsCase = dialectOf(place) !== "mysql"
  test(`${tellsCase ? "tells" : "does not tell"} ids apart by case`, async () => {
    const database = await emptied("2.11")
    await database.run(insertStatement(ours, database.dialect))
    const other = database.run(insertStatement({ ...ours, conn_id: "ECR" }, database.dialect))
    expect(await succeeds(other)).toBe(tellsCase)
  })
}

// PostgreSQL has booleans, the others 0 and 1.
function withPlainFlags(row: Readonly<Record<string, unknown>>) {
  return { ...row, is_encrypted: !!row.is_encrypted, is_extra_encrypted: !!row.is_extra_encrypted }
}

function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  )
}
