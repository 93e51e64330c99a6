// The airflow-db sink on PostgreSQL and through PgBouncer in transaction mode: the shared contract on real servers, and
// what is special about them.
import kind from "../../sinks/airflow-db.ts"
import { openRig, otherKey } from "../support/airflow-db.ts"
import { describeWithService } from "../support/services.ts"
import { testSink } from "../support/sink-suite.ts"

const file = import.meta.resolve("../../sinks/airflow-db.ts")

for (const place of ["postgres", "pgbouncer"] as const)
  describeWithService(place, place, () => {
    testSink({
      kind,
      file,
      place: place === "postgres" ? "PostgreSQL" : "PostgreSQL through PgBouncer",
      open: () =>
        openRig(place, {
          unreachable: async (airflow) => ({
            options: airflow.options({ url: "postgresql://airflow:gone@127.0.0.1:1/airflow" }),
          }),
          refused: async (airflow) => {
            const url = airflow.url.replace(/:[^:@/]+@/, ":not-the-password@")
            if (place === "postgres") return { options: airflow.options({ url }) }
            // PgBouncer's code for a wrong password is the one for a server that is down: it cannot be told apart.
            await airflow.insert({ conn_id: "other", conn_type: "http", plain: "theirs" })
            return { options: airflow.options({ fernet_key: otherKey }) }
          },
          secrets: ["not-the-password", otherKey],
        }),
    })
  })
