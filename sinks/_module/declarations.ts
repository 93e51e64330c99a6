// The types that a sink of the user's own names: stamped into the binary by `bun run build`, else read beside the example.
import { readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"

declare const ECRELAY_TYPES: string | undefined

/** The text of ecrelay.d.ts. */
export async function loadDeclarations(): Promise<string> {
  if (typeof ECRELAY_TYPES === "string") return ECRELAY_TYPES
  return readFile(fileURLToPath(import.meta.resolve("../../examples/module/ecrelay.d.ts")), "utf8")
}
