// The command line: argv → a command and the texts of its settings. It decides nothing about what they mean.
import { cac } from "cac"
import { prepareArguments, quoted, unshield } from "./argv.ts"
import { ConfigError, type ConfigIssue } from "./errors.ts"
import { nearestWord } from "./nearest-word.ts"
import { COMMANDS, type Command, flagOf, type Given, SETTINGS, type Setting } from "./settings.ts"

/** What the person asked for. `help` has been printed already. */
export type Invocation =
  | { readonly command: Command; readonly given: Given; readonly args: readonly string[] }
  | { readonly command: "help" | "version" | "nothing" }

const DESCRIPTIONS: Readonly<Record<Command, string>> = {
  refresh: "Fetch now, deliver, exit: for systemd timers, cron, CI",
  run: "Keep running, and refresh before expiry: for a service",
  status: "What every target holds, and until when",
  check: "Prove that it would work and say what to fix, changing nothing",
  wait: "Wait until every target is fresh, or --timeout",
  sinks: "The kinds of sink; with a type, its options and the permissions it needs",
  config: "Print the effective configuration as TOML: turns flags into a file",
  install: "Write the units of a service: ecrelay install systemd",
}

// The one word that a command takes beside its flags.
const ARGUMENTS: Partial<Record<Command, string>> = { sinks: "[TYPE]", install: "[WHAT]" }

const EXAMPLES = [
  "  ecrelay --sink docker-config                         log docker in, once",
  "  ecrelay run --sink docker-config                     keep it logged in",
  "  ecrelay --region eu-west-1 --sink airflow-db,conn_id=ecr_docker",
  "  ecrelay status --sink docker-config                  how long is it good for?",
]

const CLOSING = [
  "Flags without a command: refresh, or run where --interval is given.",
  "`ecrelay COMMAND --help` shows a command's options.",
]

/** Reads the arguments after the program's name. Throws a ConfigError; prints help or version where asked. */
export function parseArguments(argv: readonly string[], version: string): Invocation {
  if (argv.length === 0) {
    createParser(version, []).outputHelp()
    return { command: "nothing" }
  }
  if (argv[0] === "version" || argv.includes("--version") || argv.includes("-v"))
    return { command: "version" }
  refuseMisread(argv)
  const prepared = prepareArguments(argv)
  const parser = createParser(version, prepared)
  parser.parse(["", "", ...prepared], { run: false })
  if (parser.options.help) return { command: "help" }
  const [unknown] = parser.args
  if (!parser.matchedCommand) throw unknownCommand(unshield(unknown ?? ""))
  return readMatched(parser)
}

// cac would read `--sink.path=x` as an object, take `_` for its own list of words, and drop names that every object has.
function refuseMisread(argv: readonly string[]): void {
  for (const arg of argv) {
    const [flag = ""] = /^-[^=]*/.exec(arg) ?? []
    if (/^--[^.]*\./.test(flag))
      throw new ConfigError([{ path: flag, message: "unknown flag; no flag contains a dot" }])
    if (/^(-[^-]*_|--(no-)?(_|__proto__|constructor|prototype)$)/.test(flag))
      throw new ConfigError([{ path: flag, message: "unknown flag" }])
  }
}

function missingValue(setting: Setting): ConfigIssue {
  return { path: flagOf(setting), message: `needs a value: ${flagOf(setting)} ${setting.value}` }
}

function readMatched(parser: ReturnType<typeof cac>): Invocation {
  try {
    parser.runMatchedCommand()
  } catch (error) {
    if ((error as Error).name !== "CACError") throw error
    throw asUsageError(parser)
  }
  // cac does not look at what follows `--`.
  if (parser.options["--"]?.length > 0) throw asUsageError(parser)
  const given = new Map<string, { from: string; texts: string[] }>()
  for (const setting of SETTINGS) {
    const value = parser.options[camelCase(setting.key)]
    if (value === undefined) continue
    const texts = [value].flat().map((one) => unshield(String(one)))
    // Most likely a shell variable that is not set: a value went missing, and nobody wished for an empty one.
    if (texts.includes("")) throw new ConfigError([missingValue(setting)])
    if (!setting.repeatable && texts.length > 1)
      throw new ConfigError([{ path: flagOf(setting), message: "given more than once" }])
    given.set(setting.key, { from: flagOf(setting), texts })
  }
  return {
    command: parser.matchedCommandName as Command,
    given,
    args: parser.args.map((arg) => unshield(String(arg))),
  }
}

// Makes no more than the words need: every command with every flag would take a tenth of a run.
function createParser(version: string, words: readonly string[]) {
  const parser = cac("ecrelay")
  const first = COMMANDS.filter((name) => name === words[0])
  for (const name of first.length > 0 ? first : COMMANDS) {
    const command = parser.command([name, ARGUMENTS[name]].filter(Boolean).join(" "), DESCRIPTIONS[name])
    command.action(() => undefined)
    if (!words.includes(name)) continue
    for (const setting of SETTINGS)
      if (setting.commands.includes(name))
        command.option(
          `${flagOf(setting)}${setting.value ? ` <${setting.value}>` : ""}`,
          setting.descriptionIn?.[name] ?? setting.description,
        )
  }
  parser.version(version)
  parser.usage("<command> [options]")
  parser.help(helpSections)
  return parser
}

type HelpSection = { title?: string; body: string }

function helpSections(sections: readonly HelpSection[]): HelpSection[] {
  const [title, ...rest] = sections.filter(({ title }) => !title?.startsWith("For more info"))
  const isTopLevel = rest.some((section) => section.title === "Commands")
  const name = title?.body.replace("/", " ")
  return [
    { body: `${name}: keeps Amazon ECR logins fresh wherever something pulls images` },
    ...rest.map((section) => ({ ...section, body: section.body.replaceAll(/ +$/gm, "") })),
    ...(isTopLevel ? [{ title: "Examples", body: EXAMPLES.join("\n") }, { body: CLOSING.join("\n") }] : []),
  ]
}

function unknownCommand(text: string): ConfigError {
  const nearest = nearestWord(text, COMMANDS)
  return new ConfigError([
    {
      path: "",
      message: `unknown command ${quoted(text)}${nearest ? `; did you mean ${nearest}?` : ""} (commands: ${COMMANDS.join(", ")})`,
    },
  ])
}

// cac tells only that something is wrong; we say what, and the way out.
function asUsageError(parser: ReturnType<typeof cac>): ConfigError {
  const command = parser.matchedCommandName as Command
  const known = SETTINGS.filter((setting) => setting.commands.includes(command))
  const issues = Object.entries(parser.options).flatMap(([name, value]) => {
    if (name === "--") return []
    const setting = known.find(({ key }) => camelCase(key) === name)
    const flag =
      name.length === 1
        ? `-${name}`
        : `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    if (!setting) return [{ path: flag, message: whyUnknown(flag, command, known.map(flagOf)) }]
    return setting.value && typeof value === "boolean" ? [missingValue(setting)] : []
  })
  const argument = ARGUMENTS[command]?.replace(/\W/g, "")
  const unused = [...parser.args.slice(argument ? 1 : 0), ...(parser.options["--"] ?? [])].map((arg) =>
    unshield(String(arg)),
  )
  const takes = argument ? `takes one ${argument} and flags` : "takes flags only"
  if (unused.length > 0)
    issues.push({
      path: "",
      message: `${command} ${takes}, not ${unused.map(quoted).join(" ")}; put a value with spaces in quotes`,
    })
  return new ConfigError(issues)
}

function whyUnknown(flag: string, command: Command, known: readonly string[]): string {
  if (flag === "--interval") return `${command} runs only once; \`ecrelay run --interval …\` keeps running`
  const elsewhere = SETTINGS.find((setting) => flagOf(setting) === flag)
  if (elsewhere) return `not a flag of ${command}, but of ${elsewhere.commands.join(", ")}`
  const nearest = nearestWord(flag, known)
  return `unknown flag${nearest ? `; did you mean ${nearest}?` : `; \`ecrelay ${command} --help\` lists them`}`
}

function camelCase(key: string): string {
  return key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
