// Times how many connections airflow-db writes in one delivery, per database, against a statement and commit per row:
// `bun run bench bulk`. Both write as many bytes through the same driver library, into tables that hold the rows; the
// rounds lie six hours apart, as refreshes do, by a clock that is moved.
import * as v from "valibot"
import { encrypt, parseFernetKeys } from "../../sinks/_airflow/fernet.ts"
import airflowDb from "../../sinks/airflow-db.ts"
import { explainAws } from "../../src/aws-failure.ts"
import { systemClock } from "../../src/clock.ts"
import { Secret } from "../../src/credential.ts"
import { ownRegistry } from "../../src/registry.ts"
import type { Delivery, Sink } from "../../src/sink.ts"
import { connectionTable } from "../../test/support/airflow-tables.ts"
import { makePassword } from "../aws.ts"
import { fromVariables } from "../services/variables.ts"
import { startServices } from "../services.ts"
import { median } from "./measure.ts"
import { openPlace, type Place } from "./places.ts"

const COUNTS = [1, 100, 10_000] as const
const FERNET_KEY = Buffer.alloc(32, 3).toString("base64url").concat("=")
const PLACES: readonly Place[] = ["sqlite", "postgres", "mariadb", "mysql"]

export async function benchBulk(): Promise<void> {
  const services = await startServices(new AbortController().signal)
  try {
    console.log("\nconnections  database    one delivery   row by row   times faster")
    for (const place of PLACES) {
      const { url } = fromVariables(services.env, place)
      if (place !== "sqlite" && !url) console.log(`skipped: ${place} is not there`)
      else for (const count of COUNTS) await benchPlace(place, url, count)
    }
  } finally {
    await services.stop()
  }
}

async function benchPlace(place: Place, serverUrl: string | undefined, count: number): Promise<void> {
  const database = await openPlace(place, serverUrl)
  try {
    for (const statement of connectionTable("3.3", database.dialect)) await database.run(statement)
    const sink = createSink(database.url)
    await deliver(sink, count, 0)
    const rounds = count > 1000 ? 3 : 5
    const together: number[] = []
    for (let round = 1; round <= rounds; round += 1) together.push(await deliver(sink, count, round))
    const alone = await rowByRow(database, count)
    const ours = median(together)
    console.log(
      `${String(count).padStart(11)}  ${place.padEnd(10)} ${`${ours.toFixed(0)} ms`.padStart(13)} ${`${alone.toFixed(0)} ms`.padStart(12)}   × ${(alone / ours).toFixed(1)}`,
    )
  } finally {
    await database.close()
  }
}

const ROUND_MS = 6 * 3_600_000
let passedMs = 0

function createSink(url: string): Sink {
  const options = v.parse(airflowDb.options, { url, fernet_key: FERNET_KEY, conn_id: "ecr_{account}" })
  return airflowDb.create(options, {
    env: {},
    clock: { ...systemClock, now: () => Date.now() + passedMs },
    home: undefined,
    uid: undefined,
    fetch,
    aws: { clientConfig: () => Promise.reject(new Error("no AWS here")), explain: explainAws },
    secret: async (text) => new Secret(text),
  })
}

/** Milliseconds of one delivery of `count` new logins. */
async function deliver(sink: Sink, count: number, round: number): Promise<number> {
  passedMs = round * ROUND_MS
  const deliveries = Array.from({ length: count }, (_, i): Delivery => {
    const registry = ownRegistry(String(i).padStart(12, "0"), "eu-west-1")
    const expiresAt = Math.floor((Date.now() + passedMs) / 1000 + 43_200) * 1000
    const [target] = sink.targets(registry)
    if (!target) throw new Error("no target")
    return {
      target,
      credential: {
        registry,
        userName: "AWS",
        password: new Secret(makePassword(expiresAt / 1000)),
        expiresAt,
      },
    }
  })
  const startedAt = performance.now()
  const results = await sink.deliver(deliveries, new AbortController().signal)
  const wallMs = performance.now() - startedAt
  if (!results.every(({ outcome }) => outcome === "delivered")) throw new Error("a delivery failed")
  return wallMs
}

/** Milliseconds of the same work with an UPDATE and a commit for each row. */
async function rowByRow({ update }: Awaited<ReturnType<typeof openPlace>>, count: number): Promise<number> {
  const keys = parseFernetKeys(FERNET_KEY)
  if (!keys) throw new Error("not a Fernet key")
  const expiresAt = Math.floor(Date.now() / 1000 + 43_000)
  const passwords = Array.from({ length: count }, () => encrypt(keys, makePassword(expiresAt), Date.now()))
  const startedAt = performance.now()
  for (const [i, password] of passwords.entries())
    await update(`ecr_${String(i).padStart(12, "0")}`, password)
  return performance.now() - startedAt
}
