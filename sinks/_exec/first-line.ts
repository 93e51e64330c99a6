// What the system looks at to start a program: its first bytes, and where they name an interpreter, whether that is there.
import { constants } from "node:fs"
import { access, open } from "node:fs/promises"
import { basename, isAbsolute, join } from "node:path"

/** Why the system would not start the program: one of its error codes, or the name that `env` would not find. */
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
  const [, line] = /^#!([^\n]*)/.exec(bytes.toString("latin1")) ?? []
  // Whatever holds a zero is a program of some machine; a text needs somebody to read it.
  if (line === undefined) return bytes.includes(0) ? undefined : { code: "ENOEXEC" }
  const [interpreter = "", ...args] = line.trim().split(/[ \t]+/)
  if (!interpreter) return { code: "ENOEXEC" }
  const code = await accessFault(interpreter)
  if (code) return { code }
  const name = basename(interpreter) === "env" ? programOf(args) : undefined
  return name === undefined || (await isOnPath(name, env.PATH ?? "")) ? undefined : { unfound: name }
}

// env takes flags and variables before the program's name.
function programOf(args: readonly string[]): string | undefined {
  return args.find((arg) => !arg.startsWith("-") && !arg.includes("="))
}

async function isOnPath(name: string, path: string): Promise<boolean> {
  const files = name.includes("/") ? [name] : path.split(":").map((folder) => join(folder, name))
  const faults = await Promise.all(files.filter((one) => isAbsolute(one)).map(accessFault))
  return faults.includes(undefined)
}

async function accessFault(file: string): Promise<"ENOENT" | "EACCES" | undefined> {
  return access(file, constants.X_OK).then(
    () => undefined,
    ({ code }) => (code === "EACCES" ? "EACCES" : "ENOENT"),
  )
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
