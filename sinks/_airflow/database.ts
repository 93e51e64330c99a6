// Opens Airflow's database by the dialect of its URL and closes it whatever happens; an aborted signal cuts the
// connection, which makes the server roll back. The dialect's driver is loaded only here, when it is used.
import { AirflowError } from "./error.ts"
import type { Place } from "./place.ts"
import type { Session } from "./session.ts"
import { requireConnectionTable } from "./table.ts"
import type { TlsPolicy } from "./tls.ts"

/** Runs `work` with an open connection to a database that has Airflow's table. Rejects with the driver's errors. */
export async function withDatabase<T>(
  place: Place,
  signal: AbortSignal,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  const opening = openSession(place, signal)
  try {
    const session = await orAborted(opening, signal)
    requireTable(session, place)
    return await orAborted(work(session), signal)
  } finally {
    const closing = opening.then(
      (session) => session.close(),
      () => {},
    )
    if (!signal.aborted) await closing
  }
}

// A driver whose connection was cut may never settle what it was doing.
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason)
    signal.addEventListener("abort", stop, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop))
  })
}

// Airflow's sql_alchemy_schema counts for Airflow's URL alone: whoever gives another may mean another Airflow.
const IN_A_SCHEMA =
  "; where Airflow has a sql_alchemy_schema and the url is given here, it ends with ?options=-csearch_path%3DSCHEMA"

async function openSession(place: Place, signal: AbortSignal): Promise<Session> {
  switch (place.url.dialect) {
    case "sqlite":
      return (await import("./sqlite.ts")).openSqlite(place.url)
    case "postgresql":
      return (await import("./postgres.ts")).openPostgres(place, place.policy as TlsPolicy, signal)
    case "mysql":
      return (await import("./mysql.ts")).openMysql(place, place.policy as TlsPolicy, signal)
  }
}

function requireTable(session: Session, { schema }: Place): void {
  if (session.columns.length === 0)
    throw new AirflowError(`there is no table ${session.table}`, {
      code: "table-missing",
      hint: `run: airflow db migrate; or check that the URL names Airflow's database and that its user may see the table${session.dialect === "postgresql" && schema === undefined ? IN_A_SCHEMA : ""}`,
    })
  requireConnectionTable(session)
}
