// Log lines on standard error, for people or for machines. A field is a plain value; a Secret prints as [redacted].
import type { Clock } from "./clock.ts"
import { LOG_LEVELS, type LogLevel } from "./config.ts"

/** Writes one line; `hint` among the fields stands below it in text. */
export type Log = (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void

/** A log that writes lines of at least `level` in `format`. */
export function createLog(
  { level, format }: { readonly level: LogLevel; readonly format: "text" | "json" },
  clock: Pick<Clock, "now">,
  write: (line: string) => void,
): Log {
  const least = LOG_LEVELS.indexOf(level)
  return (lineLevel, message, fields = {}) => {
    if (LOG_LEVELS.indexOf(lineLevel) < least) return
    const time = new Date(clock.now()).toISOString()
    if (format === "json") {
      write(`${JSON.stringify({ time, level: lineLevel, message, ...fields })}\n`)
      return
    }
    const { hint } = fields
    write(`${time} ${lineLevel.padEnd(5)} ${message}\n${hint ? `${" ".repeat(31)}hint: ${hint}\n` : ""}`)
  }
}
