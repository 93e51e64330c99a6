// How a test finds the real servers that `bun run test` has started, and gets a database of its own on them.
// A test whose server is absent is counted as skipped under the reason, and the reason is printed: never silently.
import { describe, test } from "bun:test"
import { randomBytes } from "node:crypto"
import type { TlsFiles } from "../../scripts/services/ground.ts"
import { query as queryPostgres, type startPostgres } from "../../scripts/services/postgres.ts"
import { fromVariables } from "../../scripts/services/variables.ts"

type Told<Start extends (...given: never[]) => Promise<unknown>> = Awaited<ReturnType<Start>>

/** What each service tells; see the function that starts it. */
type FactsOf = {
  postgres: Told<typeof startPostgres>
}

type ServiceName = keyof FactsOf

/** The service's facts, undefined where it is absent. */
export function service<Name extends ServiceName>(name: Name): FactsOf[Name] | undefined {
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
  const absent = fromVariables(process.env, name).absent ?? "`bun run test` starts it"
  const reason = `${name} is not there: ${absent.split("\n")[0]}`
  console.warn(`skipped: ${title}: ${reason}`)
  describe(title, () => test.skip(reason, () => {}))
}

/** A new empty database on the server, so that test files do not meet; returns its URL in the form that Airflow takes. */
export async function freshDatabase(name: ServiceName & "postgres", label: string): Promise<string> {
  const { url } = service(name) ?? raise(`${name} is not there`)
  const database = `${label}_${randomBytes(4).toString("hex")}`
  await queryPostgres(url, `create database "${database}"`)
  return withPath(url, database)
}

function withPath(url: string, database: string): string {
  const changed = new URL(url)
  changed.pathname = `/${database}`
  return changed.href
}

function raise(message: string): never {
  throw new Error(message)
}
