// Whose hands a file may have passed through: it runs as code with our rights, so nobody but root and the running user may
// be able to change it, the folders above it, or a link on the way to it. The way is walked as the system walks it.
import type { Stats } from "node:fs"
import { lstat, readdir, readlink } from "node:fs/promises"
import { dirname, join, parse, sep } from "node:path"
import { formatMode, systemError } from "./_file-errors.ts"
import { MOST_LINKS } from "./_folder.ts"

// What runtimes look for in every folder above a file, and would obey.
const OBEYED = new Set([
  "node_modules",
  "package.json",
  "tsconfig.json",
  "jsconfig.json",
  "deno.json",
  "deno.jsonc",
])

/** The file itself, links resolved, or in words what is wrong with which part of the way. */
export type Trust =
  | { readonly file: string }
  | { readonly part: string; readonly fault: string; readonly hint: string }

/** Walks to the file as the user `uid`. Rejects with the system's error where there is no way. */
export async function findTrusted(path: string, uid: number): Promise<Trust> {
  const { root } = parse(path)
  let at = root
  let links = 0
  const left = path.slice(root.length).split(sep)
  const first = await faultOf(at, await lstat(at), uid)
  if (first) return first
  while (left.length > 0) {
    const name = left.shift() ?? ""
    if (name === "" || name === ".") continue
    // A part that went before was no link, so its parent is what the path says.
    const part = name === ".." ? dirname(at) : join(at, name)
    const stat = await lstat(part)
    const fault = await faultOf(part, stat, uid)
    if (fault) return fault
    if (!stat.isSymbolicLink()) {
      at = part
      continue
    }
    if (++links > MOST_LINKS) throw systemError("ELOOP")
    const target = await readlink(part)
    left.unshift(...target.split(sep))
    if (target.startsWith(root)) at = root
  }
  return { file: at }
}

async function faultOf(
  part: string,
  stat: Stats,
  uid: number,
): Promise<Exclude<Trust, { file: string }> | undefined> {
  if (stat.uid !== 0 && stat.uid !== uid)
    return {
      part,
      fault: `belongs to user ${stat.uid}, who could change what runs here as user ${uid}`,
      hint: `\`chown ${uid} ${part}\`, or put the file where only root or this user can write`,
    }
  // A link's own mode means nothing; in a folder with the sticky bit, others cannot touch what is ours.
  if (stat.isSymbolicLink()) return undefined
  if ((stat.mode & 0o022) === 0) return undefined
  if (stat.isDirectory() && (stat.mode & 0o1000) !== 0) return strangersIn(part, uid)
  const who = (stat.mode & 0o002) !== 0 ? "everybody" : `group ${stat.gid}`
  return {
    part,
    fault: `can be written by ${who} (mode ${formatMode(stat.mode)})`,
    hint: `\`chmod go-w ${part}\``,
  }
}

// Others cannot touch what is ours in such a folder, but can put things beside it that a runtime looks for.
async function strangersIn(
  folder: string,
  uid: number,
): Promise<Exclude<Trust, { file: string }> | undefined> {
  for (const name of await readdir(folder)) {
    if (!OBEYED.has(name)) continue
    const part = join(folder, name)
    const { uid: owner } = await lstat(part)
    if (owner !== 0 && owner !== uid)
      return {
        part,
        fault: `belongs to user ${owner}, and would be used when a file below ${folder} runs`,
        hint: "remove it, or put the file where only root or this user can write, such as below /etc/ecrelay",
      }
  }
  return undefined
}
