// A trap in an Airflow's database, as a fault for the doctor: each has a database of its own, and a sink that finds it as
// Airflow does.
import { dirname } from "node:path"
import type { Finding } from "../../src/sink.ts"
import type { Place } from "./airflow-database.ts"
import { type Airflow, openAirflow } from "./airflow-db.ts"
import { fernetKey } from "./airflow-rows.ts"
import type { AirflowVersion } from "./airflow-tables.ts"
import { type Company, HOST } from "./company.ts"
import { ecrelayAt, type Fault, proveEach, type Run, type Site, snapshot } from "./doctor.ts"

/** The connection id that everything here is about, and a good row of it. */
export const ID = "ecr"
export const OURS = { conn_id: ID, conn_type: "docker", host: HOST, login: "AWS" }

/** A fault of an Airflow: what is done to its database, and how `check` is run besides. */
export type Trap = Omit<Fault, "fault" | "mend" | "state" | "close"> & {
  readonly version?: AirflowVersion
  readonly make: (airflow: Airflow, site: Site) => unknown
  readonly run?: Run | ((airflow: Airflow, site: Site) => Run)
  /** What it returns is run instead; without it, what `run` said is taken back. */
  readonly mend?: (airflow: Airflow, finding: Finding, site: Site, run: Run) => Promise<Run | undefined>
}

/** A test for each trap, on a database of its own. */
export function proveTraps(company: () => Company, place: Place, traps: readonly Trap[]): void {
  proveEach(
    company,
    traps.map((trap) => asFault(place, trap)),
  )
}

function asFault(place: Place, { version, make, run = {}, mend, ...words }: Trap): Fault {
  let airflow: Airflow
  const within = ({ env, argv, ...more }: Run = {}): Run => ({
    env: {
      AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: airflow.url,
      AIRFLOW__CORE__FERNET_KEY: fernetKey,
      ...env,
    },
    argv: argv ?? ["--sink", `airflow-db,conn_id=${ID}`],
    ...more,
  })
  const faulty = (site: Site) => within(typeof run === "function" ? run(airflow, site) : run)
  return {
    ...words,
    fault: async (site) => {
      airflow = await openAirflow(place, version)
      await make(airflow, site)
      return faulty(site)
    },
    mend: async (site, finding) => {
      if (!mend) return within()
      const instead = await mend(airflow, finding, site, faulty(site))
      return instead ? within(instead) : faulty(site)
    },
    state: async () => [await airflow.rows().catch(() => "none"), await filesOf(airflow)],
    close: () => airflow[Symbol.asyncDispose](),
  }
}

/** The file of a SQLite database. */
export const fileOf = ({ url }: Airflow) => url.replace("sqlite:///", "")
const filesOf = (airflow: Airflow) => airflow.dialect === "sqlite" && snapshot(dirname(fileOf(airflow)))

/** Runs the statements that a fix names, as whoever may. */
export async function runFix({ run }: Airflow, { fix = "" }: Finding): Promise<undefined> {
  for (const [statement] of fix.matchAll(/(?:ALTER|GRANT) [^;]*/g)) await run(statement)
}

/** As the fix says: `ecrelay refresh`. */
export async function refresh(_: Airflow, __: Finding, site: Site, run: Run): Promise<undefined> {
  await ecrelayAt(site, ["refresh"], run)
}
