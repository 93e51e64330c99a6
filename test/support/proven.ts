// What a test has proven on a real Airflow, noted for the README's compatibility table; see scripts/compatibility.ts.
import { appendFileSync } from "node:fs"
import type { Proof } from "../../scripts/compatibility.ts"

/** Notes a proof, at the end of the test that gives it. */
export function proven(proof: Proof): void {
  const file = process.env.ECRELAY_TEST_PROVEN
  if (file) appendFileSync(file, `${JSON.stringify(proof)}\n`)
}
