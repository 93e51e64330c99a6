// The sink contract: a place that must hold fresh credentials. It can name its exact slots, make them hold a
// credential, and may be able to read them or to prove beforehand that a delivery would be let in.
// A sink never logs, retries or reads the environment; what it may use of the world comes in as `SinkDeps`.
import * as v from "valibot"
import type { ClientConfig } from "./aws-client.ts"
import type { AwsFailure } from "./aws-failure.ts"
import type { Clock } from "./clock.ts"
import type { Credential, Secret } from "./credential.ts"
import { parseDuration } from "./duration.ts"
import type { DeliveryError } from "./errors.ts"
import type { Registry } from "./registry.ts"

/** One slot of a sink for one registry: a connection id, a parameter name, an `auths` key. */
export type Target = {
  readonly registry: Registry
  /** The slot as the sink knows it; several registries may share one that holds several logins. */
  readonly slot: string
  /** Place and slot for people, plans, logs and duplicate detection: two targets are one if these are equal. */
  readonly name: string
}

/** One credential to one target. */
export type Delivery = { readonly target: Target; readonly credential: Credential }

/** What became of one delivery. `expiresAt` is what the target holds now, undefined where that is not known. */
export type DeliveryResult =
  | {
      readonly outcome: "delivered" | "unchanged"
      readonly expiresAt: number | undefined
      /** What the person should know although it worked. */
      readonly warning?: string
    }
  | { readonly outcome: "failed"; readonly error: DeliveryError }

/** What a target holds now. */
export type Held =
  | { readonly state: "missing" }
  | {
      readonly state: "held"
      /** Undefined where the login does not tell. */
      readonly expiresAt: number | undefined
      /** Why it is not what we would write, password aside: `host is https://…`; absent where all is right. */
      readonly differs?: string
    }
  | { readonly state: "unreadable"; readonly error: DeliveryError }

/** One thing that `check` found; `code` is a stable string for programs, `fix` says what to do about it. */
export type Finding = {
  readonly level: "ok" | "warning" | "error"
  readonly code?: string
  readonly subject: string
  readonly message: string
  readonly fix?: string
}

/** A configured sink. Every call connects, works and disconnects: no pool, no state between calls. */
export type Sink = {
  readonly type: string
  /** Names the slots for a registry. Stable, distinct, never secret, no I/O. */
  targets(registry: Registry): readonly Target[]
  /**
   * Makes each target hold its credential and returns a result for each, in order. Idempotent and durable when it
   * resolves; touches only its own slots; one that cannot be written fails alone. Leaves a stored login that expires
   * later alone. Throws a DeliveryError only where no slot could be reached at all.
   */
  deliver(deliveries: readonly Delivery[], signal: AbortSignal): Promise<readonly DeliveryResult[]>
  /** What each target holds now, in order. Changes nothing. */
  read?(targets: readonly Target[], signal: AbortSignal): Promise<readonly Held[]>
  /** Whether `deliver` would be let in. Changes nothing. */
  check?(targets: readonly Target[], signal: AbortSignal): Promise<readonly Finding[]>
  /**
   * The folders that `deliver` writes in, for a service that may write nowhere else; `anywhere` where only what it runs
   * knows. Absent: none. Reads configuration at most.
   */
  folders?(signal: AbortSignal): Promise<readonly string[] | "anywhere">
  /** Writes the logins to standard output, where nothing else may stand then: `refresh` alone can be used with it. */
  readonly takesStdout?: true
}

/** What a sink may use of the world. */
export type SinkDeps = {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  /** The user's home directory, undefined where there is none. */
  readonly home: string | undefined
  /** The effective user id, undefined where the platform has none. */
  readonly uid: number | undefined
  /** The runtime's own, which heeds the proxy variables; it trusts AWS_CA_BUNDLE only where `aws` is used. */
  readonly fetch: typeof fetch
  /** Writes to standard output, for a sink with `takesStdout`. Rejects where not all of it could be written. */
  readonly writeOut: (text: string) => Promise<void>
  readonly aws: AwsAccess
  /**
   * What `env:NAME`, `file:PATH` or `credential:NAME` refers to now; any other text is the secret itself. Rejects with
   * a DeliveryError where there is nothing to refer to.
   */
  secret(reference: string): Promise<Secret>
}

/** How a sink speaks to AWS: as the command does, unless its own options name an identity. */
export type AwsAccess = {
  /**
   * What a client of AWS's SDK is made with: region, endpoint, transport, credentials. Reads the profile and asks for
   * credentials anew. Rejects with what `explain` puts into words.
   */
  clientConfig(
    service: "ssm" | "secrets_manager" | "mwaa",
    who: AwsIdentity,
    signal: AbortSignal,
  ): Promise<ClientConfig>
  /** A failed call in words, with the way out. */
  explain(cause: unknown): AwsFailure
}

/** Who asks AWS, and where. A sink that names a profile or a role names all of its identity. */
export type AwsIdentity = {
  readonly region?: string | undefined
  readonly profile?: string | undefined
  /** Roles to assume, one from the other. */
  readonly roleArns?: readonly string[] | undefined
  /** For the last of the roles. */
  readonly externalId?: string | undefined
}

/** Options of a sink: strict, each key with a description that help, `sinks` and README use. */
// biome-ignore lint/suspicious/noExplicitAny: the only type valibot's own signatures accept for "any entries".
type OptionsSchema = v.StrictObjectSchema<any, undefined>

/** A kind of sink, as the list in `sinks/index.ts` holds it. Creating a sink does no I/O. */
export type SinkKind<Schema extends OptionsSchema = OptionsSchema> = {
  readonly type: string
  /** One line for `sinks` and the README. */
  readonly summary: string
  /** The least permissions a delivery needs, one a line. */
  readonly permissions: readonly string[]
  readonly options: Schema
  /** The options that default to what [airflow] and --airflow-url say. */
  readonly airflowDefaults?: readonly ("url" | "fernet_key")[]
  /** For a kind that only its options tell: the kind that they mean, which is used in its place. Throws a ConfigError. */
  readonly loadActual?: (
    options: Readonly<Record<string, unknown>>,
    deps: Pick<SinkDeps, "uid">,
  ) => Promise<SinkKind>
  /** What `ecrelay sinks TYPE --schema` and `--types` print, for whoever writes the other side of this sink. */
  readonly prints?: Readonly<Partial<Record<"schema" | "types", () => Promise<string>>>>
  create(options: v.InferOutput<Schema>, deps: SinkDeps): Sink
}

/** What an error comes to as a finding. What the subject says already is not said again. */
export function errorFinding(
  subject: string,
  {
    code,
    message,
    hint,
  }: { readonly code: string; readonly message: string; readonly hint?: string | undefined },
): Finding {
  const [, who = "", said = ""] = /^(.*?): (.*)$/s.exec(message) ?? []
  const words = who && subject.endsWith(who) ? said : message
  return { level: "error", code, subject, message: words, ...(hint ? { fix: hint } : {}) }
}

/** Gives a kind of sink its types; the list holds them without the option types. */
export function defineSink<const Schema extends OptionsSchema>(kind: SinkKind<Schema>): SinkKind {
  return kind as unknown as SinkKind
}

/** Schema of a text option. */
export function textOption(description: string) {
  return v.pipe(v.string(), v.nonEmpty("must not be empty"), v.description(description))
}

/**
 * Schema of a text option that is secret or may hold a secret, such as a database URL. `config` and error messages
 * never show it where it is given literally; `secret()` of the dependencies resolves it at every delivery.
 */
export function secretOption(description: string) {
  return v.pipe(
    v.string(),
    v.nonEmpty("must not be empty"),
    v.description(description),
    v.metadata({ secret: true }),
  )
}

/** Schema of a yes-or-no option: a boolean in the config file, `true` or `false` on the command line. */
export function flagOption(description: string) {
  return v.pipe(
    v.union(
      [
        v.boolean(),
        v.pipe(
          v.picklist(["true", "false"]),
          v.transform((text) => text === "true"),
        ),
      ],
      "must be true or false",
    ),
    v.description(description),
  )
}

/** Schema of an option that takes one text or a list of them (on the command line: the key repeated). */
export function listOption(description: string) {
  const text = v.pipe(v.string(), v.nonEmpty("must not be empty"))
  return v.pipe(
    v.union([
      v.pipe(
        text,
        v.transform((one) => [one]),
      ),
      v.pipe(v.array(text), v.minLength(1, "must not be empty")),
    ]),
    v.description(description),
  )
}

/** Schema of an option that is a time with its unit, such as `30s`; what comes out is milliseconds. */
export function durationOption(description: string) {
  return v.pipe(
    v.string("must be a time with its unit, such as 30s or 2m"),
    v.check(
      (text) => (parseDuration(text) ?? 0) > 0,
      "must be a time with its unit, such as 30s or 2m, and more than nothing",
    ),
    v.transform((text) => parseDuration(text) ?? 0),
    v.description(description),
  )
}

/** What may stand in a template of a target's name. */
const PLACEHOLDERS = ["account", "region", "host"] as const

/** A target's name for a registry: `{account}`, `{region}` and `{host}` stand for the registry's. */
export function fillTemplate(template: string, registry: Registry): string {
  return PLACEHOLDERS.reduce((text, key) => text.replaceAll(`{${key}}`, registry[key]), template)
}

/** What is wrong with the braces of a template, or undefined. */
export function templateProblem(template: string): string | undefined {
  const rest = PLACEHOLDERS.reduce((text, key) => text.replaceAll(`{${key}}`, ""), template)
  const unknown = /\{[^}]*\}?/.exec(rest)?.[0]
  return unknown && `${unknown} stands for nothing; there are {account}, {region} and {host}`
}
