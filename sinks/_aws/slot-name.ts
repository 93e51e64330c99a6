// Names of the secrets that hold logins: a template with the registry's place-holders and, for Airflow, {conn_id}.
// What is wrong with one is said when the sink is made, before any call.
import { ConfigError } from "../../src/errors.ts"
import { ownRegistry, type Registry } from "../../src/registry.ts"
import { fillTemplate, templateProblem } from "../../src/sink.ts"
import type { LoginFormat } from "../_login-format.ts"

/** The options that name the slots, and what the service says about names. */
export type Naming = {
  readonly format: LoginFormat
  readonly name?: string | undefined
  readonly conn_id?: readonly string[] | undefined
  /** Where Airflow looks by itself. */
  readonly airflowName: string
  /** What is wrong with a name, or undefined. */
  readonly problemOf: (name: string) => string | undefined
}

const CONN_ID = "{conn_id}"
const SAMPLE_REGISTRY = ownRegistry("123456789012", "us-gov-east-1")

/** Gives the names for a registry. Throws a ConfigError where the options cannot name any. */
export function slotNaming(naming: Naming): (registry: Registry) => readonly string[] {
  const templates = templatesOf(naming)
  const namesFor = (registry: Registry) =>
    templates.map((template) => {
      const name = fillTemplate(template, registry)
      const problem = templateProblem(template) ?? naming.problemOf(name)
      if (problem) throw wrong("name", `${template}: ${problem}`)
      return name
    })
  namesFor(SAMPLE_REGISTRY)
  return namesFor
}

function templatesOf({ format, name: given, conn_id: connIds, airflowName }: Naming): readonly string[] {
  const name = given ?? (format.startsWith("airflow") ? airflowName : undefined)
  if (name === undefined) throw wrong("name", `is required with format=${format}`)
  const takesConnId = name.includes(CONN_ID)
  if (takesConnId && !connIds) throw wrong("conn_id", `is required: it stands in the name ${name}`)
  if (!takesConnId && connIds)
    throw wrong("conn_id", `the name ${name} has no place for it; put ${CONN_ID} there`)
  return connIds ? connIds.map((connId) => name.replaceAll(CONN_ID, () => connId)) : [name]
}

const wrong = (path: string, message: string) => new ConfigError([{ path, message }])
