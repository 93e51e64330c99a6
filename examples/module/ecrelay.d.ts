// The types of a sink of your own for ecrelay: `import type { Module } from "ecrelay"`, and nothing but types, for at run
// time there is no such package. They name valibot's: `npm install --save-dev valibot` beside your file.
// Made by `ecrelay sinks module --types`; do not edit.

declare module "ecrelay" {
  import type * as v from "valibot"

  /** What the function of a module is called with. */
  type Host = {
    /** https://valibot.dev, for options that the functions below do not describe. */
    readonly v: typeof v
    readonly defineSink: typeof defineSink
    readonly textOption: typeof textOption
    readonly secretOption: typeof secretOption
    readonly flagOption: typeof flagOption
    readonly listOption: typeof listOption
    readonly durationOption: typeof durationOption
    readonly fillTemplate: typeof fillTemplate
    readonly templateProblem: typeof templateProblem
    readonly errorFinding: typeof errorFinding
    readonly outlives: typeof outlives
    readonly expiryOf: typeof expiryOf
    readonly isEcrHost: typeof isEcrHost
    readonly isTransient: typeof isTransient
    readonly ConfigError: typeof ConfigError
    readonly DeliveryError: typeof DeliveryError
  }

  /** The default export of a module. Called once, when the sink is configured; does no I/O. */
  type Module = (host: Host) => SinkKind

  /** One slot of a sink for one registry: a connection id, a parameter name, an `auths` key. */
  type Target = {
    readonly registry: Registry
    /** The slot as the sink knows it. Registries share one only where it can hold several logins, such as a docker config. */
    readonly slot: string
    /** Place and slot for people, plans, logs and duplicate detection: two targets are one if these are equal. */
    readonly name: string
  }

  /** One credential to one target. */
  type Delivery = {
    readonly target: Target
    readonly credential: Credential
  }

  /** What became of one delivery. `expiresAt` is what the target holds now, undefined where that is not known. */
  type DeliveryResult =
    | {
        readonly outcome: "delivered" | "unchanged"
        readonly expiresAt: number | undefined
        /** What the person should know although it worked. */
        readonly warning?: string
      }
    | {
        readonly outcome: "failed"
        readonly error: DeliveryError
      }

  /** What a target holds now. */
  type Held =
    | {
        readonly state: "missing"
        readonly hint?: string | undefined
      }
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
    | {
        readonly state: "unreadable"
        readonly error: DeliveryError
      }

  /** One thing that `check` found; `code` is a stable string for programs, `fix` says what to do about it. */
  type Finding = {
    readonly level: "ok" | "warning" | "error"
    readonly code?: string
    readonly subject: string
    readonly message: string
    readonly fix?: string
  }

  /**
   * A configured sink. Every call connects, works and disconnects: no pool, no state between calls. A call whose signal is
   * aborted throws the signal's reason, as soon as it can without leaving half of a write.
   */
  type Sink = {
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
    /** Writes the logins to standard output, where nothing else may stand then: `refresh` alone can be used with it. */
    readonly takesStdout?: true
  }

  /** What a sink may use of the world. */
  type SinkDeps = {
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
    /**
     * What `env:NAME`, `file:PATH` or `credential:NAME` refers to now; any other text is the secret itself. Rejects with
     * a DeliveryError where there is nothing to refer to.
     */
    secret(reference: string): Promise<Secret>
  }

  /** Options of a sink: strict, each key with a description that help, `sinks` and README use. */
  type OptionsSchema = v.StrictObjectSchema<any, undefined>

  /** A kind of sink, as the list in `sinks/index.ts` holds it. Creating a sink does no I/O. */
  type SinkKind<Schema extends OptionsSchema = OptionsSchema> = {
    readonly type: string
    /** One line for `sinks` and the README. */
    readonly summary: string
    /** The least permissions a delivery needs, one a line. */
    readonly permissions: readonly string[]
    readonly options: Schema
    /** Throws a ConfigError where options do not go together, or the environment lacks what they mean. */
    create(options: v.InferOutput<Schema>, deps: SinkDeps): Sink
  }

  /** What an error comes to as a finding. What the subject says already is not said again. */
  function errorFinding(
    subject: string,
    {
      code,
      message,
      hint,
    }: {
      readonly code: string
      readonly message: string
      readonly hint?: string | undefined
    },
  ): Finding

  /** Gives a kind of sink its types; the list holds them without the option types. */
  function defineSink<const Schema extends OptionsSchema>(kind: SinkKind<Schema>): SinkKind

  /** Schema of a text option. */
  function textOption(
    description: string,
  ): v.SchemaWithPipe<
    readonly [
      v.StringSchema<undefined>,
      v.NonEmptyAction<string, "must not be empty">,
      v.DescriptionAction<string, string>,
    ]
  >

  /**
   * Schema of a text option that is secret or may hold a secret, such as a database URL. `config` and error messages
   * never show it where it is given literally; `secret()` of the dependencies resolves it at every delivery.
   */
  function secretOption(description: string): v.SchemaWithPipe<
    readonly [
      v.StringSchema<undefined>,
      v.NonEmptyAction<string, "must not be empty">,
      v.DescriptionAction<string, string>,
      v.MetadataAction<
        string,
        {
          readonly secret: true
        }
      >,
    ]
  >

  /** Schema of a yes-or-no option: a boolean in the config file, `true` or `false` on the command line. */
  function flagOption(
    description: string,
  ): v.SchemaWithPipe<
    readonly [
      v.UnionSchema<
        [
          v.BooleanSchema<undefined>,
          v.SchemaWithPipe<
            readonly [
              v.PicklistSchema<["true", "false"], undefined>,
              v.TransformAction<"false" | "true", boolean>,
            ]
          >,
        ],
        "must be true or false"
      >,
      v.DescriptionAction<boolean, string>,
    ]
  >

  /** Schema of an option that takes one text or a list of them (on the command line: the key repeated). */
  function listOption(
    description: string,
  ): v.SchemaWithPipe<
    readonly [
      v.UnionSchema<
        [
          v.SchemaWithPipe<
            readonly [
              v.SchemaWithPipe<
                readonly [v.StringSchema<undefined>, v.NonEmptyAction<string, "must not be empty">]
              >,
              v.TransformAction<string, string[]>,
            ]
          >,
          v.SchemaWithPipe<
            readonly [
              v.ArraySchema<
                v.SchemaWithPipe<
                  readonly [v.StringSchema<undefined>, v.NonEmptyAction<string, "must not be empty">]
                >,
                undefined
              >,
              v.MinLengthAction<string[], 1, "must not be empty">,
            ]
          >,
        ],
        "must be a string or a list of strings, none of them empty"
      >,
      v.DescriptionAction<string[], string>,
    ]
  >

  /** Schema of an option that is a time with its unit, such as `30s`; what comes out is milliseconds. */
  function durationOption(
    description: string,
  ): v.SchemaWithPipe<
    readonly [
      v.StringSchema<"must be a time with its unit, such as 30s or 2m">,
      v.CheckAction<string, "must be a time with its unit, such as 30s or 2m, and more than zero">,
      v.TransformAction<string, number>,
      v.DescriptionAction<number, string>,
    ]
  >

  /** A target's name for a registry: `{account}`, `{region}` and `{host}` stand for the registry's; the rest is as it was. */
  function fillTemplate(template: string, registry: Registry): string

  /** What is wrong with the braces of a template, or undefined. */
  function templateProblem(template: string): string | undefined

  /** A text that no log line, report or error can show by accident. */
  class Secret {
    #private
    constructor(text: string)
    /** The text itself: only in the line that writes it out or signs with it. */
    reveal(): string
    toString(): string
    toJSON(): string
  }

  /** A decoded login to one registry: what a sink receives. */
  type Credential = {
    readonly registry: Registry
    /** Always `AWS` so far. */
    readonly userName: string
    readonly password: Secret
    /** Milliseconds since 1970. */
    readonly expiresAt: number
  }

  /**
   * Until when a password is good, in milliseconds since 1970, by the `expiration` (seconds) in the base64 JSON that an
   * ECR password is. AWS does not document that form, so it is a hint: undefined where it is absent.
   */
  function expiryOf(password: string): number | undefined

  /**
   * Whether a stored login to the same registry expires later than ours and must therefore be left alone. An expiry
   * more than 13 hours ahead is not believed; expiries are compared by the second, which is all that a password tells.
   */
  function outlives(storedExpiresAt: number | undefined, ours: Credential, now: number): boolean

  /** AWS's partitions that have ECR. */
  type Partition =
    | "aws"
    | "aws-cn"
    | "aws-us-gov"
    | "aws-eusc"
    | "aws-iso"
    | "aws-iso-b"
    | "aws-iso-e"
    | "aws-iso-f"

  /** An account's ECR in a region, or ECR Public, under one of its host names. */
  type Registry = {
    /** As it stands in image names: lower case, no scheme, no port. */
    readonly host: string
    /** Twelve digits, a leading zero included; `public` for ECR Public, which has no account. */
    readonly account: string
    readonly region: string
    readonly partition: Partition
    readonly service: "ecr" | "ecr-public"
  }

  /** Whether `text` names an ECR registry in any form: with `https://`, a port or a path, of any account or region. */
  function isEcrHost(text: string): boolean

  /** One thing wrong with argv, the environment or the config file: where, and what. */
  type ConfigIssue = {
    readonly path: string
    readonly message: string
  }

  /** Wrong by argv, environment and config file alone, found before any other I/O. Exit code 2. */
  class ConfigError extends Error {
    readonly name = "ConfigError"
    readonly code = "config"
    readonly issues: readonly ConfigIssue[]
    constructor(issues: readonly ConfigIssue[])
  }

  /** What a person at 3 a.m. needs to know beside the message. */
  type Failure = {
    /** A stable string for programs, such as `throttled` or `fernet-key-wrong`. */
    readonly code: string
    /** What to do next, in words. */
    readonly hint?: string | undefined
    /** Whether the same call may well succeed in a moment. Not retryable means slow, not dead. */
    readonly retryable: boolean
    readonly cause?: unknown
  }

  /** A sink did not take a credential, or could not be read. Exit code 1. */
  class DeliveryError extends Error {
    readonly name = "DeliveryError"
    readonly code: string
    readonly hint: string | undefined
    readonly retryable: boolean
    /** The sink's type, such as `docker-config`. */
    readonly sink: string
    /** The target's name, or the place as a whole where the failure is not one slot's. */
    readonly target: string
    constructor(
      message: string,
      about: Failure & {
        readonly sink: string
        readonly target: string
      },
    )
  }

  /** Whether what went wrong is likely to pass: the one place that decides, on codes and never on message text. */
  function isTransient(cause: unknown): boolean

  /** The time as a program sees it. */
  type Clock = {
    /** Milliseconds since 1970, by the wall clock: may step, and runs on while the machine is suspended. */
    now(): number
    /** Milliseconds since some fixed moment, by the monotonic clock: never steps, may stand still in suspend. */
    uptime(): number
    /** Resolves after `durationMs`; rejects with the signal's reason as soon as it is aborted. */
    sleep(durationMs: number, signal?: AbortSignal): Promise<void>
  }

  export type {
    Clock,
    ConfigError,
    ConfigIssue,
    Credential,
    Delivery,
    DeliveryError,
    DeliveryResult,
    Failure,
    Finding,
    Held,
    Host,
    Module,
    OptionsSchema,
    Partition,
    Registry,
    Secret,
    Sink,
    SinkDeps,
    SinkKind,
    Target,
  }
}
