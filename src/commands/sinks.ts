// `ecrelay sinks [TYPE]`: the kinds of sink, their options, and the least permissions that they need.
import * as v from "valibot"
import { ConfigError } from "../errors.ts"
import { nearestWord } from "../nearest-word.ts"
import { readSettings, readSwitch, readWord } from "../reading.ts"
import type { World } from "../session.ts"
import { type Given, settingsFromEnvironment } from "../settings.ts"
import type { SinkKind } from "../sink.ts"

// Common to every kind; `sink-spec.ts` reads them.
const COMMON = [
  {
    key: "optional",
    description: "`run` counts as ready without this sink (true or false)",
    required: false,
  },
  {
    key: "registries",
    description: "Only these: hosts, or regions of own registries (a list)",
    required: false,
  },
]

/** Returns the exit code. Throws a ConfigError. */
export async function sinks(given: Given, [type]: readonly string[], world: World): Promise<number> {
  const types = Object.keys(world.kinds)
  if (type !== undefined && !types.includes(type)) {
    const nearest = nearestWord(type, types)
    throw new ConfigError([
      {
        path: type,
        message: `unknown sink; ${nearest ? `did you mean ${nearest}?` : `there are ${types.join(", ")}`}`,
      },
    ])
  }
  const kinds = await Promise.all((type === undefined ? types : [type]).map((name) => world.kinds[name]?.()))
  const reading = readSettings(given, settingsFromEnvironment(world.env), undefined)
  const output = readWord(reading, "output", ["text", "json"])
  const print = PRINTS.find((one) => readSwitch(reading, one))
  if (reading.issues.length > 0) throw new ConfigError(reading.issues)
  if (print) {
    world.print(await printOf(print, type, kinds[0]))
    return 0
  }
  const described = kinds.filter((kind) => kind !== undefined).map(describe)
  if (output === "json") world.print(`${JSON.stringify({ sinks: described })}\n`)
  else world.print(type === undefined ? formatList(described) : described.map(formatKind).join("\n"))
  return 0
}

const PRINTS = ["schema", "types"] as const

function printOf(
  print: (typeof PRINTS)[number],
  type: string | undefined,
  kind: SinkKind | undefined,
): Promise<string> {
  const text = type === undefined ? undefined : kind?.prints?.[print]?.()
  if (text) return text
  const has = print === "schema" ? "exec" : "module"
  const message = `${type ?? "the list"} has none; there is \`ecrelay sinks ${has} --${print}\``
  throw new ConfigError([{ path: `--${print}`, message }])
}

type Described = ReturnType<typeof describe>

/** A kind of sink as a plain value: what help and README show. */
export function describe({ type, summary, permissions, options, prints = {} }: SinkKind) {
  const own = Object.entries(options.entries as Record<string, v.GenericSchema>).map(([key, schema]) => ({
    key,
    description: v.getDescription(schema) ?? descriptionWithin(schema),
    required: schema.type !== "optional",
  }))
  return { type, summary, options: [...own, ...COMMON], permissions, prints: Object.keys(prints) }
}

// An optional schema holds the described one inside.
function descriptionWithin(schema: v.GenericSchema): string {
  return "wrapped" in schema ? (v.getDescription(schema.wrapped as v.GenericSchema) ?? "") : ""
}

function formatList(kinds: readonly Described[]): string {
  const width = Math.max(...kinds.map(({ type }) => type.length))
  const lines = kinds.map(({ type, summary }) => `${type.padEnd(width)}  ${summary}\n`)
  return `${lines.join("")}\n\`ecrelay sinks TYPE\` shows options and permissions\n`
}

function formatKind({ type, summary, options, permissions, prints }: Described): string {
  const width = Math.max(...options.map(({ key }) => key.length))
  const example = options.filter(({ required }) => required).map(({ key }) => `,${key}=…`)
  return [
    `${type}: ${summary}`,
    "",
    `  --sink ${type}${example.join("")}`,
    "",
    "Options:",
    ...options.map(
      ({ key, description, required }) =>
        `  ${key.padEnd(width)}  ${description}${required ? " (required)" : ""}`,
    ),
    "",
    "Needs:",
    ...permissions.map((line) => `  ${line}`),
    "",
    ...prints.flatMap((print) => [`\`ecrelay sinks ${type} --${print}\` prints its contract`, ""]),
  ].join("\n")
}
