// Connection ids that MySQL and MariaDB take for one although they differ, and ids that their column cannot hold: each
// fails alone and before anything is written, by the server's own word.
import { expect, test } from "bun:test"
import { findEquated } from "../../sinks/_airflow/ids.ts"
import type { Session } from "../../sinks/_airflow/session.ts"
import { type Airflow, deliver, errorOf, fresh, openAirflow, outcomesOf } from "../support/airflow-db.ts"
import { describeWithService } from "../support/services.ts"
import { calm, REGISTRY } from "../support/sinks.ts"

async function collate({ run }: Airflow, collation: string): Promise<void> {
  const [charset] = collation.split("_")
  await run(
    `ALTER TABLE connection MODIFY conn_id VARCHAR(250) CHARACTER SET ${charset} COLLATE ${collation} NOT NULL`,
  )
}

/** What each compares by where it is asked for the newest rules, for which a soft hyphen is nothing. */
const MODERN = { mariadb: "utf8mb4_uca1400_ai_ci", mysql: "utf8mb4_0900_ai_ci" } as const

for (const place of ["mariadb", "mysql"] as const)
  describeWithService(place, place, () => {
    test.each([
      ["utf8mb3_bin", "ecr_docker ", "ecr_docker", '"ecr_docker "'],
      ["latin1_swedish_ci", "ecr_docker ", "ecr_docker", '"ecr_docker "'],
      ["utf8mb4_unicode_ci", "ecr\u00a0", "ecr", '"ecr\\u{a0}"'],
      [MODERN[place], "e\u00adcr", "ecr", '"e\\u{ad}cr"'],
      ["utf8mb4_unicode_ci", "strasse", "straße", "strasse"],
      ["latin1_german2_ci", "strasse", "straße", "strasse"],
      ["utf8mb4_unicode_ci", "ECR", "écr", "ECR"],
    ])(
      `by %s another row, %p, stands in the way of %s alone, ${place}`,
      async (collation, row, id, named) => {
        await using airflow = await openAirflow(place)
        await collate(airflow, collation)
        await airflow.insert({ conn_id: row, conn_type: "docker", plain: "theirs" })
        const before = await airflow.rows()
        const sink = airflow.sink({ conn_id: [id, "other"] })
        const findings = await sink.check?.(sink.targets(REGISTRY), calm())
        const results = deliver(sink, fresh())
        expect(await outcomesOf(results)).toEqual(["conn-id-taken", "delivered"])
        const { message, hint = "", retryable } = await errorOf(results)
        expect(message).toEndWith(`the database cannot tell connection ${id} from ${named}`)
        expect(hint).toInclude(named === row ? `use conn_id=${row}` : "delete or rename that connection")
        expect({ retryable, findings }).toMatchObject({
          retryable: false,
          findings: [{ level: "error", code: "conn-id-taken", fix: hint }],
        })
        expect(await airflow.rows(row)).toEqual(before)
        const known = await sink.read?.(sink.targets(REGISTRY), calm())
        expect(known?.map(({ state }) => state)).toEqual(["unreadable", "held"])
        await airflow.run(`UPDATE connection SET conn_id = 'renamed' WHERE id = ${before[0]?.id}`)
        expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered", "delivered"])
      },
    )

    test.each([
      ["latin1_swedish_ci", "日本"],
      ["latin1_bin", "größe_日本"],
      ["utf8mb3_bin", "\u{20000}"],
    ])(`what a column in %s cannot hold, %s, fails alone, ${place}`, async (collation, id) => {
      await using airflow = await openAirflow(place)
      await collate(airflow, collation)
      // What would be left of it, were it written as far as it can be.
      const lossy = id.replace(/[日本\u{20000}]/gu, "?")
      await airflow.insert({ conn_id: lossy, conn_type: "docker", plain: "theirs" })
      const before = await airflow.rows(lossy)
      const sink = airflow.sink({ conn_id: [id, "größe", "ecr"] })
      const findings = await sink.check?.(sink.targets(REGISTRY), calm())
      const results = deliver(sink, fresh())
      expect(await outcomesOf(results)).toEqual(["conn-id-charset", "delivered", "delivered"])
      const { message, hint = "", retryable } = await errorOf(results)
      const charset = collation.replace(/_.*/, "")
      expect(message).toEndWith(`the database cannot hold connection ${id}: its column is in ${charset}`)
      expect({ retryable, findings }).toMatchObject({
        retryable: false,
        findings: [{ level: "error", code: "conn-id-charset", fix: hint }],
      })
      const known = await sink.read?.(sink.targets(REGISTRY), calm())
      expect(known?.map(({ state }) => state)).toEqual(["unreadable", "held", "held"])
      expect((await airflow.rows()).map(({ conn_id }) => conn_id)).toEqual([lossy, "größe", "ecr"])
      expect(await airflow.rows(lossy)).toEqual(before)
    })

    test(`of new ids that the collation equates only the first is made, ${place}`, async () => {
      await using airflow = await openAirflow(place)
      await collate(airflow, "utf8mb4_unicode_ci")
      const sink = airflow.sink({ conn_id: ["strasse", "other", "straße", "Other"] })
      const results = deliver(sink, fresh())
      const taken = "conn-id-taken"
      expect(await outcomesOf(results)).toEqual(["delivered", "delivered", taken, taken])
      expect(await errorOf(results)).toMatchObject({
        message: expect.stringMatching(/ straße from strasse$/),
      })
    })

    test(`what the collation tells apart is made beside its like, ${place}`, async () => {
      await using airflow = await openAirflow(place)
      // Accents count there, and case does not.
      await collate(airflow, MODERN[place].replace("_ai_", "_as_"))
      await airflow.insert({ conn_id: "ecr", conn_type: "docker", plain: "stale" })
      const sink = airflow.sink({ conn_id: ["ecr", "écr", "Ecr"] })
      expect(await outcomesOf(deliver(sink, fresh()))).toEqual(["delivered", "delivered", "conn-id-taken"])
      expect((await airflow.rows()).map(({ conn_id }) => conn_id)).toEqual(["ecr", "écr"])
    })
  })

test("thousands of new ids are asked about 500 at a time, and compared across statements", async () => {
  const asked: number[] = []
  const session: Pick<Session, "table" | "columns" | "query" | "maxStatementBytes"> = {
    table: "`connection`",
    columns: [
      {
        name: "conn_id",
        required: true,
        maxCharacters: 250,
        collation: { charset: "utf8mb4", name: "utf8mb4_general_ci" },
      },
    ],
    maxStatementBytes: Number.POSITIVE_INFINITY,
    query: async (_, values = []) => {
      asked.push(values.length)
      return values.map((value, n) => ({ n, weight: String(value).toLowerCase(), owner: null }))
    },
  }
  const ids = Array.from({ length: 1200 }, (_, i) => `ecr_${i}`)
  const equated = await findEquated(session, [...ids, "ECR_0"])
  expect(asked).toEqual([500, 500, 201])
  expect([...equated].map(([id, { message }]) => [id, message])).toEqual([
    ["ECR_0", "the database cannot tell connection ECR_0 from ecr_0"],
  ])
})
