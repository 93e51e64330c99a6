// What goes wrong on the way to Airflow's metadata database, before anything in it counts.
import { openAirflow } from "../support/airflow-db.ts"
import { fernetKey } from "../support/airflow-rows.ts"
import { absenceOf } from "../support/services.ts"
import type { Case, Lab } from "./lab.ts"

const SINK = "airflow-db,conn_id=ecr"

/** Runs a delivery into the database of this URL, or of whatever is found without one. */
async function deliver(lab: Lab, url?: string, options = `fernet_key=${fernetKey}`): Promise<string> {
  const sink = [SINK, ...(url ? [`url=${url}`] : []), ...(options ? [options] : [])].join(",")
  return (await lab.person()).ecrelay(["refresh", "--timeout", "3s", "--sink", sink])
}

export const databaseCases: readonly Case[] = [
  {
    text: "Airflow's database is not configured here",
    fault: "a user who has nothing of Airflow's",
    make: (lab) => deliver(lab),
  },
  {
    text: "Airflow's database is not configured here",
    fault: "a connection of Airflow's, asked for by a user who has nothing of Airflow's",
    make: async (lab) =>
      (await lab.person()).ecrelay(["refresh", "--aws-conn-id", "aws_eu", "--sink", "docker-config"]),
  },
  {
    text: "no fernet key is configured",
    fault: "a URL, and no key anywhere",
    async make(lab) {
      const airflow = lab.keep(await openAirflow("sqlite"))
      return deliver(lab, airflow.url, "")
    },
  },
  ...(["postgres", "mysql", "mariadb"] as const).map(
    (place): Case => ({
      text: "the server refused the user or the password",
      fault: `another password, on ${place}`,
      lack: absenceOf(place),
      async make(lab) {
        const url = new URL(lab.keep(await openAirflow(place)).url)
        url.password = "mistyped"
        return deliver(lab, url.href)
      },
    }),
  ),
  ...(["postgresql", "mysql"] as const).map(
    (scheme): Case => ({
      text: "the server does not answer",
      fault: `a port where nobody listens, ${scheme}`,
      make: (lab) => deliver(lab, `${scheme}://airflow:pw@127.0.0.1:9/airflow`),
    }),
  ),
  {
    text: "the file stayed locked by another program",
    fault: "a transaction that somebody leaves open on SQLite",
    async make(lab) {
      const airflow = lab.keep(await openAirflow("sqlite"))
      await airflow.run("BEGIN IMMEDIATE")
      return deliver(lab, airflow.url)
    },
  },
]
