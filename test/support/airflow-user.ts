// A database user of its own for a test, with some rights on the `connection` table and no others.
import { randomBytes } from "node:crypto"
import type { AirflowDatabase } from "./airflow-database.ts"

/** The database's URL as a new user who has these rights. */
export async function urlOfUser({ dialect, run, url }: AirflowDatabase, rights: string): Promise<string> {
  const user = `u_${randomBytes(4).toString("hex")}`
  const isPostgres = dialect === "postgresql"
  await run(
    isPostgres ? `CREATE ROLE ${user} LOGIN PASSWORD 'pw'` : `CREATE USER '${user}'@'%' IDENTIFIED BY 'pw'`,
  )
  await run(`GRANT ${rights} ON connection TO ${isPostgres ? user : `'${user}'@'%'`}`)
  return url.replace(/\/\/[^@]*@/, `//${user}:pw@`)
}

/** Runs the GRANTs that a hint begins with, as whoever may. */
export async function runGrants({ run }: AirflowDatabase, hint = ""): Promise<void> {
  for (const [statement] of hint.matchAll(/GRANT [^;]*(?=;)/g)) await run(statement)
}
