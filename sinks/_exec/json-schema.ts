// The protocol as JSON Schema, made from the schemas that the documents are checked by: what is printed is what counts.
import * as v from "valibot"
import { answers, requests } from "./protocol.ts"

type Json = Readonly<Record<string, unknown>>

/** The whole protocol as one document: itself the schema of standard input; answers are below `$defs`. */
export function protocolSchema(): string {
  const entries = Object.entries({ ...named(requests, ""), ...named(answers, "-answer") })
  const schema = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "What ecrelay sends a command on standard input",
    description: "A command with answers=ACTION writes ACTION-answer on standard output",
    oneOf: Object.keys(requests).map((action) => ({ $ref: `#/$defs/${action}` })),
    $defs: Object.fromEntries(entries.map(([name, one]) => [name, jsonSchema(one)])),
  }
  return `${JSON.stringify(schema, null, 2)}\n`
}

function named(schemas: Readonly<Record<string, v.GenericSchema>>, suffix: string) {
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name + suffix, schema]))
}

/** A schema of valibot as JSON Schema, as far as the protocol uses it. Throws where it is of another kind. */
function jsonSchema(schema: v.GenericSchema): Json {
  const description = v.getDescription(schema)
  return { ...shapeOf(schema as Known), ...(description === undefined ? {} : { description }) }
}

type Known =
  | v.StrictObjectSchema<v.ObjectEntries, undefined>
  | v.ArraySchema<v.GenericSchema, undefined>
  | v.VariantSchema<string, v.VariantOptions<string>, undefined>
  | v.LiteralSchema<v.Literal, undefined>
  | v.PicklistSchema<v.PicklistOptions, undefined>
  | v.OptionalSchema<v.GenericSchema, undefined>
  | v.BooleanSchema<undefined>
  | v.StringSchema<undefined>

function shapeOf(schema: Known): Json {
  switch (schema.type) {
    case "strict_object":
      return objectShape(schema.entries as Readonly<Record<string, v.GenericSchema>>)
    case "array":
      return { type: "array", items: jsonSchema(schema.item) }
    case "variant":
      return { oneOf: schema.options.map((one) => jsonSchema(one as v.GenericSchema)) }
    case "literal":
      return { const: schema.literal }
    case "picklist":
      return { enum: schema.options }
    case "optional":
      return jsonSchema(schema.wrapped)
    case "boolean":
      return { type: "boolean" }
    case "string":
      return { type: "string", ...(isInstant(schema) ? { format: "date-time" } : {}) }
  }
}

function objectShape(entries: Readonly<Record<string, v.GenericSchema>>): Json {
  const keys = Object.keys(entries)
  return {
    type: "object",
    properties: Object.fromEntries(Object.entries(entries).map(([key, one]) => [key, jsonSchema(one)])),
    required: keys.filter((key) => entries[key]?.type !== "optional"),
    additionalProperties: false,
  }
}

function isInstant(schema: v.GenericSchema): boolean {
  const actions = "pipe" in schema ? (schema.pipe as readonly { readonly type: string }[]) : []
  return actions.some(({ type }) => type === "iso_timestamp")
}
