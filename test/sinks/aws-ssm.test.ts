// The sink contract for Parameter Store: on moto, which nobody here wrote, and in every form on one of our own, which is
// as strict as AWS about sizes, tiers and tags.
import kind from "../../sinks/aws-ssm.ts"
import { openParameterStore, tellsNothing } from "../support/aws-ssm.ts"
import { describeWithService } from "../support/services.ts"
import { testSink } from "../support/sink-suite.ts"

const file = import.meta.resolve("../../sinks/aws-ssm.ts")

// The one form in which nothing can be escaped.
const NO_BRACES =
  "Parameter Store refuses a value with {{ }} in it, as one of the passwords has; no token of ECR does"

for (const format of ["airflow", "airflow-uri", "docker-config", "json", "password"])
  testSink({
    kind,
    file,
    place: `a strict Parameter Store as ${format}`,
    open: () => openParameterStore(format),
    ...(format === "password"
      ? { cannot: { ...tellsNothing, "delivers awkward passwords exactly": NO_BRACES } }
      : {}),
  })

describeWithService("moto", "moto", ({ url }) => {
  testSink({ kind, file, place: "moto", open: () => openParameterStore("airflow", url) })
})
