// Sinks as they are configured: `--sink TYPE[,KEY=VALUE…]` or a [[sink]] table → a sink with checked options.
import * as v from "valibot"
import type { Secret } from "./credential.ts"
import { ConfigError, type ConfigIssue, DeliveryError } from "./errors.ts"
import { nearestWord } from "./nearest-word.ts"
import { loadSecret } from "./reference.ts"
import type { Sink, SinkDeps, SinkKind } from "./sink.ts"

/** Airflow's database and Fernet key, as [airflow] and --airflow-url say; what is absent is found where Airflow finds it. */
export type AirflowPlace = { readonly url?: string; readonly fernet_key?: string }

/** One configured sink: its type, its own options still unchecked, and what is common to all sinks. */
export type SinkSpec = {
  readonly type: string
  readonly options: Readonly<Record<string, unknown>>
  /** `run` counts as ready without it. */
  readonly optional: boolean
  /** Hosts, or regions of own registries, that this sink wants; undefined for all. */
  readonly registries?: readonly string[]
  /** Where it was configured, for messages. */
  readonly origin: string
}

/** The kinds of sink there are, each loaded when it is used. */
export type SinkKinds = Readonly<Record<string, () => Promise<SinkKind>>>

/** Reads `TYPE[,KEY=VALUE…]`. Fields are CSV, so a value with a comma stands in quotes. Throws a ConfigError. */
export function parseSinkText(text: string, origin: string): SinkSpec {
  const [first = "", ...fields] = splitFields(text, origin)
  const type = first.trim()
  // What stands in the type's place may be a database URL: no message here quotes more than a type or a key.
  if (!/^[\w-]+$/.test(type))
    throw new ConfigError([
      {
        path: origin,
        message: "must begin with the type of a sink, such as --sink docker-config,path=/etc/docker",
      },
    ])
  const values = new Map<string, readonly string[]>()
  for (const [i, field] of fields.entries()) {
    const equals = field.indexOf("=")
    const key = field.slice(0, Math.max(0, equals)).trim()
    if (!/^[a-z]\w*$/i.test(key))
      throw new ConfigError([
        {
          path: `${origin} ${type}`,
          message: `field ${i + 1} after the type is not KEY=VALUE; put a value with a comma in quotes, like '"KEY=a,b"'`,
        },
      ])
    values.set(key, [...(values.get(key) ?? []), field.slice(equals + 1)])
  }
  if (values.has("type"))
    throw new ConfigError([
      { path: `${origin} ${type}, type`, message: "give the type before the first comma, not as an option" },
    ])
  const options = [...values].map(([key, texts]) => [key, texts.length > 1 ? texts : texts[0]] as const)
  return parseSinkTable(Object.fromEntries([...options, ["type", type]]), `${origin} ${type}`)
}

const NAME = v.pipe(v.string(), v.nonEmpty("must not be empty"))

const COMMON = v.looseObject({
  type: v.pipe(v.string("must be the type of a sink"), v.nonEmpty("must name the type of a sink")),
  optional: v.optional(v.union([v.boolean(), v.picklist(["true", "false"])], "must be true or false")),
  registries: v.optional(
    v.union(
      [
        NAME,
        v.pipe(v.array(NAME), v.minLength(1, "must name at least one; leave it out to mean all of them")),
      ],
      "must be a list of hosts or regions",
    ),
  ),
})

/** Reads a [[sink]] table. Throws a ConfigError. */
export function parseSinkTable(table: Readonly<Record<string, unknown>>, origin: string): SinkSpec {
  const parsed = v.safeParse(COMMON, table, OUR_WORDS)
  if (!parsed.success) throw new ConfigError(asConfigIssues(parsed.issues, origin, []))
  const { type, optional, registries, ...options } = parsed.output
  return {
    type,
    options,
    optional: optional === true || optional === "true",
    ...(registries === undefined ? {} : { registries: [registries].flat() }),
    origin,
  }
}

/** The options of a spec that are secret or may hold a secret. Throws a ConfigError. */
export async function secretKeysOf(
  spec: SinkSpec,
  kinds: SinkKinds,
  world: Pick<SinkDeps, "uid">,
): Promise<readonly string[]> {
  const kind = await kinds[spec.type]?.().then((listed) => actualKind(listed, spec, world))
  const entries = Object.entries((kind?.options.entries ?? {}) as Record<string, v.GenericSchema>)
  return entries.filter(([, schema]) => isSecretOption(schema)).map(([key]) => key)
}

function isSecretOption(schema: v.GenericSchema): boolean {
  const inner = "wrapped" in schema ? (schema.wrapped as v.GenericSchema) : schema
  return v.getMetadata(inner).secret === true
}

/**
 * Makes the sink that a spec describes, loading its kind; `airflow` fills in where its kind asks for it. No other I/O.
 * Throws a ConfigError.
 */
export async function createSink(
  spec: SinkSpec,
  kinds: SinkKinds,
  world: Omit<SinkDeps, "secret">,
  airflow: AirflowPlace = {},
): Promise<Sink> {
  const load = Object.hasOwn(kinds, spec.type) ? kinds[spec.type] : undefined
  if (!load) {
    const nearest = nearestWord(spec.type, Object.keys(kinds))
    const message = `unknown sink ${JSON.stringify(spec.type)}${nearest ? `; did you mean ${nearest}?` : ""} (sinks: ${Object.keys(kinds).join(", ")})`
    throw new ConfigError([{ path: spec.origin, message }])
  }
  const kind = await actualKind(await load(), spec, world)
  const options = { ...airflowDefaults(kind, spec, airflow), ...spec.options }
  const parsed = v.safeParse(kind.options, options, OUR_WORDS)
  if (!parsed.success)
    throw new ConfigError(asConfigIssues(parsed.issues, spec.origin, Object.keys(kind.options.entries)))
  const deps = { ...world, secret: (text: string) => secretFor(spec.type, text, world.env) }
  return withOrigin(spec, async () => kind.create(parsed.output, deps))
}

// The kind that a listed one stands for, where only its options tell.
function actualKind(listed: SinkKind, spec: SinkSpec, world: Pick<SinkDeps, "uid">): Promise<SinkKind> {
  return withOrigin(spec, async () => (await listed.loadActual?.(spec.options, world)) ?? listed)
}

async function withOrigin<T>({ origin }: SinkSpec, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw new ConfigError(error.issues.map(({ path, message }) => ({ path: `${origin}, ${path}`, message })))
  }
}

// A sink with a url of its own means another Airflow, which has another key.
function airflowDefaults({ airflowDefaults = [] }: SinkKind, { options }: SinkSpec, airflow: AirflowPlace) {
  if (options.url !== undefined) return {}
  return Object.fromEntries(
    Object.entries(airflow).filter(([key]) => airflowDefaults.some((one) => one === key)),
  )
}

/** What a reference to a secret says now. Rejects with a DeliveryError that names `sink`. */
export async function secretFor(sink: string, text: string, env: SinkDeps["env"]): Promise<Secret> {
  try {
    return await loadSecret(text, env)
  } catch (cause) {
    throw new DeliveryError(`${text}: ${(cause as Error).message}`, {
      sink,
      target: text,
      code: "secret-missing",
      hint: "put the secret where this reference points, or point the reference to where it is",
      retryable: false,
      cause,
    })
  }
}

/** Valibot's own messages in our words: what a value must be, and never what it was, which may be a secret. */
export const OUR_WORDS: v.Config<v.BaseIssue<unknown>> = {
  message: ({ expected }) => {
    if (expected === "string") return "must be a single string"
    if (expected === "boolean") return "must be true or false"
    return `must be ${expected?.replaceAll(/[()]/g, "").replaceAll(" | ", " or ") ?? "something else"}`
  },
}

/** Valibot's issues in our words, each by its path. */
export function asConfigIssues(
  issues: readonly v.BaseIssue<unknown>[],
  origin: string,
  known: readonly string[],
): readonly ConfigIssue[] {
  return issues.map((issue) => {
    const key = v.getDotPath(issue) ?? ""
    const path = [origin, key].filter(Boolean).join(", ")
    if (issue.expected === "never") {
      const nearest = nearestWord(key, known)
      const options = known.length > 0 ? `there are ${known.join(", ")}` : "it has none"
      // What does not look like a name may be a piece of a secret that was given without quotes.
      if (!/^[a-z_-]{1,20}$/i.test(key))
        return {
          path: origin,
          message: `a KEY=VALUE whose key is not an option (${options}); put a value with a comma in quotes, like '"KEY=a,b"'`,
        }
      return { path, message: `unknown option; ${nearest ? `did you mean ${nearest}?` : options}` }
    }
    if (issue.received === "undefined") return { path, message: "is required" }
    return { path, message: issue.message }
  })
}

// As `docker --mount` reads them: RFC 4180 on one line.
function splitFields(text: string, origin: string): readonly string[] {
  const fields: string[] = []
  const field = /\s*"((?:[^"]|"")*)"\s*(?:,|$)|([^",]*)(?:,|$)/gy
  while (field.lastIndex < text.length) {
    const match = field.exec(text)
    if (!match)
      throw new ConfigError([
        {
          path: origin,
          message: `unmatched quote; a quoted field begins and ends with one, like '"KEY=a,b"'`,
        },
      ])
    fields.push(match[1] === undefined ? (match[2] ?? "") : match[1].replaceAll('""', '"'))
  }
  return fields
}
