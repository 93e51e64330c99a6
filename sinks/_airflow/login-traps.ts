// What DockerHook makes of a connection, wherever Airflow keeps it: the fields that it heeds beside the password, and that
// make a good login useless. For `check`.
import type { Registry } from "../../src/registry.ts"
import type { Finding } from "../../src/sink.ts"
import { differenceOf, type Row } from "./rows.ts"

/** What is found in the connections of one id; `extras` are theirs, undefined where not to be had. */
export function loginTraps(
  subject: string,
  registry: Registry,
  rows: readonly Row[],
  extras: readonly (string | undefined)[],
): readonly Finding[] {
  const differing = rows.map((row) => differenceOf(row, registry)).find((difference) => difference)
  const found: (Omit<Finding, "level" | "subject"> | false | undefined)[] = [
    differing !== undefined && {
      code: "differs",
      message: `cannot log in as it is: ${differing}`,
      fix: "`ecrelay refresh` fixes it",
    },
    rows.length > 1 && {
      code: "several-rows",
      message: `there are ${rows.length} connections of this id, and Airflow picks any of them`,
      fix: "delete those that are not needed; until then, all are kept fresh",
    },
    extras.some(isReauthOff) && {
      code: "reauth-off",
      message:
        'its extra says "reauth": false, so that a stale login in the worker\'s config.json wins over this one',
      fix: 'set "reauth" to true in the connection\'s extra, or remove it',
    },
  ]
  return found.flatMap((one) => (one ? [{ level: "warning", subject, ...one }] : []))
}

// Airflow 1.10 knew only "no"; later releases take every word for no that YAML had.
function isReauthOff(extra: string | undefined): boolean {
  try {
    const { reauth } = JSON.parse(extra || "{}") ?? {}
    return reauth === false || /^(n|no|f|false|off|0)$/i.test(String(reauth))
  } catch {
    return false
  }
}
