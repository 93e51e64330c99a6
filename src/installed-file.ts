// Files that an installation puts in place: all or none, atomically, and nothing over what somebody else changed.
import { mkdir, readFile, rename, writeFile } from "node:fs/promises"
import { dirname } from "node:path"
import { ConfigError } from "./errors.ts"

/** A file as it is to be. The path is absolute. */
export type InstalledFile = { readonly path: string; readonly text: string }

/**
 * Puts files in place and says of each whether it was `wrote`, `replaced` or `kept`. A file that is there and differs
 * is refused before anything is written, unless `force`. Rejects with a ConfigError.
 */
export async function installFiles(
  files: readonly InstalledFile[],
  force: boolean,
): Promise<readonly { readonly path: string; readonly done: string }[]> {
  const present = await Promise.all(files.map(({ path }) => readFile(path, "utf8").catch(asAbsent)))
  const differing = files.filter(({ text }, i) => present[i] !== undefined && present[i] !== text)
  if (differing.length > 0 && !force)
    throw new ConfigError(
      differing.map(({ path }) => ({
        path,
        message: "is not what would be written now; --dry-run shows that, --force replaces the file",
      })),
    )
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
