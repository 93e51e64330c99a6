// Every setting once: its flag, its variable, its key in the config file, its help. A flag beats the variable, the
// variable beats the file. The texts stay as they were written; `config.ts` says what they mean.
import { nearestWord } from "./nearest-word.ts"

/** The commands that exist. */
export const COMMANDS = ["refresh", "run", "status", "check", "wait", "sinks", "config", "install"] as const

/** One of the commands. */
export type Command = (typeof COMMANDS)[number]

/** One setting: how it is given and what it means. */
export type Setting = {
  /** The key in the config file; flag and variable follow from it. */
  readonly key: string
  /** What stands for the value in help; absent for a yes-or-no flag. */
  readonly value?: string
  /** May be given several times; its variable holds one value a line. */
  readonly repeatable?: true
  /** Not a key of the config file. */
  readonly flagOnly?: true
  readonly description: string
  readonly commands: readonly Command[]
  /** Its description in the commands where it means something else. */
  readonly descriptionIn?: Partial<Readonly<Record<Command, string>>>
}

// For flags that a command accepts so that a service's flags can be copied whole.
const NO_EFFECT = "No effect here; accepted so that the same flags as for run can be given"

const ALL: readonly Command[] = ["refresh", "run", "status", "check", "wait", "config", "install"]

/** All of them, in the order of help. */
export const SETTINGS: readonly Setting[] = [
  {
    key: "sink",
    value: "TYPE[,KEY=VALUE…]",
    repeatable: true,
    description: "Where to deliver (repeatable); `ecrelay sinks` lists the types",
    commands: ALL,
  },
  {
    key: "registry",
    value: "HOST",
    repeatable: true,
    description: "Registry to log in to, as in image names (repeatable)",
    commands: ALL,
  },
  {
    key: "region",
    value: "REGION",
    repeatable: true,
    description: "The caller's own registry in this region (repeatable)",
    commands: ALL,
  },
  { key: "profile", value: "NAME", description: "AWS profile to use", commands: ALL },
  {
    key: "role_arn",
    value: "ARN",
    repeatable: true,
    description: "Role to assume (repeatable: each is assumed from the one before)",
    commands: ALL,
  },
  { key: "external_id", value: "ID", description: "External id for the (last) --role-arn", commands: ALL },
  {
    key: "aws_conn_id",
    value: "ID",
    description: "Ask AWS with the aws connection that Airflow holds, as the old operator did",
    commands: ALL,
  },
  {
    key: "airflow_url",
    value: "URL",
    flagOnly: true,
    description:
      "Airflow's database, for airflow-db and --aws-conn-id (default: found where Airflow finds it)",
    commands: ALL,
  },
  {
    key: "endpoint_url",
    value: "URL",
    description: "Endpoint of ECR's API, instead of AWS's own",
    commands: ALL,
  },
  {
    key: "probe",
    description: "Try each new login at its registry before it is written",
    commands: ALL,
    descriptionIn: { status: NO_EFFECT, check: NO_EFFECT, wait: NO_EFFECT },
  },
  {
    key: "config",
    value: "FILE",
    flagOnly: true,
    description: "Config file (default: ~/.config/ecrelay/config.toml, then /etc/ecrelay/config.toml)",
    commands: ALL,
  },
  {
    key: "interval",
    value: "DURATION",
    description: "Refresh this often, such as 6h (default: at half of the token's lifetime)",
    commands: ALL.filter((command) => command !== "refresh"),
    descriptionIn: { status: NO_EFFECT, check: NO_EFFECT, wait: NO_EFFECT },
  },
  {
    key: "min_remaining",
    value: "DURATION",
    description: "Leave alone targets whose login is good for at least this long",
    commands: ALL,
    descriptionIn: {
      status: "A login that is good for less than this is stale (default 4h)",
      wait: "Wait for logins that are good for at least this long (default 4h)",
      check: NO_EFFECT,
    },
  },
  {
    key: "timeout",
    value: "DURATION",
    description:
      "Give up after this long (run: on each fetch and each delivery; default 60s, plus whatever an exec sink's own timeout has beyond 30s)",
    commands: ALL,
  },
  {
    key: "dry_run",
    flagOnly: true,
    description: "Show what would be done, change nothing",
    commands: ["refresh", "run", "install"],
  },
  {
    key: "timer",
    flagOnly: true,
    description: "A timer that refreshes what is due every hour, instead of a service that keeps running",
    commands: ["install"],
  },
  {
    key: "user",
    flagOnly: true,
    description: "User units, for systemctl --user, instead of system units",
    commands: ["install"],
  },
  {
    key: "service_user",
    value: "NAME",
    flagOnly: true,
    description: "Account that the unit runs as (default: root)",
    commands: ["install"],
  },
  {
    key: "name",
    value: "NAME",
    flagOnly: true,
    description: "Name of the units (default: ecrelay)",
    commands: ["install"],
  },
  {
    key: "force",
    flagOnly: true,
    description: "Replace files that somebody else wrote or changed",
    commands: ["install"],
  },
  {
    key: "schema",
    flagOnly: true,
    description: "Print the JSON Schema of what a sink's command receives and answers: `sinks exec --schema`",
    commands: ["sinks"],
  },
  {
    key: "types",
    flagOnly: true,
    description: "Print the TypeScript types for a sink of your own: `sinks module --types`",
    commands: ["sinks"],
  },
  {
    key: "output",
    value: "text|json",
    description: "Format of the result on standard output",
    commands: ["refresh", "status", "check", "wait", "sinks"],
  },
  {
    key: "log_level",
    value: "debug|info|warn|error",
    description: "Least important log line to print (default info)",
    commands: ALL,
  },
  {
    key: "log_format",
    value: "text|json",
    description: "Format of log lines on standard error",
    commands: ALL,
  },
]

/** `min_remaining` → `--min-remaining`. */
export function flagOf({ key }: Setting): string {
  return `--${key.replaceAll("_", "-")}`
}

/** `min_remaining` → `ECRELAY_MIN_REMAINING`. */
function variableOf({ key }: Setting): string {
  return `ECRELAY_${key.toUpperCase()}`
}

/** Not a setting: `install` sets this variable for the `check` that it runs. */
export const INSTALLING = "ECRELAY_INSTALLING"

/** What was given for the settings, by key, with the place it was given at. */
export type Given = ReadonlyMap<string, { readonly from: string; readonly texts: readonly string[] }>

/** The settings that the environment gives. An empty variable is as good as none. */
export function settingsFromEnvironment(env: Readonly<Record<string, string | undefined>>): Given {
  return new Map(
    SETTINGS.flatMap((setting) => {
      const from = variableOf(setting)
      const text = env[from]?.trim()
      if (!text) return []
      const texts = setting.repeatable
        ? text
            .split("\n")
            .map((line) => line.trim())
            .filter(Boolean)
        : [text]
      return [[setting.key, { from, texts }] as const]
    }),
  )
}

/** Variables that nothing reads and that look like one of ours, with the one that was probably meant. */
export function misspeltVariables(
  env: Readonly<Record<string, string | undefined>>,
): readonly { readonly name: string; readonly meant: string }[] {
  const names = namesIn(env).filter((name) => /^ecrelay_/i.test(name))
  if (names.length === 0) return []
  const known = SETTINGS.map(variableOf)
  const lowerCase = known.map((name) => name.toLowerCase())
  return names.flatMap((name) => {
    // A name that resembles none of ours may be the person's own, for `env:NAME`.
    const meant = known.includes(name) ? undefined : nearestWord(name, lowerCase)?.toUpperCase()
    return meant ? [{ name, meant }] : []
  })
}

// Deno may be allowed to read certain variables, and not to list them all.
function namesIn(env: object): readonly string[] {
  try {
    return Object.keys(env)
  } catch {
    return []
  }
}
