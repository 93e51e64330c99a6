// Replacing a file that others read and write too: readers see the old or the new and never half, links are followed,
// mode and owner stay or are enforced, and what somebody without a lock wrote in between is read again and kept.
// The edit is a function of what the file holds, called as often as that changes. Not kept: hard links, ACLs.
import * as fs from "node:fs"
import { dirname, join } from "node:path"
import { accessDifference, setAccess, whyNotAccessible } from "./_file-access.ts"
import {
  contendedError,
  type FilePlace,
  inWords,
  lockedError,
  mountPointError,
  systemError,
} from "./_file-errors.ts"
import { followLinks, makeFolder, nearestFolder, ownerFor, syncAgain, syncFolder } from "./_folder.ts"
import { type Lock, removeLeftovers, takeLock } from "./_lock.ts"

/** What a file is to hold, by what it holds: the same bytes where only its mode and owner count, none where not even they do. */
export type Edit<Result> = (bytes: Buffer | undefined) => {
  readonly bytes: Buffer | undefined
  readonly result: Result
}

type Content = { readonly bytes: Buffer; readonly stat: fs.BigIntStats }

// How often somebody may come in between before it is left to the next retry.
const MOST_ROUNDS = 5

/** What the file holds, undefined if it is not there. */
export async function loadFile(place: FilePlace): Promise<Buffer | undefined> {
  try {
    return load(await followLinks(place.path))?.bytes
  } catch (error) {
    throw inWords(error, place)
  }
}

/** Why mode or owner is not as the place wants it, in words; undefined where it is, or where there is no file. */
export async function loadAccessDifference(place: FilePlace): Promise<string | undefined> {
  try {
    const now = load(await followLinks(place.path))
    return now && accessDifference(now.stat, place)
  } catch (error) {
    throw inWords(error, place)
  }
}

/**
 * Makes the file hold what `edit` says, under the lock, and returns the result of the edit that found nothing left to
 * do. Writes nothing where that is the first. A new file is 0600, in new folders 0700, unless the place says otherwise.
 */
export async function replaceFile<Result>(
  place: FilePlace,
  edit: Edit<Result>,
  signal: AbortSignal,
): Promise<Result> {
  signal.throwIfAborted()
  try {
    const file = await followLinks(place.path)
    removeLeftovers(file, place.deps.clock)
    syncAgain(dirname(file))
    for (let round = 0; round < MOST_ROUNDS; round++) {
      // Before any lock, and again after each rename: a writer that takes no lock may have undone it.
      const now = load(file)
      const next = edit(now?.bytes)
      if (isDone(now, next.bytes, place)) return next.result
      await rewrite(file, place, edit, signal)
    }
  } catch (error) {
    throw inWords(error, place)
  }
  throw contendedError(place)
}

/** Why the file could not be replaced; undefined if nothing speaks against it. Changes nothing. */
export async function whyNotWritable(place: FilePlace): Promise<unknown> {
  try {
    const file = await followLinks(place.path)
    const now = load(file)
    const folder = dirname(file)
    fs.accessSync(join(nearestFolder(folder), "."), fs.constants.W_OK | fs.constants.X_OK)
    if (!now) return whyNotAccessible(undefined, place)
    fs.accessSync(file, mustBeWritable(place) ? fs.constants.R_OK | fs.constants.W_OK : fs.constants.R_OK)
    const obstacle = whyNotAccessible(now.stat, place)
    if (obstacle || place.inPlace) return obstacle
    const isOwnMount = fs.statSync(folder, { bigint: true }).dev !== now.stat.dev || isMountPoint(file)
    return isOwnMount ? mountPointError(place) : undefined
  } catch (error) {
    return inWords(error, place)
  }
}

// A mount of the same file system shows only in Linux's own list (proc(5): the fifth field, with blanks and the like in octal).
function isMountPoint(file: string): boolean {
  try {
    const points = fs.readFileSync("/proc/self/mountinfo", "utf8").split("\n")
    const unescaped = (text: string) =>
      text.replaceAll(/\\(\d{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))
    return points.some((line) => unescaped(line.split(" ")[4] ?? "") === file)
  } catch {
    return false
  }
}

async function rewrite<Result>(
  file: string,
  place: FilePlace,
  edit: Edit<Result>,
  signal: AbortSignal,
): Promise<void> {
  makeFolder(dirname(file), place)
  const lock = await takeLock(file, place.deps.clock, signal)
  if (!lock) throw lockedError(place)
  try {
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const before = load(file)
      const { bytes } = edit(before?.bytes)
      if (!bytes || isDone(before, bytes, place)) return
      if (before && mustBeWritable(place)) fs.accessSync(file, fs.constants.W_OK)
      signal.throwIfAborted()
      if (
        before && place.inPlace
          ? overwrite(file, lock, before, bytes, place)
          : swap(file, lock, before, bytes, place)
      )
        return
    }
  } finally {
    await lock.release()
  }
  throw contendedError(place)
}

/** Fills the ticket and renames it onto the file; false if the file changed meanwhile. */
function swap(
  file: string,
  lock: Lock,
  before: Content | undefined,
  bytes: Buffer,
  place: FilePlace,
): boolean {
  fs.ftruncateSync(lock.fd)
  writeAll(lock.fd, bytes)
  setAccess(lock.fd, before?.stat, ownerFor(dirname(file), place.deps), place)
  fs.fsyncSync(lock.fd)
  const now = load(file)
  if (now === undefined ? before !== undefined : !before || !holds(now, before.bytes)) return false
  if (!renameIfSame(lock.path, file, now?.stat)) return false
  syncFolder(dirname(file))
  return true
}

/**
 * Renames onto a file unless it is another than it was. Both in one go, since what lies between is the time in which
 * a write without a lock is lost: a tenth of a millisecond on an ordinary disk, as
 * test/file.test.ts measures and prints.
 */
export function renameIfSame(from: string, file: string, was: fs.BigIntStats | undefined): boolean {
  const is = fs.statSync(file, { bigint: true, throwIfNoEntry: false })
  const same = (["dev", "ino", "size", "mtimeNs", "ctimeNs"] as const).every(
    (key) => is?.[key] === was?.[key],
  )
  if (same) fs.renameSync(from, file)
  return same
}

/** Writes into the file itself, all in one go; false if it changed meanwhile. */
function overwrite(file: string, lock: Lock, before: Content, bytes: Buffer, place: FilePlace): boolean {
  const fd = fs.openSync(file, fs.constants.O_RDWR)
  try {
    // Throws if the lock was taken over: a rename would find out by itself, a write would not.
    fs.statSync(lock.path)
    if (!fs.readFileSync(fd).equals(before.bytes)) return false
    // First, so that nobody reads the new content by the old mode.
    if (place.access) setAccess(fd, before.stat, undefined, place)
    try {
      overwriteAll(fd, bytes)
    } catch (error) {
      // A full disk, say: the old content needs no space that the file does not have.
      overwriteAll(fd, before.bytes)
      throw error
    }
    return true
  } finally {
    fs.closeSync(fd)
  }
}

function overwriteAll(fd: number, bytes: Buffer): void {
  // What is longer than that gets blank before it is cut off: killed in between, it is whole, with empty lines below.
  const rest = Math.max(0, fs.fstatSync(fd).size - bytes.length)
  writeAll(fd, Buffer.concat([bytes, Buffer.alloc(rest, "\n")]))
  fs.ftruncateSync(fd, bytes.length)
  fs.fsyncSync(fd)
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += fs.writeSync(fd, bytes, at, bytes.length - at, at)
}

function load(file: string): Content | undefined {
  let fd: number
  try {
    // Without waiting, lest a named pipe hold us up.
    fd = fs.openSync(file, fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw error
  }
  try {
    const stat = fs.fstatSync(fd, { bigint: true })
    if (!stat.isFile()) throw systemError("EISDIR")
    return { stat, bytes: fs.readFileSync(fd) }
  } finally {
    fs.closeSync(fd)
  }
}

const isDone = (now: Content | undefined, bytes: Buffer | undefined, place: FilePlace) =>
  !bytes || (now !== undefined && holds(now, bytes) && accessDifference(now.stat, place) === undefined)

// A rename does not ask for it, but a file that its owner made read-only is to stay as it is, unless we are told its mode.
const mustBeWritable = ({ access, inPlace }: FilePlace) => inPlace || access === undefined

const holds = (content: Content | undefined, bytes: Buffer) => content?.bytes.equals(bytes) ?? false
