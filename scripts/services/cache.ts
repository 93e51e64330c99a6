// Keeps what was downloaded between runs, outside the repository, in a folder that is either whole or absent.
// As root it lies where the unprivileged account of the servers can reach it, and only where nobody else can write.
import { chmod, lstat, mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises"
import { homedir } from "node:os"
import { dirname, join } from "node:path"

const HOUR_MS = 3_600_000

/** The cache's folder, made if missing. */
export async function openCache(): Promise<string> {
  const own = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "ecrelay", "test")
  const root = process.getuid?.() === 0
  const folder = root && !(await isReachableByAll(own)) ? "/var/tmp/ecrelay-test-root" : own
  await mkdir(folder, { recursive: true, mode: 0o755 })
  const { uid, mode } = await lstat(folder)
  if (process.getuid && (uid !== process.getuid() || mode & 0o022)) {
    throw new Error(`${folder} belongs to somebody else or is writable by others: remove it`)
  }
  await removeUnfinished(folder)
  return folder
}

/**
 * The folder `name` of the cache, filled by `fill` where it is missing. It gets its name only when it is whole, so a
 * run that is killed leaves nothing that a later one would take for complete.
 */
export async function cached(
  cache: string,
  name: string,
  fill: (folder: string) => Promise<void>,
): Promise<string> {
  const folder = join(cache, name)
  if (await exists(folder)) return folder
  const unfinished = await mkdtemp(join(cache, ".unfinished-"))
  try {
    await chmod(unfinished, 0o755)
    await fill(unfinished)
    await rename(unfinished, folder)
  } catch (error) {
    // Another run filled the same folder meanwhile: theirs is as good as ours.
    if (!(await exists(folder))) throw error
  } finally {
    await rm(unfinished, { recursive: true, force: true })
  }
  return folder
}

/** Whether every account of the machine may pass through the folders down to this one, as far as they exist. */
export async function isReachableByAll(path: string): Promise<boolean> {
  for (let folder = path; ; folder = dirname(folder)) {
    const mode = await stat(folder).then(
      (found) => found.mode,
      () => 0o001,
    )
    if (!(mode & 0o001)) return false
    if (folder === dirname(folder)) return true
  }
}

/** Whether something stands at the path. */
export function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

async function removeUnfinished(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    if (!name.startsWith(".unfinished-")) continue
    const { mtimeMs } = await stat(join(cache, name))
    if (Date.now() - mtimeMs > HOUR_MS) await rm(join(cache, name), { recursive: true, force: true })
  }
}
