// The lock beside a file that several ecrelays may rewrite: every contender makes a ticket, a file with a name of its
// own, and holds the lock when it sees no other. The holder's ticket is also the temporary file that is renamed onto
// the target, and a dead holder is put out by removing its ticket: so one who was only asleep and wakes up finds that
// its rename fails, and no judgement of who is dead, right or wrong, can make two of them write.
// Who is dead is told by watching, not by a process id or a clock. A file system whose listings lag weakens it.
import * as fs from "node:fs"
import { basename, dirname, join } from "node:path"
import type { SinkDeps } from "../src/sink.ts"
import { systemError } from "./_file-errors.ts"

type Clock = SinkDeps["clock"]

/** The holder's ticket: an empty file, 0600 and open, to be filled and renamed. */
export type Lock = {
  readonly path: string
  readonly fd: number
  /** Lets go: removes the ticket unless it was renamed or taken away. */
  release(): Promise<void>
}

const HEARTBEAT_MS = 1_000
// A ticket that does not change for this long while we watch has no living owner.
const DEAD_AFTER_MS = 5_000
// A ticket that has not changed for this long need not be watched first.
const LEFTOVER_AFTER_MS = 60_000
const PATIENCE_MS = 30_000

/** Takes the lock of a file, waiting up to 30 s by the clock; undefined if somebody alive held it all that time. */
export async function takeLock(file: string, clock: Clock, signal: AbortSignal): Promise<Lock | undefined> {
  const sightings: Sightings = new Map()
  const patientUntil = clock.uptime() + PATIENCE_MS
  while (clock.uptime() < patientUntil) {
    signal.throwIfAborted()
    const lock = makeTicket(file, clock)
    try {
      if (isAlone(lock, file, sightings, clock)) return lock
    } catch (error) {
      await lock.release()
      throw error
    }
    await lock.release()
    // Random, so that two who met do not meet again.
    await clock.sleep(10 + randomByte() / 5, signal)
  }
  return undefined
}

/** Removes tickets that a crash left beside a file more than a minute ago; they may hold a credential. */
export function removeLeftovers(file: string, clock: Clock): void {
  for (const path of ticketsOf(file)) {
    const ticket = statOf(path)
    // By the machine's clock, for want of a better one here. A wrong one costs a living holder its turn, not more.
    if (ticket?.isFile() && clock.now() - ticket.changedAt > LEFTOVER_AFTER_MS) removeIfThere(path)
  }
}

/** When a ticket was seen for the first time as it is now, by uptime. */
type Sightings = Map<string, { readonly beat: bigint; readonly since: number }>

function isAlone(own: Lock, file: string, sightings: Sightings, clock: Clock): boolean {
  const tickets = ticketsOf(file)
  // Looked at after the listing: if it is there now, it was there all the time, and later contenders see it.
  if (!statOf(own.path)) return false
  let alone = true
  for (const path of tickets) {
    if (path === own.path) continue
    const other = statOf(path)
    if (!other?.isFile()) continue
    if (looksDead(path, other.beat, sightings, clock.uptime())) removeIfThere(path)
    else alone = false
  }
  return alone
}

function looksDead(path: string, beat: bigint, sightings: Sightings, uptime: number): boolean {
  const seen = sightings.get(path)
  if (seen?.beat === beat) return uptime - seen.since >= DEAD_AFTER_MS
  sightings.set(path, { beat, since: uptime })
  return false
}

const TICKET_ID = /^[0-9a-f]{24}$/

// By the global `crypto`: loading node:crypto would cost a tenth of a whole run.
const randomTicketId = () => crypto.randomUUID().replaceAll("-", "").slice(0, 24)
const randomByte = () => crypto.getRandomValues(new Uint8Array(1))[0] ?? 0

/** Paths of all the tickets for a file: `.config.json.ecrelay-` and 24 hexadecimal digits. */
function ticketsOf(file: string): readonly string[] {
  const prefix = ticketPrefix(file)
  return (unlessMissing(() => fs.readdirSync(dirname(file))) ?? [])
    .filter((name) => name.startsWith(prefix) && TICKET_ID.test(name.slice(prefix.length)))
    .map((name) => join(dirname(file), name))
}

const ticketPrefix = (file: string) => `.${basename(file)}.ecrelay-`

function makeTicket(file: string, clock: Clock): Lock {
  const path = join(dirname(file), ticketPrefix(file) + randomTicketId())
  const fd = openTicket(path)
  const stop = new AbortController()
  // If the heartbeat fails, the ticket is taken for dead and removed, which we learn at the rename.
  const beating = keepBeating(fd, clock, stop.signal).catch(() => {})
  const release = async () => {
    stop.abort()
    await beating
    fs.closeSync(fd)
    removeIfThere(path)
  }
  return { path, fd, release }
}

function openTicket(path: string): number {
  const fd = unlessMissing(() => fs.openSync(path, "wx+", 0o600))
  if (fd !== undefined) return fd
  // procfs answers so for a folder that is there.
  throw systemError(fs.existsSync(dirname(path)) ? "EOPNOTSUPP" : "ENOENT")
}

/** Shows that the ticket's owner lives. */
async function keepBeating(fd: number, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(HEARTBEAT_MS, signal).catch(() => {})
    if (signal.aborted) return
    // Setting the mode that it has changes nothing but the change time, which only the file system itself can set;
    // in one go, lest it undo a mode that was set in between.
    fs.fchmodSync(fd, fs.fstatSync(fd).mode & 0o7777)
  }
}

function statOf(path: string) {
  const stat = fs.lstatSync(path, { bigint: true, throwIfNoEntry: false })
  return stat && { isFile: () => stat.isFile(), beat: stat.ctimeNs, changedAt: Number(stat.ctimeMs) }
}

function removeIfThere(path: string): void {
  unlessMissing(() => fs.unlinkSync(path))
}

function unlessMissing<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error
    return undefined
  }
}
