// A sink of the user's own, from the file that an option names: checked for who could have written it, imported by the
// runtime that we run in, called with the host, and looked over before anything of it is used.
import { stat } from "node:fs/promises"
import { isAbsolute } from "node:path"
import { pathToFileURL } from "node:url"
import * as v from "valibot"
import { ConfigError } from "../../src/errors.ts"
import type { SinkDeps, SinkKind } from "../../src/sink.ts"
import { findTrusted } from "../_trust.ts"
import { host, type Module } from "./host.ts"

/** The kind of sink that a file defines. Throws a ConfigError. */
export async function loadModule(path: unknown, { uid }: Pick<SinkDeps, "uid">): Promise<SinkKind> {
  if (path === undefined) throw wrong("is required")
  if (typeof path !== "string" || !isAbsolute(path) || !/\.[mc]?[jt]s$/.test(path))
    throw wrong("must be the full path of a .ts or .js file, such as /etc/ecrelay/sinks/vault.ts")
  const file = await findFile(path, uid)
  const loaded: unknown = await import(pathToFileURL(file).href).catch((cause: unknown) => {
    throw wrong(`${path}: cannot be loaded: ${wordsOf(cause)}`)
  })
  const make = (loaded as { readonly default?: unknown }).default
  if (typeof make !== "function")
    throw wrong(`${path}: has no default export that is a function, ({ v, defineSink }) => defineSink({ … })`)
  return kindFrom(make as Module, path)
}

async function findFile(path: string, uid: number | undefined): Promise<string> {
  try {
    // Where the system has no owners, there is nothing to look at.
    const found = uid === undefined ? { file: path } : await findTrusted(path, uid)
    if ("fault" in found)
      throw wrong(`${path}: is not loaded, since ${found.part} ${found.fault}; ${found.hint}`)
    if ((await stat(found.file)).isFile()) return found.file
    throw wrong(`${path}: is not a file`)
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw wrong(`${path}: ${systemWords(error)}`)
  }
}

const KIND = v.looseObject({
  type: v.pipe(v.string(), v.regex(/^[a-z][\w-]*$/)),
  summary: v.string(),
  permissions: v.array(v.string()),
  options: v.looseObject({ type: v.literal("strict_object"), entries: v.record(v.string(), v.unknown()) }),
  create: v.function(),
})

function kindFrom(make: Module, path: string): SinkKind {
  let kind: unknown
  try {
    kind = make(host)
  } catch (cause) {
    throw wrong(`${path}: its function fails: ${wordsOf(cause)}`)
  }
  const { issues: [issue] = [], success } = v.safeParse(KIND, kind)
  if (!success)
    throw wrong(
      `${path}: its function does not return a sink: ${(issue && v.getDotPath(issue)) ?? "it"} does not match \`ecrelay sinks module --types\``,
    )
  const found = kind as SinkKind
  if (Object.hasOwn(found.options.entries, "path"))
    throw wrong(`${path}: path is the option that names the file; the module's own option needs another name`)
  return found
}

const wrong = (message: string) => new ConfigError([{ path: "path", message }])

function systemWords(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : ""
  if (code === "ENOENT" || code === "ENOTDIR") return "there is no such file"
  if (code === "EACCES" || code === "EPERM")
    return "this user may not read it; let this user enter each folder above it"
  if (code) return `the file system answers ${code}`
  throw error
}

// What keeps a file from being loaded is in the user's own code, and the runtime knows best how to say it.
function wordsOf(cause: unknown): string {
  const [first = cause] = cause instanceof AggregateError ? cause.errors : []
  const { message = String(first), code } = first as { readonly message?: string; readonly code?: string }
  const line = message.split("\n")[0]?.trim().slice(0, 300) ?? ""
  if (code !== "ERR_MODULE_NOT_FOUND") return line
  return `${line}; packages are looked for in node_modules beside the file, and what ecrelay provides is passed as the function's argument`
}
