#!/usr/bin/env bun
// The process: argv, environment, streams, signals and exit codes. The only file that knows them.
import { fstatSync, writeSync } from "node:fs"
import process from "node:process"
import { sinkKinds } from "../sinks/index.ts"
import { parseArguments } from "./cli.ts"
import { systemClock } from "./clock.ts"
import { ConfigError } from "./errors.ts"
import type { World } from "./session.ts"
import { VERSION } from "./version.ts"

const COMMANDS = {
  refresh: async () => (await import("./commands/refresh.ts")).refresh,
  run: async () => (await import("./commands/run.ts")).run,
  status: async () => (await import("./commands/status.ts")).status,
  config: async () => (await import("./commands/config.ts")).config,
} as const

async function main(argv: readonly string[]): Promise<number> {
  const invocation = parseArguments(argv, VERSION)
  if (invocation.command === "version") write(STDOUT, `ecrelay ${VERSION}\n`)
  if (!("given" in invocation)) return invocation.command === "nothing" ? 2 : 0
  const { command, given, args } = invocation
  if (command === "sinks")
    return (await import("./commands/sinks.ts")).sinks(given, args, await createWorld())
  return (await COMMANDS[command]())(given, await createWorld())
}

async function createWorld(): Promise<World> {
  const { env } = process
  return {
    env,
    clock: systemClock,
    random: Math.random,
    fetch,
    kinds: sinkKinds,
    home: env.HOME || (await homeOfUser()),
    uid: process.geteuid?.(),
    colour: isTerminal(STDOUT) && !env.NO_COLOR && env.TERM !== "dumb",
    print: (text) => write(STDOUT, text),
    printError: (text) => write(STDERR, text),
    stop: stopSignal(),
  }
}

// `process.stdout` would load the whole of node:stream, a sixth of a run, and loses what is unsent at the exit.
const STDOUT = 1
const STDERR = 2

function write(descriptor: number, text: string): void {
  const bytes = Buffer.from(text)
  for (let sent = 0; sent < bytes.length; ) {
    try {
      sent += writeSync(descriptor, bytes, sent)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // A full pipe that does not block: its reader is slow.
      if (code === "EAGAIN") continue
      // Nobody reads any more, as in `ecrelay status | head -1`.
      if (code === "EPIPE") return
      throw error
    }
  }
}

function isTerminal(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isCharacterDevice()
  } catch {
    return false
  }
}

// Where the user database knows no home either, there is none.
async function homeOfUser(): Promise<string | undefined> {
  const { homedir } = await import("node:os")
  try {
    return homedir() || undefined
  } catch {
    return undefined
  }
}

// The first SIGTERM or Ctrl-C lets a write finish; the second one does not wait.
function stopSignal(): AbortSignal {
  const stop = new AbortController()
  for (const name of ["SIGTERM", "SIGINT"] as const)
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(name === "SIGTERM" ? 143 : 130)
      stop.abort(new Error(`stopped by ${name}`))
    })
  return stop.signal
}

function explain(error: unknown): number {
  if (error instanceof ConfigError) {
    for (const { path, message } of error.issues)
      write(STDERR, `ecrelay: ${path ? `${path}: ` : ""}${message}\n`)
    return 2
  }
  write(STDERR, `ecrelay: unexpected: ${error instanceof Error ? error.stack : error}\n`)
  write(STDERR, "hint: this is a fault in ecrelay; please report it with these lines\n")
  return 1
}

process.exitCode = await main(process.argv.slice(2)).catch(explain)
// Timers and sockets that are still open have nothing left to say.
process.exit()
