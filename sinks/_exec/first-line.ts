// What the system looks at to start a program: its first bytes, and where they name an interpreter, whether that is there.
import { constants } from "node:fs"
import { access, open, stat } from "node:fs/promises"
import { platform } from "node:os"
import { basename, resolve } from "node:path"

/** Why the system would not start the program: one of its error codes, or the name that it would look for in vain. */
export type FirstLineFault = { readonly code: "ENOENT" | "EACCES" | "ENOEXEC" } | { readonly unfound: string }

// Linux reads no more of it.
const LOOKED_AT_BYTES = 256

/** What is wrong with the first line of an executable file; undefined where nothing is, or where it cannot be read. */
export async function firstLineFault(
  file: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<FirstLineFault | undefined> {
  const bytes = await firstBytes(file)
  if (!bytes) return undefined
  const [, line] = /^#!([^\n]*)/.exec(bytes.toString("utf8")) ?? []
  // A file with a zero byte is a program of some machine; a text needs an interpreter.
  if (line === undefined) return bytes.includes(0) ? undefined : { code: "ENOEXEC" }
  const [, interpreter = "", argument = ""] = /^[ \t]*([^ \t]*)[ \t]*(.*?)[ \t]*$/s.exec(line) ?? []
  if (!interpreter) return { code: "ENOEXEC" }
  const code = await accessFault(interpreter)
  if (code) return interpreter.endsWith("\r") ? { unfound: interpreter } : { code }
  const name = basename(interpreter) === "env" ? programOf(argument) : undefined
  return name === undefined || (await isOnPath(name, env.PATH ?? "")) ? undefined : { unfound: name }
}

// The name that env looks for, undefined where its flags, its quotes or a PATH of its own make it more than a name.
function programOf(argument: string): string | undefined {
  const [, split] = /^-v?S\s*(.*)$/s.exec(argument) ?? []
  if (split === undefined && /^-|=|^$/.test(argument)) return undefined
  // Linux hands over all that follows as one word.
  if (split === undefined && platform() === "linux") return argument
  const line = split ?? argument
  const name = line.split(/\s+/).find((word) => !/^(?!PATH=)\w+=/.test(word))
  return !name || /["'\\$#]/.test(line) || /^-|=/.test(name) ? undefined : name
}

async function isOnPath(name: string, path: string): Promise<boolean> {
  const files = name.includes("/") ? [name] : path.split(":").map((folder) => `${folder || "."}/${name}`)
  const faults = await Promise.all(files.map(accessFault))
  return faults.includes(undefined)
}

// A relative path means one from /, where the command runs.
async function accessFault(path: string): Promise<"ENOENT" | "EACCES" | undefined> {
  const file = resolve("/", path)
  try {
    await access(file, constants.X_OK)
    return (await stat(file)).isFile() ? undefined : "EACCES"
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EACCES" ? "EACCES" : "ENOENT"
  }
}

// A program that may be executed need not be one that may be read.
async function firstBytes(path: string): Promise<Buffer | undefined> {
  const file = await open(path).catch(() => undefined)
  try {
    const { buffer, bytesRead } =
      (await file?.read(Buffer.alloc(LOOKED_AT_BYTES), 0, LOOKED_AT_BYTES, 0)) ?? {}
    return buffer?.subarray(0, bytesRead)
  } finally {
    await file?.close()
  }
}
