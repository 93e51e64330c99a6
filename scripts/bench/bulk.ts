// Times how many connections airflow-db writes in one delivery, per database: `bun run bench bulk`. In turn with it, by
// the same drivers and with as many bytes: a statement and a commit per row, and bare statements of 500 rows that neither
// look nor encrypt nor lock, below which nobody gets. Servers run with their makers' defaults, so that every commit waits
// for the disk. The rounds lie six hours apart, as refreshes do, by a clock that is moved.
import { mkdtemp, open, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
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
import { type Database, openPlace, type Place } from "./places.ts"
import { startRelay } from "./relay.ts"

const COUNTS = [1, 100, 10_000] as const
const FERNET_KEY = Buffer.alloc(32, 3).toString("base64url").concat("=")
const SERVERS = ["postgres", "mariadb", "mysql"] as const

/** Runs the benchmark on every database that is there, and prints a line for each count. */
export async function benchBulk(): Promise<void> {
  // No test has this name: the databases alone are started.
  const services = await startServices(new AbortController().signal, ["bulk"], true)
  try {
    console.log(`\nevery commit waits for the disk, which takes ${(await syncMs()).toFixed(2)} ms here`)
    console.log(
      "connections  database          one delivery  bare UPDATEs    row by row  times faster  × bare",
    )
    for (const count of COUNTS) await benchPlace("sqlite", undefined, count)
    for (const place of SERVERS) {
      const { url } = fromVariables(services.env, place)
      if (url) await benchServer(place, url)
      else console.log(`skipped: ${place} is not there`)
    }
  } finally {
    await services.stop()
  }
}

async function benchServer(place: Place, url: string): Promise<void> {
  for (const count of COUNTS) await benchPlace(place, url, count)
  const relay = await startRelay(url)
  try {
    await benchPlace(place, relay.url, COUNTS[2], ", 1 ms off")
  } finally {
    relay.stop()
  }
}

async function benchPlace(place: Place, url: string | undefined, count: number, way = ""): Promise<void> {
  const database = await openPlace(place, url)
  try {
    for (const statement of connectionTable("3.3", database.dialect)) await database.run(statement)
    const sink = createSink(database.url)
    await deliver(sink, count, 0)
    const rounds = Array.from({ length: count > 1000 ? 3 : 7 }, (_, i) => i + 1)
    const times: { readonly ours: number; readonly bare: number; readonly alone: number }[] = []
    for (const round of rounds)
      times.push({
        ours: await deliver(sink, count, round),
        bare: await allAtOnce(database, count),
        alone: await rowByRow(database, count),
      })
    const cell = (ms: number) => `${ms.toFixed(0)} ms`.padStart(13)
    const middle = (pick: (time: (typeof times)[number]) => number) => median(times.map(pick))
    console.log(
      [
        `${String(count).padStart(11)}  ${(place + way).padEnd(16)}`,
        cell(middle(({ ours }) => ours)),
        cell(middle(({ bare }) => bare)),
        cell(middle(({ alone }) => alone)),
        `× ${middle(({ ours, alone }) => alone / ours).toFixed(1)}`.padStart(13),
        middle(({ ours, bare }) => ours / bare)
          .toFixed(2)
          .padStart(7),
      ].join(" "),
    )
  } finally {
    await database.close()
  }
}

/** Milliseconds that a small write to the disk under the databases takes until it is there. */
async function syncMs(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "ecrelay-bench-"))
  const file = await open(join(folder, "sync"), "w")
  try {
    const times: number[] = []
    for (let i = 0; i < 100; i += 1) {
      const startedAt = performance.now()
      await file.write(Buffer.alloc(4096, i))
      await file.sync()
      times.push(performance.now() - startedAt)
    }
    return median(times)
  } finally {
    await file.close()
    await rm(folder, { recursive: true, force: true })
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
    writeOut: () => Promise.reject(new Error("a bench has no standard output")),
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

/** Milliseconds of an UPDATE and a commit for each row. */
async function rowByRow({ update }: Database, count: number): Promise<number> {
  const passwords = sealPasswords(count)
  const startedAt = performance.now()
  for (const [i, password] of passwords.entries())
    await update(`ecr_${String(i).padStart(12, "0")}`, password)
  return performance.now() - startedAt
}

/** Milliseconds of as few UPDATEs as there are chunks. */
async function allAtOnce({ updateAll }: Database, count: number): Promise<number> {
  const passwords = sealPasswords(count)
  const startedAt = performance.now()
  if ((await updateAll(passwords)) !== count) throw new Error("the bare UPDATEs missed rows")
  return performance.now() - startedAt
}

function sealPasswords(count: number): readonly string[] {
  const keys = parseFernetKeys(FERNET_KEY)
  if (!keys) throw new Error("not a Fernet key")
  const expiresAt = Math.floor(Date.now() / 1000 + 43_000)
  return Array.from({ length: count }, () => encrypt(keys, makePassword(expiresAt), Date.now()))
}
