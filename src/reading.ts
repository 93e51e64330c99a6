// Reading settings: the strongest of flag, variable and file for each, and every problem gathered on the way.
import type { ConfigFile } from "./config-file.ts"
import { parseDuration } from "./duration.ts"
import { ConfigError, type ConfigIssue } from "./errors.ts"
import { nearestWord } from "./nearest-word.ts"
import { flagOf, type Given, SETTINGS, type Setting } from "./settings.ts"

/** One setting's texts and where they stand: `--interval`, `ECRELAY_INTERVAL`, `/etc/…/config.toml: interval`. */
type Texts = { readonly from: string; readonly texts: readonly string[] }

/** What a reading of the settings gathers: every problem, and what is worth a note. */
export type Reading = {
  readonly issues: ConfigIssue[]
  readonly notes: string[]
  /** The strongest of flag, variable and file. */
  texts(key: string): Texts | undefined
  /** Whether flags or variables give the setting. */
  isGiven(key: string): boolean
}

/** Begins a reading. Keys of the file that are unknown or hold the wrong type are its first problems. */
export function readSettings(flags: Given, variables: Given, file: ConfigFile | undefined): Reading {
  const issues: ConfigIssue[] = []
  const fromFile = new Map<string, Texts>()
  for (const [key, value] of Object.entries(file?.tables ?? {})) {
    if (key === "sink" || key === "registry" || key === "airflow") continue
    const setting = SETTINGS.find((one) => one.key === key && !one.flagOnly)
    const from = `${file?.path}: ${key}`
    if (!setting) {
      const nearest = nearestWord(
        key,
        SETTINGS.filter((one) => !one.flagOnly).map((one) => one.key),
      )
      const flag = SETTINGS.find((one) => one.key === key)
      const way = nearest ? `did you mean ${nearest}?` : flag && `${flagOf(flag)} is a flag only`
      issues.push({ path: from, message: `unknown key${way ? `; ${way}` : ""}` })
    } else if (typeof value === "boolean" && setting.value === undefined)
      fromFile.set(key, { from, texts: [String(value)] })
    else if (
      [value].flat().every((text) => typeof text === "string") &&
      (setting.repeatable || !Array.isArray(value))
    )
      fromFile.set(key, { from, texts: [value].flat() as string[] })
    else issues.push({ path: from, message: whatIsWanted(setting) })
  }
  const texts = (key: string) => flags.get(key) ?? variables.get(key) ?? fromFile.get(key)
  return { issues, notes: [], texts, isGiven: (key) => flags.has(key) || variables.has(key) }
}

function whatIsWanted({ value, repeatable }: Setting): string {
  if (value === undefined) return "must be true or false"
  return `must be a string in quotes${repeatable ? " or a list of them" : ""}`
}

/** A duration in milliseconds. */
export function readDuration(reading: Reading, key: string): number | undefined {
  const given = reading.texts(key)
  const text = given?.texts[0]
  if (given === undefined || text === undefined) return undefined
  const durationMs = parseDuration(text)
  if (durationMs) return durationMs
  reading.issues.push({ path: given.from, message: whyNoDuration(text, durationMs) })
  return undefined
}

function whyNoDuration(text: string, durationMs: number | undefined): string {
  if (durationMs === 0 || /^0+$/.test(text)) return `${text} is zero; write 90s, 30m or 6h`
  return /^\d+$/.test(text)
    ? `${text} has no unit; write ${text}s, ${text}m or ${text}h`
    : `${JSON.stringify(text)} is not a duration; write 90s, 30m or 6h`
}

/** A yes-or-no setting, by any of the usual words: a dry run that somebody asks for in another word must not write. */
export function readSwitch(reading: Reading, key: string): boolean {
  const word = readWord(reading, key, ["true", "false", "1", "0", "yes", "no"])
  return word === "true" || word === "1" || word === "yes"
}

/** One of a few words. */
export function readWord<const Word extends string>(
  reading: Reading,
  key: string,
  words: readonly Word[],
): Word | undefined {
  const given = reading.texts(key)
  const text = given?.texts[0]
  if (given === undefined || text === undefined) return undefined
  const word = words.find((one) => one === text)
  if (!word)
    reading.issues.push({
      path: given.from,
      message: `${JSON.stringify(text)} is not one of ${words.join(", ")}`,
    })
  return word
}

/** An http or https URL. */
export function readUrl(reading: Reading, key: string): string | undefined {
  const given = reading.texts(key)
  const text = given?.texts[0]
  // Not quoted: it may hold a password.
  if (given && text && !isHttpUrl(text)) reading.issues.push({ path: given.from, message: MUST_BE_URL })
  return text
}

/** What a URL setting must be. */
export const MUST_BE_URL =
  "must be a URL that starts with https:// or http://, without user name and password"

/** Whether a text is an http or https URL that tells nobody's password. */
export function isHttpUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password } = new URL(text)
  return /^https?:$/.test(protocol) && !username && !password
}

/** Runs what may reject with a ConfigError and gathers its issues instead. */
export async function gatherIssues(reading: Reading, parse: () => Promise<void>): Promise<void> {
  try {
    await parse()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    reading.issues.push(...error.issues)
  }
}

/** The [[tables]] of a key of the config file. */
export function readTables(
  reading: Reading,
  file: ConfigFile | undefined,
  key: string,
): readonly Record<string, unknown>[] {
  const tables = file?.tables[key]
  if (tables === undefined) return []
  if (Array.isArray(tables) && tables.every((table) => typeof table === "object" && table !== null))
    return tables
  reading.issues.push({ path: `${file?.path}: ${key}`, message: `is a table of its own: write [[${key}]]` })
  return []
}
