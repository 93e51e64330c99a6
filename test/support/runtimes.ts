// The three ways in which ecrelay runs: as the binary, and from source under Bun and under Deno.
import { join } from "node:path"
import { binary, type Transcript, temporaryFolder } from "./binary.ts"

const ROOT = join(import.meta.dir, "../..")
const MAIN = join(ROOT, "src/main.ts")
const DENO = [join(ROOT, "node_modules/.bin/deno"), "run", "--quiet", "--no-prompt", "--allow-all"]

/** How to start each, by what it is called in a test's name. */
export const RUNTIMES: readonly (readonly [string, () => Promise<readonly string[]>])[] = [
  ["the binary", async () => [await binary()]],
  ["Bun from source", async () => [process.execPath, MAIN]],
  ["Deno from source", async () => [...DENO, MAIN]],
]

/** Runs it to its end with this environment and what a runtime itself needs. */
export async function runUnder(
  command: () => Promise<readonly string[]>,
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Transcript> {
  const child = Bun.spawn([...(await command()), ...argv], {
    env: { AWS_EC2_METADATA_DISABLED: "true", PATH: process.env.PATH, ...env },
    cwd: await temporaryFolder(),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  })
  const [out, error] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  return { out, error, code: await child.exited }
}
