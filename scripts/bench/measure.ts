// Measuring whole processes: pairs run in turn, medians and ratios. A single time on a shared machine tells nothing.
import { readFileSync } from "node:fs"

/** One run of a program, as the operating system accounts for it. */
export type Run = { readonly wallMs: number; readonly cpuMs: number }

/** A program to run: a fresh process every time. Throws where the run did not do its work. */
export type Subject = {
  readonly name: string
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly stdin?: string
  /** Looked at after every run: an exit code other than this makes the measurement worthless. */
  readonly exitCode?: number
}

function start({ argv, env, stdin }: Subject) {
  return Bun.spawn([...argv], {
    env: { ...env },
    stdin: stdin === undefined ? "ignore" : new Blob([stdin]),
    stdout: "ignore",
    stderr: "ignore",
  })
}

async function runOnce(subject: Subject): Promise<Run> {
  const startedAt = performance.now()
  const child = start(subject)
  const code = await child.exited
  const wallMs = performance.now() - startedAt
  if (code !== (subject.exitCode ?? 0)) throw new Error(`${subject.name} ended with ${code}`)
  return { wallMs, cpuMs: Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1000 }
}

// The accounting of a finished process counts what it shared with us before its exec: its own high-water mark is read
// while it runs, in runs of their own, since looking costs it time.
async function peakOf(subject: Subject): Promise<Peak> {
  const child = start(subject)
  let peakKiB = 0
  let ownKiB = 0
  while (child.exitCode === null) {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, "utf8")
      const figure = (name: string) => Number(new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(status)?.[1] ?? 0)
      peakKiB = Math.max(peakKiB, figure("VmHWM"))
      ownKiB = Math.max(ownKiB, figure("RssAnon"))
    } catch {
      // Between its end and our notice of it.
    }
    await Bun.sleep(0)
  }
  return { peak: peakKiB / 1024, own: ownKiB / 1024 }
}

/** Most memory in MiB: with the program's files as far as they are mapped, and without, as far as looking caught it. */
type Peak = { readonly peak: number; readonly own: number }

/** The middle value. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

/** Runs two programs in turn, A B A B, after a warm-up of each, and prints medians and the median of the ratios. */
export async function printPair(ours: Subject, other: Subject, pairs: number): Promise<void> {
  await runOnce(ours)
  await runOnce(other)
  const runs: { ours: Run; other: Run }[] = []
  for (let i = 0; i < pairs; i += 1) runs.push({ ours: await runOnce(ours), other: await runOnce(other) })
  console.log(`\n${ours.name} against ${other.name}, ${pairs} pairs`)
  for (const key of ["wallMs", "cpuMs"] as const) {
    const [a, b] = [median(runs.map((run) => run.ours[key])), median(runs.map((run) => run.other[key]))]
    const ratio = median(runs.map((run) => run.ours[key] / run.other[key]))
    printRow(key.replace("Ms", ""), a, b, "ms ", ratio)
  }
  const peaks: { ours: Peak; other: Peak }[] = []
  for (let i = 0; i < PEAK_RUNS; i += 1) peaks.push({ ours: await peakOf(ours), other: await peakOf(other) })
  for (const key of ["peak", "own"] as const) {
    const [a, b] = [median(peaks.map(({ ours }) => ours[key])), median(peaks.map(({ other }) => other[key]))]
    printRow(key, a, b, "MiB", a / b)
  }
}

const PEAK_RUNS = 7

function printRow(what: string, ours: number, other: number, unit: string, ratio: number): void {
  const cell = (value: number) => `${value.toFixed(1).padStart(8)} ${unit}`
  console.log(`  ${what.padEnd(5)}${cell(ours)}${cell(other)}  × ${ratio.toFixed(2)}`)
}
