// What the settings point to and what is not there: secrets by reference, and profiles of AWS.
import type { Case, Lab } from "./lab.ts"

/** Delivers into the database whose URL is given by this reference. */
const byReference = (reference: string) => async (lab: Lab) =>
  (await lab.person()).ecrelay(["refresh", "--sink", `airflow-db,conn_id=ecr,url=${reference}`])

export const settingsCases: readonly Case[] = [
  {
    text: "is not set",
    fault: "a variable that nobody gave",
    make: byReference("env:AIRFLOW_DATABASE_URL"),
  },
  {
    text: "needs systemd's LoadCredential=",
    fault: "a credential of the service's, by hand",
    make: byReference("credential:airflow-url"),
  },
  {
    text: "have no profile",
    fault: "a mistyped --profile",
    make: async (lab) =>
      (await lab.person()).ecrelay(["refresh", "--sink", "docker-config", "--profile", "mistyped"]),
  },
  {
    text: "have no profile",
    fault: "a mistyped AWS_PROFILE",
    make: async (lab) =>
      (await lab.person({ AWS_PROFILE: "mistyped" })).ecrelay(["refresh", "--sink", "docker-config"]),
  },
]
