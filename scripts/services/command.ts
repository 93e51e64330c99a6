// Runs the programs that provide the services (apt, dpkg-deb, pip, initdb …) and says what they said when they fail.
// A program that the machine does not have is `Unavailable`, never a crash: outside CI the rest runs on without it.
import { spawn } from "node:child_process"
import { writeFile } from "node:fs/promises"

/** The account that servers run as where we are root, since PostgreSQL and PgBouncer refuse to be root. */
export type Account = { readonly uid: number; readonly gid: number }

/** What this machine cannot give: the reason stands in the message, for the person who reads the skip. */
export class Unavailable extends Error {
  override readonly name = "Unavailable"
}

type RunOptions = {
  readonly signal: AbortSignal
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly input?: string
  /** The account to run as, in place of ours. */
  readonly as?: Account | undefined
}

/** Runs a program to its end and returns what it printed; anything but exit code 0 throws with the last lines. */
export function run(command: readonly string[], options: RunOptions): Promise<string> {
  const [program = "", ...args] = command
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: options.env ?? process.env,
      stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      signal: options.signal,
      cwd: "/",
      ...options.as,
    })
    let stdout = ""
    let stderr = ""
    child.stdout?.on("data", (chunk) => {
      stdout += chunk
    })
    child.stderr?.on("data", (chunk) => {
      stderr += chunk
    })
    child.stdin?.on("error", () => {})
    child.stdin?.end(options.input)
    child.on("error", (error: NodeJS.ErrnoException) => {
      reject(error.code === "ENOENT" ? new Unavailable(`${program} is not on this machine`) : error)
    })
    child.on("close", (code, signal) => {
      if (code === 0) return resolve(stdout)
      reject(new Error(`${program} ended with ${code ?? signal}\n${lastLines(stderr + stdout)}`))
    })
  })
}

/** Whether the machine has a program and it does what is asked of it. */
export async function succeeds(command: readonly string[], options: RunOptions): Promise<boolean> {
  return run(command, options).then(
    () => true,
    () => false,
  )
}

/** Tries a download three times; what still fails then is `Unavailable`. */
export async function thrice<T>(what: string, signal: AbortSignal, download: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await download()
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof Unavailable) throw error
      const reason = error instanceof Error ? error.message : String(error)
      if (attempt === 3) throw new Unavailable(`${what} could not be downloaded in three attempts: ${reason}`)
      console.log(`${what}: attempt ${attempt} failed, trying again: ${reason}`)
      await Bun.sleep(attempt * 2000)
    }
  }
}

/** Writes a program that runs a command with what it is given, variables set; returns its path. */
export async function writeLauncher(
  path: string,
  command: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<string> {
  const settings = Object.entries(variables).map(([name, value]) => `export ${name}='${value}'\n`)
  const program = command.map((word) => `'${word}'`).join(" ")
  await writeFile(path, `#!/bin/sh\n${settings.join("")}exec ${program} "$@"\n`, { mode: 0o755 })
  return path
}

/** The end of a log, indented, for an error message. */
export function lastLines(text: string): string {
  return text
    .trimEnd()
    .split("\n")
    .slice(-15)
    .map((line) => `    ${line}`)
    .join("\n")
}
