// The real servers and programs that tests run against, started side by side, and the variables that name them.
// What comes from npm, PyPI and Debian stable is required in CI; elsewhere what a machine cannot give is left out
// with a printed reason. `bun scripts/services.ts` keeps them up for a shell that runs `bun test` again and again.
import { provideAirflow } from "./services/airflow.ts"
import { airflowReleases } from "./services/airflow-releases.ts"
import { startApiServer, startWebServer } from "./services/airflow-server.ts"
import { Unavailable } from "./services/command.ts"
import { provideArm64, provideMusl } from "./services/foreign.ts"
import { type Ground, openGround } from "./services/ground.ts"
import { startMariadb } from "./services/mariadb.ts"
import { startMysql } from "./services/mysql.ts"
import { startPgbouncer } from "./services/pgbouncer.ts"
import { startPostgres } from "./services/postgres.ts"
import { providePython, startMoto } from "./services/python.ts"
import { provideSystemd } from "./services/systemd.ts"
import { type Facts, toVariables } from "./services/variables.ts"

type Service = {
  readonly name: string
  /** Whether it must be there in CI. */
  readonly required: boolean
  /** Slow to provide, and needed by the tests in this folder alone. */
  readonly onlyFor?: string
  /** Provides and starts it; `facts` waits for another service. */
  start(ground: Ground, facts: (name: string) => Promise<Facts>): Promise<Facts>
}

const services: readonly Service[] = [
  { name: "postgres", required: true, start: startPostgres },
  { name: "mariadb", required: true, start: startMariadb },
  {
    name: "pgbouncer",
    required: true,
    start: async (ground, facts) => startPgbouncer(ground, (await facts("postgres")).url ?? ""),
  },
  { name: "mysql", required: false, start: startMysql },
  { name: "python", required: true, start: providePython },
  {
    name: "moto",
    required: true,
    start: async (ground, facts) => startMoto(ground, (await facts("python")).command ?? ""),
  },
  { name: "systemd", required: false, start: provideSystemd },
  { name: "arm64", required: false, start: provideArm64 },
  {
    name: "musl",
    required: false,
    start: async (ground, facts) => provideMusl(ground, (await facts("python")).pip ?? ""),
  },
  ...Object.entries(airflowReleases).map(([name, release]) =>
    airflowService(name, async (ground, facts) =>
      provideAirflow(ground, (await facts("python")).uv ?? "", release),
    ),
  ),
  airflowService("server33", async (ground, facts) => startApiServer(ground, await facts("airflow33"))),
  airflowService("server211", async (ground, facts) => startWebServer(ground, await facts("airflow211"))),
]

function airflowService(name: string, start: Service["start"]): Service {
  return { name, required: true, onlyFor: "test/real-airflow", start }
}

/** What became of one service. */
export type Provided = { readonly name: string } & (
  | { readonly state: "ready" }
  | { readonly state: "absent" | "failed"; readonly reason: string }
)

/** The services of one run. */
export type Services = {
  readonly provided: readonly Provided[]
  /** The variables by which test/support/services.ts finds the services, or the reason of their absence. */
  readonly env: Readonly<Record<string, string>>
  /** A folder for what tests leave behind; it goes when the services stop. */
  readonly temporary: string
  /** Stops all of them and removes their data. */
  stop(): Promise<void>
}

/**
 * Provides and starts all services, prints what became of each; one that fails leaves the others alone. Where the tests
 * are named, what none of them uses is left out. `durable`: databases as their makers ship them, for measuring.
 */
export async function startServices(
  signal: AbortSignal,
  tests: readonly string[] = [],
  durable = false,
): Promise<Services> {
  const ground = await openGround(signal, durable)
  const started = new Map<string, Promise<Facts>>()
  const facts = async (name: string) => {
    const found = await started.get(name)?.catch(() => undefined)
    if (!found) throw new Unavailable(`${name} is not there`)
    return found
  }
  const env: Record<string, string> = toVariables("tls", ground.tls)
  const provide = async (service: Service): Promise<Provided> => {
    const startedAt = performance.now()
    const starting = service.start(ground, facts)
    started.set(service.name, starting)
    const outcome = await starting.then(
      (found) => {
        Object.assign(env, toVariables(service.name, found))
        return { name: service.name, state: "ready" } as const
      },
      (error: unknown) => unprovided(service, error),
    )
    if (outcome.state !== "ready") Object.assign(env, toVariables(service.name, { absent: outcome.reason }))
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    const remark =
      outcome.state === "ready" ? `ready after ${seconds} s` : `${outcome.state}: ${outcome.reason}`
    if (!signal.aborted) console.log(`  ${service.name.padEnd(10)} ${remark}`)
    return outcome
  }
  const wanted = services.filter(
    ({ onlyFor = "" }) => tests.length === 0 || tests.some((test) => test.includes(onlyFor)),
  )
  const provided = await Promise.all(wanted.map(provide))
  return { provided, env, temporary: ground.temporary, stop: ground.close }
}

function unprovided(service: Service, error: unknown): Provided {
  const reason = error instanceof Error ? error.message : String(error)
  const excused = service.required ? error instanceof Unavailable && !process.env.CI : true
  return { name: service.name, state: excused ? "absent" : "failed", reason }
}

async function keepUp(): Promise<void> {
  const ending = new AbortController()
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => ending.abort())
  const { env, stop } = await startServices(ending.signal)
  for (const [name, value] of Object.entries(env))
    console.log(`export ${name}='${value.replaceAll("'", "'\\''")}'`)
  console.log("# paste the lines above where `bun test` runs; Ctrl-C here stops the services")
  const idle = setInterval(() => {}, 60_000)
  if (!ending.signal.aborted) await new Promise((resolve) => ending.signal.addEventListener("abort", resolve))
  clearInterval(idle)
  await stop()
}

if (import.meta.main) await keepUp()
