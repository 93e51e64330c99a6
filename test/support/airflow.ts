// A real Airflow in the hand: an installation that the run provides, a folder and a metadata database of its own, and its
// own classes to write and read connections with. See scripts/services/airflow.ts; the tests lie in test/real-airflow.
import { copyFile, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { AIRFLOW_FERNET_KEY, airflowEnvironment } from "../../scripts/services/airflow-releases.ts"
import { runToEnd, startTasks, type TaskProcess } from "./airflow-process.ts"
import { type DatabaseService, freshDatabase } from "./services.ts"

/** An installation: what the services `airflow33`, `airflow211` and their like tell. */
export type InstalledAirflow = {
  readonly version: string
  readonly python: string
  readonly airflow: string
  readonly migrate: string
  readonly database: string
}

/** A connection as Airflow's own model takes it; `extra` may be an object. */
type ConnectionFields = {
  readonly conn_id: string
  readonly conn_type: string
  readonly host?: string
  readonly port?: number
  readonly login?: string
  readonly password?: string
  readonly description?: string
  readonly extra?: object | string
}

/** A connection as Airflow's own model opened it. */
type FoundConnection = {
  readonly conn_id: string
  readonly conn_type: string | null
  readonly host: string | null
  readonly port: number | null
  readonly login: string | null
  readonly password: string | null
  readonly schema: string | null
  readonly description: string | null
  readonly extra: Readonly<Record<string, unknown>>
  readonly is_encrypted: boolean
  readonly is_extra_encrypted: boolean
}

type Variables = Readonly<Record<string, string>>

/**
 * Calls may be given variables to be set beside `env`, and are then a process of their own, which takes some seconds; those
 * without share one, which stays until the end.
 */
export type RealAirflow = {
  readonly version: string
  /** SQLAlchemy's URL of the metadata database, which has Airflow's tables. */
  readonly url: string
  readonly fernetKey: string
  /** The environment of its processes: with it, ecrelay finds database and key as it does beside Airflow. */
  readonly env: Variables
  /** Runs Airflow's command line: `command(["rotate-fernet-key"])`. Returns what it printed. */
  command(args: readonly string[], env?: Variables): Promise<string>
  /** Writes connections through Airflow's own model, encrypted as it does. */
  add(connections: readonly ConnectionFields[], env?: Variables): Promise<void>
  /** The rows of these ids in the database, by id of the row. */
  rows(connIds: readonly string[], env?: Variables): Promise<readonly FoundConnection[]>
  /** What Airflow finds wherever it looks: secrets backends, environment, database. Airflow 2 and 3 only. */
  find(connIds: readonly string[], env?: Variables): Promise<readonly FoundConnection[]>
  /** Logs the Docker provider's DockerHook in at each daemon with a connection, and pulls. 3.3 and 2.11 only. */
  pull(
    pulls: readonly { readonly daemon: string; readonly connId: string; readonly image: string }[],
    env?: Variables,
  ): Promise<void>
  /** Ends the process and, where it was opened, removes the folder, with the database where that is a file. */
  [Symbol.asyncDispose](): Promise<void>
}

/** An Airflow on a new database: on a file that is there at once, or on a server, where it makes its tables first. */
export async function openRealAirflow(
  installed: InstalledAirflow,
  place: "sqlite" | DatabaseService = "sqlite",
): Promise<RealAirflow> {
  const home = await mkdtemp(join(tmpdir(), "airflow-home-"))
  const file = join(home, "airflow.db")
  const url = place === "sqlite" ? `sqlite:///${file}` : withDriver(await freshDatabase(place, "real"))
  const opened = useRealAirflow(installed, { home, url })
  if (place === "sqlite") await copyFile(installed.database, file)
  else await opened.command(installed.migrate.split(" "))
  return {
    ...opened,
    async [Symbol.asyncDispose]() {
      await opened[Symbol.asyncDispose]()
      await rm(home, { recursive: true, force: true })
    },
  }
}

/** An Airflow on a folder and a database that are there, such as a started web server's. */
export function useRealAirflow(
  installed: InstalledAirflow,
  { home, url }: { readonly home: string; readonly url: string },
): RealAirflow {
  const { version, python, airflow } = installed
  const fernetKey = AIRFLOW_FERNET_KEY
  const env = {
    ...airflowEnvironment({ version, home, url, fernetKey }),
    DOCKER_CONFIG: join(home, "docker"),
  }
  let kept: TaskProcess | undefined
  const ask = async <Result>(task: object, more: Variables = {}): Promise<Result> => {
    if (Object.keys(more).length === 0) {
      kept ??= startTasks(python, env)
      return kept.ask(task) as Promise<Result>
    }
    const own = startTasks(python, { ...env, ...more })
    try {
      return (await own.ask(task)) as Result
    } finally {
      await own.end()
    }
  }
  return {
    version,
    url,
    fernetKey,
    env,
    command: (args, more = {}) => runToEnd([python, airflow, ...args], { ...env, ...more }),
    add: (connections, more) => ask({ do: "add", connections }, more),
    rows: (ids, more) => ask({ do: "rows", ids }, more),
    find: (ids, more) => ask({ do: "find", ids }, more),
    pull: (pulls, more) => ask({ do: "pull", pulls }, more),
    [Symbol.asyncDispose]: async () => kept?.end(),
  }
}

// Airflow 3 brings a SQLAlchemy whose own choice for PostgreSQL is another driver than the one that is installed.
function withDriver(url: string): string {
  return url.replace(/^postgresql:/, "postgresql+psycopg2:").replace(/^mysql:/, "mysql+pymysql:")
}
