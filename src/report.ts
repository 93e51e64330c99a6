// Reports: outcomes and states as lines for people, JSON for programs, and the exit code. Never a secret.
import { formatDuration } from "./duration.ts"
import { DeliveryError, FetchError } from "./errors.ts"
import type { Outcome } from "./outcome.ts"
import { errorFinding, type Finding } from "./sink.ts"
import type { TargetStatus } from "./status.ts"

/** How to print: the present moment (milliseconds since 1970), and whether colour is welcome. */
export type Style = { readonly now: number; readonly colour: boolean }

/** What a failure comes to in words. Anything unexpected is a `bug`, whose stack the caller puts into the log. */
export function describeError(error: unknown): { code: string; message: string; hint: string | undefined } {
  if (error instanceof FetchError || error instanceof DeliveryError)
    return { code: error.code, message: error.message, hint: error.hint }
  return {
    code: "bug",
    message: `unexpected: ${String(error)}`,
    hint: "this is a bug in ecrelay; please report it with the log line",
  }
}

/** Outcomes for people: a line each, with cause and way out below what failed. */
export function formatOutcomes(outcomes: readonly Outcome[], style: Style): string {
  const rows = outcomes.map(
    (one) => [one.outcome, one.sink, one.target, until(one.expiresAt, style)] as const,
  )
  return table(rows, style, (i) => {
    const { error, warning } = outcomes[i] as Outcome
    const { message, hint } =
      error === undefined ? { message: undefined, hint: undefined } : describeError(error)
    return [message, warning && `warning: ${warning}`, hint && `hint: ${hint}`]
  })
}

/** Outcomes for programs. */
export function outcomesAsJson(outcomes: readonly Outcome[]): string {
  return json({
    outcomes: outcomes.map(({ sink, target, registry, outcome, expiresAt, error, warning }) => ({
      sink,
      target,
      registry,
      outcome,
      expiresAt: instant(expiresAt),
      ...(error === undefined ? {} : describeError(error)),
      ...(warning ? { warning } : {}),
    })),
  })
}

/** States for people. */
export function formatStatuses(statuses: readonly TargetStatus[], style: Style): string {
  const rows = statuses.map((one) => [one.state, one.sink, one.target, until(one.expiresAt, style)] as const)
  return table(rows, style, (i) => {
    const { message, hint } = statuses[i] as TargetStatus
    return [message, hint && `hint: ${hint}`]
  })
}

/** Findings for people: what is not right, with the fix. */
export function formatFindings(findings: readonly Finding[], style: Style): string {
  const wrong = findings.filter(({ level }) => level !== "ok")
  return table(
    wrong.map(({ level, subject, message }) => [level, subject, message]),
    style,
    (i) => [wrong[i]?.fix && `fix: ${wrong[i]?.fix}`],
  )
}

/**
 * All findings for people, the worst first, and what they come to for so many targets. What is found of many subjects
 * alike is said once: five hundred registries are no five hundred lines.
 */
export function formatAllFindings(
  findings: readonly Finding[],
  targetCount: number,
  style: Style,
  ending = "; nothing was changed",
): string {
  const of = (level: Finding["level"]) => findings.filter((one) => one.level === level)
  const [errors, warnings, good] = [of("error"), of("warning"), of("ok")]
  const wrong = alike([...errors, ...warnings])
  const well = alike(good)
  const width = Math.max(0, ...findings.map(({ level }) => level.length))
  // A subject may be long: what is wrong with it stands below, and not far to the right.
  const above = table(
    wrong.map(({ level, subject }) => [level, subject]),
    style,
    (i) => [...(wrong[i]?.others ?? []), wrong[i]?.message, wrong[i]?.fix && `fix: ${wrong[i]?.fix}`],
    width,
  )
  const below = table(
    well.map(({ level, subject, others, message }) => [
      level,
      others.length > 0 ? `${subject} and ${others.length} more` : subject,
      message,
    ]),
    style,
    () => [],
    width,
  )
  const targets = counted(targetCount, "target")
  const sum =
    errors.length > 0 ? `${counted(errors.length, "error")} to fix` : `${targets} would be delivered`
  const also = warnings.length > 0 ? `, ${counted(warnings.length, "warning")}` : ""
  return `${above}${below}\n${sum}${also}${ending}\n`
}

const MOST_SUBJECTS = 3

/** Findings that say the same, as one; `others` are the further subjects, and above a few how many there are. */
function alike(findings: readonly Finding[]): readonly (Finding & { readonly others: readonly string[] })[] {
  const groups = Map.groupBy(findings, ({ level, message, fix }) => JSON.stringify([level, message, fix]))
  return [...groups.values()].flatMap(([first, ...rest]) => {
    if (!first) return []
    const others = rest.map(({ subject }) => subject)
    const left = others.length - MOST_SUBJECTS + 1
    const shown =
      left > 1 && first.level !== "ok" ? [...others.slice(0, MOST_SUBJECTS - 1), `and ${left} more`] : others
    return [{ ...first, others: shown }]
  })
}

/** Findings for programs. */
export function findingsAsJson(findings: readonly Finding[]): string {
  return json({ findings })
}

/** A number of things, such as `1 target` and `3 targets`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`
}

/** What a check finds; its failure is a finding too. */
export async function findingsOrFailure(
  check: () => Promise<readonly Finding[]>,
  subject: string,
): Promise<readonly Finding[]> {
  try {
    return await check()
  } catch (error) {
    return [errorFinding(subject, describeError(error))]
  }
}

/** States for programs; a dry run adds its findings. */
export function statusesAsJson(statuses: readonly TargetStatus[], findings?: readonly Finding[]): string {
  return json({
    targets: statuses.map(({ sink, target, registry, state, expiresAt, remainingMs, message, hint }) => ({
      sink,
      target,
      registry,
      state,
      expiresAt: instant(expiresAt),
      remainingSeconds: remainingMs === undefined ? null : Math.floor(remainingMs / 1000),
      message,
      hint,
    })),
    findings,
  })
}

/** 0 when all is delivered, unchanged or not due. */
export function exitCodeOfOutcomes(outcomes: readonly Outcome[]): 0 | 1 {
  return outcomes.some(({ outcome }) => outcome === "failed") ? 1 : 0
}

/** 0 when all is fresh or cannot be known. */
export function exitCodeOfStatuses(statuses: readonly TargetStatus[]): 0 | 1 {
  return statuses.every(({ state }) => state === "fresh" || state === "unknown") ? 0 : 1
}

/** `2026-11-24 09:40 UTC`. */
export function formatInstant(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace("T", " ")} UTC`
}

/** `09:40 UTC`. */
export function formatTime(at: number): string {
  return formatInstant(at).slice("2026-11-24 ".length)
}

function until(expiresAt: number | undefined, { now }: Style): string {
  if (expiresAt === undefined) return ""
  const leftMs = expiresAt - now
  return leftMs > 0
    ? `until ${formatInstant(expiresAt)} (${formatDuration(leftMs)})`
    : `expired ${formatInstant(expiresAt)} (${formatDuration(-leftMs)} ago)`
}

const COLOURS: Readonly<Record<string, number>> = {
  ok: 32,
  delivered: 32,
  unchanged: 32,
  fresh: 32,
  skipped: 32,
  stale: 33,
  unknown: 33,
  warning: 33,
  error: 31,
  failed: 31,
  expired: 31,
  missing: 31,
  unreadable: 31,
}

function table(
  rows: readonly (readonly string[])[],
  { colour }: Style,
  below: (row: number) => readonly (string | undefined)[],
  firstWidth = 0,
): string {
  const widths = [firstWidth, 0, 0].map((least, column) =>
    Math.max(least, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const indent = " ".repeat((widths[0] ?? 0) + 2)
  const lines = rows.flatMap((row, i) => {
    const [word = "", ...rest] = row.map((cell, column) => cell.padEnd(widths[column] ?? 0))
    const first = colour ? `\u001b[${COLOURS[row[0] ?? ""]}m${word}\u001b[0m` : word
    return [
      [first, ...rest].join("  ").trimEnd(),
      ...below(i)
        .filter(Boolean)
        .map((line) => indent + line),
    ]
  })
  return lines.map((line) => `${line}\n`).join("")
}

function instant(at: number | undefined): string | null {
  return at === undefined ? null : new Date(at).toISOString()
}

function json(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}
