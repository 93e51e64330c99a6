// How a test finds the real servers that `bun run test` has started, and gets a database of its own on them.
// A test whose server is absent is counted as skipped under the reason, and the reason is printed: never silently.
import { describe, test } from "bun:test"
import { randomBytes } from "node:crypto"
import type { provideAirflow } from "../../scripts/services/airflow.ts"
import type { AirflowName } from "../../scripts/services/airflow-releases.ts"
import type { startApiServer, startWebServer } from "../../scripts/services/airflow-server.ts"
import type { provideArm64, provideMusl } from "../../scripts/services/foreign.ts"
import type { TlsFiles } from "../../scripts/services/ground.ts"
import type { startMariadb } from "../../scripts/services/mariadb.ts"
import type { startMysql } from "../../scripts/services/mysql.ts"
import { queryMysql } from "../../scripts/services/mysqld.ts"
import type { startPgbouncer } from "../../scripts/services/pgbouncer.ts"
import { query as queryPostgres, type startPostgres } from "../../scripts/services/postgres.ts"
import type { providePython, startMoto } from "../../scripts/services/python.ts"
import type { provideSystemd } from "../../scripts/services/systemd.ts"
import { fromVariables } from "../../scripts/services/variables.ts"

type Told<Start extends (...given: never[]) => Promise<unknown>> = Awaited<ReturnType<Start>>

/** What each service tells; see the function that starts it. */
type FactsOf = {
  postgres: Told<typeof startPostgres>
  pgbouncer: Told<typeof startPgbouncer>
  mariadb: Told<typeof startMariadb>
  mysql: Told<typeof startMysql>
  python: Told<typeof providePython>
  moto: Told<typeof startMoto>
  systemd: Told<typeof provideSystemd>
  arm64: Told<typeof provideArm64>
  musl: Told<typeof provideMusl>
  /** Web servers of Airflow 3 and of Airflow 2, started. */
  server33: Told<typeof startApiServer>
  server211: Told<typeof startWebServer>
} & Record<AirflowName, Told<typeof provideAirflow>>

type ServiceName = keyof FactsOf

/** The service's facts, undefined where it is absent. */
function service<Name extends ServiceName>(name: Name): FactsOf[Name] | undefined {
  const facts = fromVariables(process.env, name)
  const there = facts.absent === undefined && Object.keys(facts).length > 0
  return there ? (facts as unknown as FactsOf[Name]) : undefined
}

/** The certificates and authorities of the servers. Ask only where a service is there. */
export function tlsFiles(): TlsFiles {
  return fromVariables(process.env, "tls") as unknown as TlsFiles
}

/** `describe` with the service's facts; where it is absent, one skipped test that tells why. */
export function describeWithService<Name extends ServiceName>(
  name: Name,
  title: string,
  body: (facts: FactsOf[Name]) => void,
): void {
  const facts = service(name)
  if (facts) {
    describe(title, () => body(facts))
    return
  }
  const reason = absenceOf(name)
  console.warn(`skipped: ${title}: ${reason}`)
  describe(title, () => test.skip(reason ?? "", () => {}))
}

/** Why a service is not there, in words; undefined where it is. */
export function absenceOf(name: ServiceName): string | undefined {
  if (service(name)) return undefined
  const absent = fromVariables(process.env, name).absent ?? "`bun run test` starts it"
  return `${name} is not there: ${absent.split("\n")[0]}`
}

/** The services on which a test can have a database of its own. */
export type DatabaseService = "postgres" | "pgbouncer" | "mariadb" | "mysql"

/**
 * A new empty database on the server, so that test files do not meet; returns its URL in the form that Airflow takes.
 * Through `pgbouncer` it is one of PostgreSQL's.
 */
export async function freshDatabase(name: DatabaseService, label: string): Promise<string> {
  const facts = service(name)
  if (!facts) throw new Error(`${name} is not there`)
  const database = `${label}_${randomBytes(4).toString("hex")}`
  const query = name === "mariadb" || name === "mysql" ? queryMysql : queryPostgres
  await query(facts.url, `create database ${database}`)
  const url = new URL(facts.url)
  url.pathname = `/${database}`
  return url.href
}
