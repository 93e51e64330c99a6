// Files that an installation puts in place, each atomically. Nothing is written over what somebody else changed: where that is
// so of one, none is written.
import { createHash } from "node:crypto"
import { mkdir, readFile, rename, writeFile } from "node:fs/promises"
import { dirname } from "node:path"
import { ConfigError } from "./errors.ts"

/** A file as it is to be. The path is absolute. */
export type InstalledFile = { readonly path: string; readonly text: string }

/** A text with its own checksum at its end, by which it is known later that nobody has changed it. */
export function sealed(text: string): string {
  return `${text}# Unchanged since it was written, as long as this is the sha256 of the lines above: ${sumOf(text)}\n`
}

/**
 * Puts files in place and says of each whether it was `wrote`, `replaced` or `kept`. A file that is there and differs is
 * refused before anything is written, unless its seal holds or by `force`. Rejects with a ConfigError.
 */
export async function installFiles(
  files: readonly InstalledFile[],
  force: boolean,
): Promise<readonly { readonly path: string; readonly done: string }[]> {
  const present = await Promise.all(files.map(({ path }) => readFile(path, "utf8").catch(asAbsent)))
  const refused = files.flatMap(({ path, text }, i) => {
    const message = present[i] === undefined ? undefined : whyRefused(present[i], text)
    return message === undefined ? [] : [{ path, message }]
  })
  if (refused.length > 0 && !force) throw new ConfigError(refused)
  const done: { path: string; done: string }[] = []
  for (const [i, file] of files.entries()) {
    const before = present[i]
    if (before !== file.text) await place(file)
    done.push({
      path: file.path,
      done: before === undefined ? "wrote" : before === file.text ? "kept" : "replaced",
    })
  }
  return done
}

const SEAL = /^(.*\n)# [^\n]*: ([0-9a-f]{64})\n/s

function whyRefused(present: string, text: string): string | undefined {
  const [whole, above = "", sum] = SEAL.exec(present) ?? []
  if (present === text || (whole === present && sumOf(above) === sum)) return undefined
  const changed = sum === undefined ? "" : "was changed since it was written, and "
  return `${changed}differs at ${firstDifference(present, text)} from what would be written now; --dry-run shows the new file, --force replaces it`
}

// By its key alone: what somebody wrote there may be secret.
function firstDifference(present: string, text: string): string {
  const [old, next] = [present.split("\n"), text.split("\n")]
  const line = old.findIndex((one, i) => one !== next[i])
  const at = line < 0 ? old.length : line
  const [, key] = /^([\w.-]+) *=/.exec(old[at] || next[at] || "") ?? []
  return `line ${at + 1}${key ? ` (${key})` : ""}`
}

function sumOf(text: string): string {
  return createHash("sha256").update(text).digest("hex")
}

async function place({ path, text }: InstalledFile): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const temporary = `${path}.new`
  await writeFile(temporary, text, { mode: 0o644 })
  await rename(temporary, path)
}

function asAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code === "ENOENT") return undefined
  throw error
}
