// References to secrets: `env:NAME`, `file:PATH`, `credential:NAME`, so that no secret needs to stand in argv or in a
// config file. They are resolved anew every time: a rotated secret needs no restart.
import { readFile } from "node:fs/promises"
import { Secret } from "./credential.ts"
import type { Environment } from "./environment.ts"

/** Whether a text refers to a secret instead of being one. */
export function isReference(text: string): boolean {
  return /^(env|file|credential):/.test(text)
}

/** The names that references of a kind among these texts have, each once. */
export function namesBehind(kind: "env" | "credential", texts: readonly string[]): readonly string[] {
  const references = texts.filter((text) => text.startsWith(`${kind}:`))
  return [...new Set(references.map((text) => text.slice(kind.length + 1)).filter(Boolean))]
}

/**
 * The secret that a text refers to, or the text itself. A trailing line break of a file is not part of it. Rejects with
 * an Error that says in words what is missing; its message never holds a secret.
 */
export async function loadSecret(text: string, env: Environment): Promise<Secret> {
  const [, kind, name] = /^(env|file|credential):(.*)$/s.exec(text) ?? []
  if (kind === undefined || name === undefined) return new Secret(text)
  if (kind !== "credential" && !name)
    throw new Error(`${text} names no ${kind === "env" ? "variable" : "file"}`)
  if (kind === "env") {
    if (env[name]) return new Secret(env[name])
    throw new Error(`the variable ${name} is not set`)
  }
  if (kind === "file") return readSecret(name)
  if (!env.CREDENTIALS_DIRECTORY)
    throw new Error(`credential:${name} needs systemd's LoadCredential=, and there is none`)
  if (!/^[^/]+$/.test(name) || name === "." || name === "..")
    throw new Error("a credential's name is the name of a file, without a slash")
  return readSecret(`${env.CREDENTIALS_DIRECTORY}/${name}`)
}

async function readSecret(path: string): Promise<Secret> {
  const text = await readFile(path, "utf8").catch((cause) => {
    throw new Error(`${path} cannot be read (${cause.code})`, { cause })
  })
  const secret = text.replace(/\r?\n$/, "")
  if (!secret) throw new Error(`${path} is empty`)
  return new Secret(secret)
}
