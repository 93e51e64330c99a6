// Opens Airflow's database by the dialect of its URL and closes it whatever happens; an aborted signal cuts the
// connection, which makes the server roll back. The dialect's driver is loaded only here, when it is used.
import { AirflowError } from "./error.ts"
import type { Place } from "./place.ts"
import type { Session } from "./session.ts"
import { requireConnectionTable } from "./table.ts"

/** Runs `work` with an open connection to a database that has Airflow's table. Rejects with the driver's errors. */
export async function withDatabase<T>(
  place: Place,
  signal: AbortSignal,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  const session = await openSession(place)
  try {
    requireTable(session)
    return await work(session)
  } finally {
    await session.close()
  }
}

async function openSession(place: Place): Promise<Session> {
  switch (place.url.dialect) {
    case "sqlite":
      return (await import("./sqlite.ts")).openSqlite(place.url)
    default:
      throw new Error("not there yet")
  }
}

function requireTable(session: Session): void {
  if (session.columns.length === 0)
    throw new AirflowError(`there is no table ${session.table}`, {
      code: "table-missing",
      hint: "run: airflow db migrate; or check that the URL names Airflow's database and schema",
    })
  requireConnectionTable(session)
}
