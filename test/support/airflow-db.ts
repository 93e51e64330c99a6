// What the tests of the airflow-db sink share: an Airflow database with its rows in the hand, a sink that writes there,
// and the contract suite's view of it. Passwords are opened by the Fernet specification, not by the code under test.
import { createDecipheriv, createHmac } from "node:crypto"
import { readFileSync, statSync } from "node:fs"
import { encrypt, parseFernetKeys } from "../../sinks/_airflow/fernet.ts"
import kind from "../../sinks/airflow-db.ts"
import type { Credential } from "../../src/credential.ts"
import { DeliveryError } from "../../src/errors.ts"
import type { Registry } from "../../src/registry.ts"
import type { DeliveryResult, Sink, SinkDeps } from "../../src/sink.ts"
import { type AirflowDatabase, airflowDatabase, type Place } from "./airflow-database.ts"
import { type AirflowRow, fernetKey, insertStatement, neighbours } from "./airflow-rows.ts"
import type { AirflowVersion } from "./airflow-tables.ts"
import { makeCredential } from "./credentials.ts"
import { describeWithService } from "./services.ts"
import type { SinkRig, SinkSetup, StoredLogin } from "./sink-suite.ts"
import { calm, deliveriesOf, hours, makeSink, NOW, REGISTRY, testDeps } from "./sinks.ts"

/** A key that opens nothing of what `fernetKey` encrypted. */
export const otherKey = "bm90IHRoZSBrZXkgb2YgdGhlc2UgdGVzdHMgYXQgYWw="

/** A row as it stands in the table; which columns there are depends on the version. */
export type StoredRow = AirflowRow & { readonly id: number; readonly password: string | null }

/** An Airflow database, its rows, and sinks that write into it. */
export type Airflow = AirflowDatabase & {
  /** All rows by id, or those of exactly this connection id. */
  rows(connId?: string): Promise<readonly StoredRow[]>
  /** Inserts a row; a password given as `plain` is encrypted. */
  insert(row: AirflowRow & { readonly plain?: string }): Promise<void>
  /** The login of a connection as Airflow reads it. */
  login(connId: string, key?: string): Promise<StoredLogin | undefined>
  /** Options of a sink that writes here, with a connection for each account and region. */
  options(more?: object): object
  sink(more?: object, deps?: Partial<SinkDeps>): Sink
}

/** Opens a new database with the table of a version. Hold it by `await using`. */
export async function openAirflow(place: Place, version: AirflowVersion = "3.3"): Promise<Airflow> {
  const database = await airflowDatabase(place, version)
  const rows = async (connId?: string) => {
    const found = await database.run("SELECT * FROM connection ORDER BY id")
    const all = found.map((row) => ({ ...row }) as StoredRow)
    return all.filter((row) => connId === undefined || row.conn_id === connId)
  }
  const options = (more: object = {}) => ({
    url: database.url,
    fernet_key: fernetKey,
    conn_id: "ecr_{account}_{region}",
    ...more,
  })
  return {
    ...database,
    rows,
    insert: async ({ plain, ...row }) => {
      const sealed = plain === undefined ? {} : { password: seal(plain), is_encrypted: true }
      await database.run(insertStatement({ ...row, ...sealed } as AirflowRow, database.dialect))
    },
    login: async (connId, key = fernetKey) => {
      const [row] = await rows(connId)
      return (
        row && {
          host: String(row.host),
          userName: String(row.login),
          password: passwordOf(row, key) ?? "closed",
        }
      )
    },
    options,
    sink: (more, deps) => makeSink(kind, options(more), testDeps(deps)),
  }
}

/** A token of a text under a key, made at a moment. */
export function seal(text: string, key = fernetKey, encryptedAt = NOW): string {
  const keys = parseFernetKeys(key)
  if (!keys) throw new Error("no key")
  return encrypt(keys, text, encryptedAt)
}

/** The password of a row as Airflow reads it, undefined where the key does not open it. */
export function passwordOf({ password, is_encrypted }: StoredRow, key = fernetKey): string | undefined {
  return is_encrypted ? openFernet(key, password ?? "") : (password ?? undefined)
}

function openFernet(key: string, token: string): string | undefined {
  const secret = Buffer.from(key, "base64url")
  const bytes = Buffer.from(token, "base64url")
  const signed = bytes.subarray(0, -32)
  const mac = createHmac("sha256", secret.subarray(0, 16)).update(signed).digest()
  if (!mac.equals(bytes.subarray(-32))) return undefined
  const decipher = createDecipheriv("aes-128-cbc", secret.subarray(16), signed.subarray(9, 25))
  return Buffer.concat([decipher.update(signed.subarray(25)), decipher.final()]).toString("utf8")
}

/** The connection of REGISTRY as `options` names it. */
export const CONN_ID = "ecr_123456789012_eu-central-1"

/** A credential with all of its life before it; `size` of a real one's password where none is given. */
export function fresh(registry: Registry = REGISTRY, size = 2400): Credential {
  return makeCredential({ registry, expiresAt: NOW + hours(12), size })
}

/** Delivers to every slot of the sink. */
export function deliver(
  sink: Sink,
  ...credentials: readonly Credential[]
): Promise<readonly DeliveryResult[]> {
  return sink.deliver(deliveriesOf(sink, credentials), calm())
}

/** What was delivered, with the code where it was not. */
export async function outcomesOf(results: Promise<readonly DeliveryResult[]>): Promise<readonly string[]> {
  try {
    return (await results).map((one) => (one.outcome === "failed" ? one.error.code : one.outcome))
  } catch (error) {
    if (!(error instanceof DeliveryError)) throw error
    return [error.code]
  }
}

/** The first error of a delivery that must fail. */
export async function errorOf(results: Promise<readonly DeliveryResult[]>): Promise<DeliveryError> {
  try {
    for (const one of await results) if (one.outcome === "failed") return one.error
  } catch (error) {
    if (error instanceof DeliveryError) return error
    throw error
  }
  throw new Error("nothing failed")
}

/** A flag as the databases give it. */
export function isTrue(flag: unknown): boolean {
  return flag === true || flag === 1
}

/** The same tests on each kind of server that is there. */
export function onEachServer(body: (place: "postgres" | "mariadb" | "mysql") => void): void {
  for (const place of ["postgres", "mariadb", "mysql"] as const)
    describeWithService(place, place, () => body(place))
}

/** The same tests on SQLite and on each kind of server that is there. */
export function onEachDatabase(body: (place: Place) => void): void {
  body("sqlite")
  onEachServer(body)
}

/** How one kind of place is disturbed. */
export type Disturbance = {
  unreachable(airflow: Airflow): Promise<SinkSetup>
  refused(airflow: Airflow): Promise<SinkSetup>
  readonly secrets?: readonly string[]
  close?(): Promise<void>
}

/** The contract suite's view of a place. */
export async function openRig(place: Place, disturbance: Disturbance): Promise<SinkRig> {
  const airflow = await openAirflow(place)
  const seeded = new Set<unknown>()
  return {
    setup: { options: airflow.options() },
    stored: ({ slot }) => airflow.login(slot),
    snapshot: async () => ({ rows: await airflow.rows(), trace: await traceOf(airflow) }),
    seedNeighbours: async () => {
      for (const row of [...neighbours, ...nearMisses(airflow)]) await airflow.insert(row)
      for (const { id } of await airflow.rows()) seeded.add(id)
    },
    neighbours: async () => (await airflow.rows()).filter(({ id }) => seeded.has(id)),
    unreachable: () => disturbance.unreachable(airflow),
    silent: async (port) => ({
      options: airflow.options({ url: airflow.url.replace(/@[^/]*\//, `@127.0.0.1:${port}/`) }),
    }),
    refused: () => disturbance.refused(airflow),
    breakDelivery: () => breakTable(airflow),
    spoil: ({ slot }) =>
      airflow.insert({ conn_id: slot, conn_type: "postgres", host: "db", plain: "theirs" }),
    distort: async ({ slot, registry }) =>
      void (await airflow.run(
        `UPDATE ${airflow.dialect === "mysql" ? "`connection`" : "connection"} SET host = 'https://${registry.host}' WHERE conn_id = '${slot}'`,
      )),
    secrets: [fernetKey, ...(disturbance.secrets ?? [])],
    close: async () => {
      await airflow[Symbol.asyncDispose]()
      await disturbance.close?.()
    },
  }
}

// What a careless WHERE would hit: `_` as a wildcard, blanks at the end, and where case counts, another case.
function nearMisses({ dialect }: Airflow): readonly (AirflowRow & { readonly plain: string })[] {
  const ours = "ecr_123456789012_eu-central-1"
  const ids = [ours.replaceAll("_", "x"), ...(dialect === "mysql" ? [] : [`${ours} `, ours.toUpperCase()])]
  return ids.map((conn_id) => ({ conn_id, conn_type: "docker", host: "", plain: "theirs" }))
}

// Where a write leaves a trace although the rows look the same.
async function traceOf({ dialect, url, run }: Airflow): Promise<unknown> {
  if (dialect === "sqlite") {
    const file = url.replace("sqlite:///", "")
    return { bytes: readFileSync(file).toString("base64"), written: statSync(file).mtimeMs }
  }
  if (dialect === "mysql") return undefined
  return run(
    "SELECT id, xmin::text, ctid::text, (SELECT last_value FROM connection_id_seq) FROM connection ORDER BY id",
  )
}

/** Makes every update and insert fail with a message that quotes the row, until the returned function is called. */
export async function breakTable({ dialect, run }: Airflow): Promise<() => Promise<void>> {
  const { create, drop } = BROKEN[dialect]
  for (const statement of create) await run(statement)
  return async () => {
    for (const statement of drop) await run(statement)
  }
}

const BROKEN = {
  sqlite: {
    create: ["UPDATE", "INSERT"].map(
      (verb) =>
        `CREATE TRIGGER broken_${verb} AFTER ${verb} ON connection BEGIN SELECT RAISE(ABORT, 'broken'); END`,
    ),
    drop: ["DROP TRIGGER broken_UPDATE", "DROP TRIGGER broken_INSERT"],
  },
  postgresql: {
    create: [
      "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken by %', NEW; END $$",
      "CREATE TRIGGER broken AFTER UPDATE OR INSERT ON connection FOR EACH ROW EXECUTE FUNCTION broken()",
    ],
    drop: ["DROP TRIGGER broken ON connection", "DROP FUNCTION broken"],
  },
  mysql: {
    create: ["UPDATE", "INSERT"].map(
      (verb) =>
        `CREATE TRIGGER broken_${verb} AFTER ${verb} ON connection FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'broken'`,
    ),
    drop: ["DROP TRIGGER broken_UPDATE", "DROP TRIGGER broken_INSERT"],
  },
} as const
