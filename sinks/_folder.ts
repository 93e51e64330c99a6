// The way to a file: where its links lead, and the folders that it needs.
// A new folder is 0700, and as root under sudo it belongs to whoever owns the folder it is made in.
import { constants } from "node:fs"
import { mkdir, open, readlink, realpath, stat } from "node:fs/promises"
import { basename, dirname, join, resolve } from "node:path"
import { type FilePlace, systemError } from "./_file-errors.ts"

// What the Linux kernel follows before it says ELOOP.
const MOST_LINKS = 40

/** The real path behind every link in an absolute path, also where the last of them point to nothing yet. */
export async function followLinks(path: string): Promise<string> {
  let links = 0
  const follow = async (from: string): Promise<string> => {
    // What is there takes one call, and needs leave to read nothing above it.
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
export async function ownerFor(
  folder: string,
  { env, uid }: FilePlace["deps"],
): Promise<{ readonly uid: number; readonly gid: number } | undefined> {
  return uid === 0 && env.SUDO_UID !== undefined ? stat(folder) : undefined
}

/** Makes a folder and those above it where they are missing. */
export async function makeFolder(folder: string, deps: FilePlace["deps"]): Promise<void> {
  if (await isThere(folder)) return
  const above = dirname(folder)
  await makeFolder(above, deps)
  try {
    await mkdir(folder, 0o700)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return
    throw error
  }
  const owner = await ownerFor(above, deps)
  if (owner) await giveFolder(folder, owner)
  await syncFolder(above)
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false
    throw error
  }
}

async function giveFolder(
  folder: string,
  owner: { readonly uid: number; readonly gid: number },
): Promise<void> {
  // By the open folder: a name in somebody else's folder could have been swapped for a link.
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    await handle.chown(owner.uid, owner.gid)
  } finally {
    await handle.close()
  }
}

/** Makes what was created or renamed in a folder last through a power cut, where the platform can do that. */
export async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, "r")
    await handle.sync().finally(() => handle.close())
  } catch (error) {
    // Windows does not open folders, and some network file systems do not sync them: the rename has been done.
    if (!["EACCES", "EPERM", "EISDIR", "EINVAL", "ENOTSUP"].includes((error as { code: string }).code))
      throw error
  }
}
