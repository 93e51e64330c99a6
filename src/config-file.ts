// The config file: where it is looked for, and its TOML as plain tables. What they mean is said in `config.ts`.
import { statSync } from "node:fs"
import { readFile } from "node:fs/promises"
import type { Environment } from "./environment.ts"
import { ConfigError } from "./errors.ts"

/** A config file that was read: its path, for messages, and its tables. */
export type ConfigFile = { readonly path: string; readonly tables: Readonly<Record<string, unknown>> }

/**
 * The config file: the one named, else the user's, else the machine's, else none; never one in the current directory. A
 * home that is another user's to look into, as after `sudo -u` or in a preview of root's unit, is passed over with a warning.
 * Throws a ConfigError, or the reason of `stop`: what is named may be a pipe that nobody writes into.
 */
export async function loadConfigFile(
  named: string | undefined,
  env: Environment,
  stop?: AbortSignal,
  warn: (text: string) => void = () => undefined,
): Promise<ConfigFile | undefined> {
  const folder = env.XDG_CONFIG_HOME || (env.HOME ? `${env.HOME}/.config` : undefined)
  const own = folder && `${folder}/ecrelay/config.toml`
  for (const path of named ? [named] : [...(own ? [own] : []), "/etc/ecrelay/config.toml"]) {
    const found = named ? "there" : lookFor(path)
    if (found === "missing") continue
    if (found === "hidden" && path === own) {
      warn(`${path} is skipped: this user may not see whether it exists`)
      continue
    }
    const text = await unlessStopped(readFile(path, "utf8"), stop).catch((error) => {
      if (stop?.aborted) throw error
      if (!named && (error.code === "ENOENT" || error.code === "ENOTDIR")) return undefined
      const why =
        error.code === "ENOENT" ? "there is no such file" : `cannot be read (${error.code ?? error.name})`
      throw new ConfigError([{ path, message: why }])
    })
    if (text !== undefined) return { path, tables: await parseToml(path, text) }
  }
  return undefined
}

/** Whether nothing is there. What may not be looked at counts as there. */
export function isMissing(path: string): boolean {
  return lookFor(path) === "missing"
}

// Synchronous, since mostly there is no config file, and to ask another thread would take a fiftieth of a run.
function lookFor(path: string): "there" | "missing" | "hidden" {
  try {
    return statSync(path, { throwIfNoEntry: false }) ? "there" : "missing"
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EACCES" ? "hidden" : "there"
  }
}

function unlessStopped<T>(reading: Promise<T>, stop: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    if (stop?.aborted) reject(stop.reason)
    const giveUp = () => reject(stop?.reason)
    stop?.addEventListener("abort", giveUp, { once: true })
    reading.then(resolve, reject).finally(() => stop?.removeEventListener("abort", giveUp))
  })
}

async function parseToml(path: string, text: string): Promise<ConfigFile["tables"]> {
  const { parse, TomlError } = await import("smol-toml")
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    // Its own message quotes the file's lines, which may hold a secret.
    throw new ConfigError([
      {
        path,
        message: `not valid TOML at line ${error.line}, column ${error.column}; put text in quotes, as in interval = "6h"`,
      },
    ])
  }
}
