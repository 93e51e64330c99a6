// Templates for the names of secrets that hold logins: the option `name`, or where Airflow looks by itself, with {conn_id}
// in it replaced by each connection id.
import { ConfigError } from "../../src/errors.ts"
import type { LoginFormat } from "../_login-format.ts"

/** The options that name the slots, and the name that stands in for a missing one. */
type Naming = {
  readonly format: LoginFormat
  readonly name?: string | undefined
  readonly conn_id?: readonly string[] | undefined
  /** Where Airflow's backend looks by default. */
  readonly airflowName: string
}

const CONN_ID = "{conn_id}"

/** The templates that the options come to, one for each connection id. Throws a ConfigError where they come to none. */
export function slotTemplates(naming: Naming): readonly string[] {
  const { format, name: given, conn_id: connIds, airflowName } = naming
  const name = given ?? (format.startsWith("airflow") ? airflowName : undefined)
  if (name === undefined) throw wrong("name", `is required with format=${format}`)
  const takesConnId = name.includes(CONN_ID)
  if (takesConnId && !connIds) throw wrong("conn_id", `is required: the name ${name} holds it`)
  if (!takesConnId && connIds)
    throw wrong("conn_id", `the name ${name} has no place for it; put ${CONN_ID} there`)
  return connIds ? connIds.map((connId) => name.replaceAll(CONN_ID, () => connId)) : [name]
}

const wrong = (path: string, message: string) => new ConfigError([{ path, message }])
