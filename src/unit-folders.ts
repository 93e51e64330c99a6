// Where a unit may write: the folders of its sinks, as they are now. A folder that is missing has to be made by the unit, or
// by systemd where it is below /run, which is empty after every boot.
import { realpath, stat } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import type { Config } from "./config.ts"
import { ConfigError, type ConfigIssue } from "./errors.ts"
import type { UnitOptions } from "./units.ts"
import type { UnixUser } from "./unix-user.ts"

/** What the sinks of a configuration need of the file system; `unknown` is what a person should know. Throws a ConfigError. */
export async function unitFolders(
  { sinks }: Config,
  { manager, user }: { readonly manager: UnitOptions["manager"]; readonly user: UnixUser },
  signal: AbortSignal,
): Promise<Pick<UnitOptions, "writable" | "runtime"> & { readonly unknown: readonly string[] }> {
  const unknown: string[] = []
  const writable = new Set<string>()
  const runtime = new Map<string, number>()
  const issues: ConfigIssue[] = []
  let anywhere = false
  for (const { sink, origin } of sinks) {
    const folders =
      (await sink.folders?.(signal).catch((error: Error) => {
        unknown.push(
          `${origin}: ecrelay cannot tell where the unit must be allowed to write, so writing may fail: ${error.message}`,
        )
        return []
      })) ?? []
    if (folders === "anywhere") anywhere = true
    else
      for (const folder of folders) {
        const { nearest, full } = await locate(folder)
        const made = await runtimeFolder(full, user)
        if (made) runtime.set(made.name, made.mode)
        else writable.add(nearest)
        if (nearest === "/" && folder !== "/") issues.push({ path: origin, message: nowhere(folder) })
      }
  }
  // A person's own units have no list of folders.
  if (manager.kind === "user") return { unknown: [], writable: anywhere ? "anywhere" : [] }
  if (issues.length > 0 && !anywhere) throw new ConfigError(issues)
  const made = {
    names: [...runtime.keys()],
    mode: [...runtime.values()].reduce((all, one) => all & one, 0o755),
  }
  return {
    unknown: anywhere ? [] : unknown,
    writable: anywhere ? "anywhere" : [...writable],
    ...(runtime.size > 0 ? { runtime: made } : {}),
  }
}

const nowhere = (folder: string) =>
  `${folder} does not exist, and to create it the unit would need to write in /: create the folder first, or choose another path`

/** The full path of a folder behind all links, whether it is there or not, and the nearest one that is there. */
async function locate(folder: string): Promise<{ readonly nearest: string; readonly full: string }> {
  const real = await realpath(folder).catch(() => undefined)
  if (real !== undefined || folder === dirname(folder))
    return { nearest: real ?? folder, full: real ?? folder }
  const { nearest, full } = await locate(dirname(folder))
  return { nearest, full: join(full, basename(folder)) }
}

// Folders of systemd itself, in which mostly others write.
const SHARED = ["user", "systemd", "lock"]

/** The folder right below /run that a folder lies in, where systemd may make it for this user; and its mode. */
async function runtimeFolder(
  folder: string,
  user: UnixUser,
): Promise<{ readonly name: string; readonly mode: number } | undefined> {
  // A colon would begin a link's name, and a blank another folder's.
  const [, name] = /^\/run\/([\w.@+-]+)(\/|$)/.exec(folder) ?? []
  if (name === undefined || SHARED.includes(name)) return undefined
  const found = await stat(`/run/${name}`).catch(() => undefined)
  // Whoever reads the files may pass: those have a mode of their own.
  if (!found) return { name, mode: 0o755 }
  // systemd gives the folder and all in it to the unit's user.
  const own = found.isDirectory() && found.uid === user.uid && found.gid === user.gid
  return own ? { name, mode: found.mode & 0o7777 } : undefined
}
