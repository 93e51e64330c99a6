// The airflow-db sink on MariaDB and MySQL: the shared contract on real servers, and what is special about them.
import kind from "../../sinks/airflow-db.ts"
import { openRig } from "../support/airflow-db.ts"
import { describeWithService } from "../support/services.ts"
import { testSink } from "../support/sink-suite.ts"

const file = import.meta.resolve("../../sinks/airflow-db.ts")

for (const place of ["mariadb", "mysql"] as const)
  describeWithService(place, place, () => {
    testSink({
      kind,
      file,
      place: place === "mariadb" ? "MariaDB" : "MySQL",
      open: () =>
        openRig(place, {
          unreachable: async (airflow) => ({
            options: airflow.options({ url: "mysql://airflow:gone@127.0.0.1:1/airflow" }),
          }),
          refused: async (airflow) => ({
            options: airflow.options({ url: airflow.url.replace(/:[^:@/]+@/, ":not-the-password@") }),
          }),
          secrets: ["not-the-password"],
        }),
    })
  })
