// The sink contract: a place that must hold fresh credentials. It can name its exact slots, make them hold a
// credential, and may be able to read them or to prove beforehand that a delivery would be let in.
// A sink never logs, retries or reads the environment; what it may use of the world comes in as `SinkDeps`.
import type * as v from "valibot"
import type { ClientConfig } from "./aws-client.ts"
import type { AwsFailure } from "./aws-failure.ts"
import type { Clock } from "./clock.ts"
import type { Credential, Secret } from "./credential.ts"
import type { DeliveryError } from "./errors.ts"
import type { Registry } from "./registry.ts"

export { isRoleArn } from "./principal.ts"
export { isReference } from "./reference.ts"
export {
  durationOption,
  fillTemplate,
  flagOption,
  listOption,
  secretOption,
  templateProblem,
  textOption,
} from "./sink-options.ts"

/** One slot of a sink for one registry: a connection id, a parameter name, an `auths` key. */
export type Target = {
  readonly registry: Registry
  /** The slot as the sink knows it. Registries share one only where it can hold several logins, such as a docker config. */
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
  | { readonly state: "missing"; readonly hint?: string | undefined }
  | {
      readonly state: "held"
      /** Undefined where the login does not tell. */
      readonly expiresAt: number | undefined
      /**
       * Why it is not what we would write, password aside: `host is https://…`; absent where all is right. What differs is
       * due at once: `deliver` mends it, and keeps the login that is there if that outlives ours and can be kept.
       */
      readonly differs?: string
      /** What to do about it where `deliver` refuses to mend it; `missing` has the same. */
      readonly hint?: string | undefined
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

/** How a sink's targets lie in files. */
type TargetFiles = {
  /** Whether a target takes all of its file, so that nothing else can lie there. */
  readonly whole: boolean
  /** Where a target lies behind all links, also where nothing is there yet. */
  realPath(target: Target): Promise<string>
}

/**
 * A configured sink. Every call connects, works and disconnects: no pool, no state between calls. A call whose signal is
 * aborted throws the signal's reason, as soon as it can without leaving half of a write.
 */
export type Sink = {
  readonly type: string
  /** Names the slots for a registry. Stable, distinct, never secret, no I/O. */
  targets(registry: Registry): readonly Target[]
  /**
   * Makes each target hold its credential and returns a result for each, in order. Idempotent and durable when it
   * resolves; touches only its own slots; one that cannot be written fails alone. Leaves a stored login that expires
   * later alone, and refuses (`failed`) a slot that holds what is no login to ECR, unless an option such as `adopt` says
   * otherwise; under the registry's own host, user `AWS` makes it one, whatever its password looks like. A password that
   * cannot stand there exactly is refused too, and never written otherwise. Throws a DeliveryError only where no slot
   * could be reached at all; what one place of several refuses is `failed` for the targets in it.
   */
  deliver(deliveries: readonly Delivery[], signal: AbortSignal): Promise<readonly DeliveryResult[]>
  /**
   * What each target holds now, in order. Changes nothing. What cannot be read is `unreadable`, never `missing`; where that
   * is so of all, it may as well throw the DeliveryError. What is no login to ECR is `unreadable` with the error that
   * `deliver` would give, or `held` with what differs.
   */
  read?(targets: readonly Target[], signal: AbortSignal): Promise<readonly Held[]>
  /**
   * Whether `deliver` would be let in, and would refuse no slot. Changes nothing. One finding a place or target: an `ok`
   * where all is well, else what is wrong, with `code` and `fix`. A DeliveryError becomes one by `errorFinding`; what is thrown is reported all the same.
   */
  check?(targets: readonly Target[], signal: AbortSignal): Promise<readonly Finding[]>
  /**
   * The folders that `deliver` writes in, for a service that may write nowhere else; `anywhere` where only what it runs
   * knows. Absent: none. Reads configuration at most.
   */
  folders?(signal: AbortSignal): Promise<readonly string[] | "anywhere">
  /** How long one delivery may take by the sink's own options, in milliseconds: the default of --timeout allows for it. */
  readonly deliveryMs?: number
  /** For targets that are files or parts of one, so that no two are written over each other. Not for rows of a database file. */
  readonly files?: TargetFiles
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
  /**
   * The runtime's own, which heeds the proxy variables; it trusts AWS_CA_BUNDLE only where `aws` is used. A call that fails
   * rejects with a `code`, under every runtime, by which `isTransient` tells whether it may pass.
   */
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
  /** Where only the options tell which kind is meant: loads that kind, which takes this one's place. Throws a ConfigError. */
  readonly loadActual?: (
    options: Readonly<Record<string, unknown>>,
    deps: Pick<SinkDeps, "uid">,
  ) => Promise<SinkKind>
  /** What `ecrelay sinks TYPE --schema` and `--types` print, for whoever writes the other side of this sink. */
  readonly prints?: Readonly<Partial<Record<"schema" | "types", () => Promise<string>>>>
  /** Throws a ConfigError where options do not go together, or the environment lacks what they mean. */
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
