// The way to a file: from its name to where its links lead, and the folders that it needs.
// A new folder is 0700, and as root under sudo it belongs to whoever owns the folder it is made in. Where the file is to
// be read by others, they may pass through it.
import * as fs from "node:fs"
import { readlink, realpath } from "node:fs/promises"
import { basename, dirname, join, resolve } from "node:path"
import { type FilePlace, systemError } from "./_file-errors.ts"

/** How many links the Linux kernel follows before it says ELOOP. */
export const MOST_LINKS = 40

/** A path in which `~` at the beginning stands for the home directory; undefined where it does and there is none. */
export function inHome(path: string, home: string | undefined): string | undefined {
  if (!/^~(?=$|[/\\])/.test(path)) return path
  return home ? join(home, path.slice(1)) : undefined
}

/** The folder in which lies whatever a template of a path stands for. */
export function fixedFolder(template: string): string {
  return dirname(template.replace(/\{.*/s, "any"))
}

/**
 * The real path behind every link in an absolute path, also where the last of them point to nothing yet.
 * This step alone is asynchronous, so that where a file system hangs, its sink alone waits, until its deadline. The steps after
 * it are synchronous: to hand each to another thread would take a tenth of a run.
 */
export async function followLinks(path: string): Promise<string> {
  let links = 0
  const follow = async (from: string): Promise<string> => {
    // What is there takes one call, and no folder above it needs to be readable.
    const real = await realpath(from).catch(unlessMissing)
    if (real !== undefined) return real
    const link = await readlink(from).catch(unlessNoLink)
    const folder = await follow(dirname(from))
    if (link === undefined) return join(folder, basename(from))
    links += 1
    if (links > MOST_LINKS) throw systemError("ELOOP")
    return follow(resolve(folder, link))
  }
  return follow(path)
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error
}

function unlessNoLink(error: NodeJS.ErrnoException): undefined {
  // EINVAL: it is there by now, and is no link.
  if (error.code !== "EINVAL" && error.code !== "ENOENT") throw error
}

/** Whose a new file or folder in this folder must be; undefined: whose it becomes by itself. */
export function ownerFor(
  folder: string,
  { env, uid }: FilePlace["deps"],
): { readonly uid: number; readonly gid: number } | undefined {
  return uid === 0 && env.SUDO_UID !== undefined ? fs.statSync(folder) : undefined
}

/** Makes the folder of a place's file, and those above it, where they are missing. */
export function makeFolder(folder: string, { access, deps }: FilePlace): void {
  const forOthers = access !== undefined && (access.owner !== undefined || (access.mode & 0o077) !== 0)
  makeFolders(folder, forOthers ? 0o711 : 0o700, deps)
}

function makeFolders(folder: string, mode: number, deps: FilePlace["deps"]): void {
  if (isThere(folder)) return
  const above = dirname(folder)
  makeFolders(above, mode, deps)
  try {
    // With all that the umask leaves of its mode: killed before the rest, it would keep what it has.
    fs.mkdirSync(folder, mode)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return
    throw error
  }
  try {
    setFolder(folder, mode, ownerFor(above, deps))
    syncFolder(above)
  } catch (error) {
    // Left there, the next attempt would take it for somebody else's.
    try {
      fs.rmdirSync(folder)
    } catch {}
    throw error
  }
}

/** The folder itself, or the nearest above it that is there. */
export function nearestFolder(folder: string): string {
  if (isThere(folder) || dirname(folder) === folder) return folder
  return nearestFolder(dirname(folder))
}

const isThere = (path: string) => fs.statSync(path, { throwIfNoEntry: false }) !== undefined

function setFolder(
  folder: string,
  mode: number,
  owner: { readonly uid: number; readonly gid: number } | undefined,
): void {
  if (!owner && mode === 0o700) return
  // By the open folder: a name in somebody else's folder could have been swapped for a link.
  const fd = fs.openSync(folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY | fs.constants.O_NOFOLLOW)
  try {
    if (owner) fs.fchownSync(fd, owner.uid, owner.gid)
    // Whatever the umask took.
    if (mode !== 0o700) fs.fchmodSync(fd, mode)
  } finally {
    fs.closeSync(fd)
  }
}

// In which something was made or renamed that may not be on the disk.
const unsynced = new Set<string>()

/** Makes up for a `syncFolder` that failed: the next attempt finds all as it should be, and nothing to write. */
export function syncAgain(folder: string): void {
  if (unsynced.has(folder)) syncFolder(folder)
}

/** Makes what was created or renamed in a folder last through a power cut, where the platform can do that. */
export function syncFolder(folder: string): void {
  unsynced.add(folder)
  try {
    const fd = fs.openSync(folder, "r")
    try {
      fs.fsyncSync(fd)
    } finally {
      fs.closeSync(fd)
    }
  } catch (error) {
    // Windows does not open folders, and some network file systems do not sync them: the rename has been done. In one
    // that went away nothing is left to sync, which the next look finds out.
    if (
      !["EACCES", "EPERM", "EISDIR", "EINVAL", "ENOTSUP", "ENOENT"].includes((error as { code: string }).code)
    )
      throw error
  }
  unsynced.delete(folder)
}
