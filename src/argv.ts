// Arguments before they are parsed: the command that flags alone mean, and values kept as they were typed.
// An argument that is quoted back in a message is cut short where a secret may begin.
import { COMMANDS, flagOf, SETTINGS } from "./settings.ts"

const takesValue = new Map(SETTINGS.map((setting) => [flagOf(setting), setting.value !== undefined]))

// Invisible and never typed: keeps cac from turning 012345678901 into a number, which would lose its zero.
const SHIELD = "\u2060"

/** The arguments as cac is to see them. */
export function prepareArguments(argv: readonly string[]): readonly string[] {
  return withCommand(withHelpFlag(joinNegatives(argv))).map(shield)
}

/** A value as it was typed. */
export function unshield(text: string): string {
  return text.startsWith(SHIELD) ? text.slice(SHIELD.length) : text
}

/** An argument for a message: cut at the first character that may lead to a secret, such as the `=` of a password. */
export function quoted(text: string): string {
  return JSON.stringify(text.replace(/[^\w.-].*$/s, "…"))
}

// `-5m` after a flag that takes a value is a wrong value, not a cluster of short flags.
function joinNegatives(argv: readonly string[]): readonly string[] {
  const joined: string[] = []
  for (const arg of argv) {
    const flag = joined.at(-1) ?? ""
    if (/^-\d/.test(arg) && takesValue.get(flag)) joined.splice(-1, 1, `${flag}=${arg}`)
    else joined.push(arg)
  }
  return joined
}

// `ecrelay help run` means `ecrelay run --help`.
function withHelpFlag(argv: readonly string[]): readonly string[] {
  const [first, ...rest] = argv
  return first === "help" ? [...rest, "--help"] : argv
}

// Flags alone mean refresh, or run where there is an interval.
function withCommand(argv: readonly string[]): readonly string[] {
  if (!argv[0]?.startsWith("-")) return argv
  for (let i = 0; i < argv.length; i += 1) {
    const arg = argv[i] ?? ""
    if ((COMMANDS as readonly string[]).includes(arg)) return argv
    if (takesValue.get(arg)) i += 1
  }
  if (argv.some((arg) => arg === "--help" || arg === "-h")) return argv
  return [argv.some((arg) => /^--interval(=|$)/.test(arg)) ? "run" : "refresh", ...argv]
}

function shield(arg: string): string {
  const [, flag, value = ""] = /^(--?[^=]+=)?(.*)$/s.exec(arg) ?? []
  return Number.isFinite(Number(value)) ? `${flag ?? ""}${SHIELD}${value}` : arg
}
