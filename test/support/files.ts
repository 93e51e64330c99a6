// Files for tests of whatever writes files: each in a folder of its own, written by this process or by another one
// that has other rights, other mounts or another fate.

import { test } from "bun:test"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { replaceFile } from "../../sinks/_file.ts"
import type { FilePlace } from "../../sinks/_file-errors.ts"
import { systemClock } from "../../src/clock.ts"
import { calm } from "./sinks.ts"

/** The program that other processes run: see replace-file.ts. */
export const CHILD = Bun.fileURLToPath(import.meta.resolve("./replace-file.ts"))

const folders: string[] = []

/** A path in a folder of its own, with this content if any is given. Gone after `removeFiles()`. */
export function newFile(content?: string): string {
  const folder = fs.mkdtempSync(join(tmpdir(), "ecrelay-file-"))
  folders.push(folder)
  const file = join(folder, "file.json")
  if (content !== undefined) fs.writeFileSync(file, content)
  return file
}

/** Removes what `newFile` made: for `afterEach`. */
export function removeFiles(): void {
  for (const folder of folders.splice(0)) fs.rmSync(folder, { recursive: true, force: true })
}

/** A file as a sink without special wishes has it. */
export function placeOf(path: string, changes: Partial<FilePlace> = {}): FilePlace {
  const deps = { clock: systemClock, env: {}, uid: process.getuid?.() }
  return { sink: "test", path, inPlace: false, deps, ...changes }
}

/** Makes the file hold this text. */
export function write(path: string, text: string, changes: Partial<FilePlace> = {}): Promise<string> {
  return replaceFile(placeOf(path, changes), () => ({ bytes: Buffer.from(text), result: text }), calm())
}

export const textIn = (path: string): string => fs.readFileSync(path, "utf8")
export const namesBeside = (path: string): readonly string[] => fs.readdirSync(dirname(path)).sort()

/** As docker writes, without a lock: a new file renamed onto the old one. */
export function replaceAsDocker(file: string, text: string): void {
  fs.writeFileSync(`${file}123`, text)
  fs.renameSync(`${file}123`, file)
}

/** What the other program answered. */
export type Answer = {
  readonly code: string
  readonly retryable?: boolean
  readonly message?: string
  readonly hint?: string
}

/** Runs a shell script, in which `$RUN TASK "$F"` is the other program and `$F` the file, and returns its answer. */
export function runChild(wrapper: readonly string[], script: string, file: string): Answer {
  const run = Bun.spawnSync([...wrapper, "sh", "-ec", script], {
    env: { ...process.env, F: file, D: dirname(file), RUN: `${process.execPath} ${CHILD}` },
  })
  const answer = run.stdout.toString().trim().split("\n").at(-1) ?? ""
  if (run.exitCode !== 0 || !answer.startsWith("{"))
    throw new Error(`exit code ${run.exitCode}: ${run.stdout}${run.stderr}`)
  return JSON.parse(answer)
}

const IS_ROOT = process.getuid?.() === 0
/** Begins a command with mounts of its own, which end with it. */
export const UNSHARE = IS_ROOT ? ["unshare", "-m"] : ["unshare", "-rm"]
/** Begins a command without any of root's powers. */
export const POWERLESS = IS_ROOT ? ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] : []

/** Begins a command as a user who owns nothing. */
export const NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

/** What the machine lacks, in words, by what a test needs; undefined where it is there. */
export const LACKS = {
  mounts: canRun([...UNSHARE, "sh", "-c", "mount -t tmpfs none /mnt"])
    ? undefined
    : "no mounts of one's own here",
  powerless: canRun([...POWERLESS, "true"]) ? undefined : "root's powers cannot be given up here",
  root: IS_ROOT ? undefined : "only root can give files away",
}

function canRun(command: readonly string[]): boolean {
  try {
    return Bun.spawnSync([...command]).exitCode === 0
  } catch {
    return false
  }
}

/** Why a test cannot have this program; undefined where it can. */
export const lackOf = (program: string): string | undefined =>
  Bun.which(program) ? undefined : `${program} is not installed`

/** A test that is skipped, with the reason printed, where the machine lacks what it needs. */
export function testUnless(lack: string | undefined, name: string, body: () => void | Promise<void>): void {
  if (lack !== undefined) console.info(`skipped: ${name}: ${lack}`)
  test.skipIf(lack !== undefined)(name, body)
}
