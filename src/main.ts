#!/usr/bin/env bun
// The process: argv, environment, streams, signals and exit codes. The only file that knows them.
import process from "node:process"
import { sinkKinds } from "../sinks/index.ts"
import { parseArguments } from "./cli.ts"
import { systemClock } from "./clock.ts"
import { codedFetch } from "./coded-fetch.ts"
import { ConfigError, DeliveryError, FetchError } from "./errors.ts"
import type { World } from "./session.ts"
import { VERSION } from "./version.ts"

const COMMANDS = {
  refresh: async () => (await import("./commands/refresh.ts")).refresh,
  run: async () => (await import("./commands/run.ts")).run,
  status: async () => (await import("./commands/status.ts")).status,
  check: async () => (await import("./commands/check.ts")).check,
  wait: async () => (await import("./commands/wait.ts")).wait,
  config: async () => (await import("./commands/config.ts")).config,
} as const

async function main(argv: readonly string[]): Promise<number> {
  const invocation = parseArguments(argv, VERSION)
  if (invocation.command === "version") print(`ecrelay ${VERSION}`)
  if (!("given" in invocation)) return invocation.command === "nothing" ? 2 : 0
  const { command, given, args } = invocation
  if (command === "sinks")
    return (await import("./commands/sinks.ts")).sinks(given, args, await createWorld())
  if (command === "install")
    return (await import("./commands/install.ts")).install(given, args, await createWorld())
  return (await COMMANDS[command]())(given, await createWorld())
}

async function createWorld(): Promise<World> {
  const { env } = process
  const home = env.HOME || (await homeOfUser())
  // The AWS SDK, like most programs, finds the home by this variable, which a system service may lack.
  if (home) env.HOME = home
  return {
    env,
    clock: systemClock,
    random: Math.random,
    fetch: codedFetch(fetch),
    writeOut,
    kinds: sinkKinds,
    loadAirflowConnection: async (...args) =>
      (await import("../sinks/_airflow/connection.ts")).loadAirflowConnection(...args),
    home,
    uid: process.geteuid?.(),
    program: process.execPath,
    colour: !env.NO_COLOR && env.TERM !== "dumb" && isTerminal(),
    print,
    printError,
    stop: stopSignal(),
    onReload: (listener) => void process.on("SIGHUP", listener),
    onRefreshNow: (listener) => void process.on("SIGUSR1", listener),
  }
}

// Not by `process.stdout`, which loads all of node:stream (a sixth of a run) and may lose unsent bytes at the exit; nor by
// the console, which does not report what could not be written.
function print(text: string): void {
  const { writeSync } = loadFs()
  const bytes = new TextEncoder().encode(text.replace(/\n?$/, "\n"))
  for (let at = 0; at < bytes.length && unprinted === undefined; )
    try {
      at += writeSync(1, bytes, at)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // The pipe is full for now.
      if (code === "EAGAIN") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
      else unprinted = code
    }
}

// Loaded when it is needed: at every start it would make --help a tenth slower.
const loadFs = () => process.getBuiltinModule("node:fs")

// The code of the error by which something that was to be printed was lost.
let unprinted: string | undefined

const printError = (text: string) => console.error(text.replace(/\n$/, ""))

// As `print`, but rejects where not all could be written.
async function writeOut(text: string): Promise<void> {
  const { writeSync } = loadFs()
  const bytes = new TextEncoder().encode(text)
  for (let at = 0; at < bytes.length; )
    try {
      at += writeSync(1, bytes, at)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error
      await systemClock.sleep(10)
    }
}

function isTerminal(): boolean {
  try {
    return loadFs().fstatSync(1).isCharacterDevice()
  } catch {
    return false
  }
}

// From the user database; where that has none either, there is none.
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
      stop.abort(new DOMException(`stopped by ${name}`, "AbortError"))
    })
  return stop.signal
}

function explain(error: unknown): number {
  if (error instanceof ConfigError) {
    for (const { path, message } of error.issues)
      printError(`ecrelay: ${path ? `${path}: ` : ""}${message}\n`)
    return 2
  }
  if (error instanceof FetchError || error instanceof DeliveryError) {
    printError(`ecrelay: ${error.message}\n`)
    if (error.hint) printError(`hint: ${error.hint}\n`)
    return 1
  }
  if (error instanceof DOMException && error.name === "AbortError") {
    printError(`ecrelay: ${error.message}\n`)
    return 1
  }
  printError(`ecrelay: unexpected: ${error instanceof Error ? error.stack : error}\n`)
  printError("hint: this is a bug in ecrelay; please report it with these lines\n")
  return 1
}

const code = await main(process.argv.slice(2)).catch(explain)
// EPIPE: a reader that stopped early, such as `head`, has had enough.
const isLost = unprinted !== undefined && unprinted !== "EPIPE"
if (isLost) printError(`ecrelay: standard output: cannot be written in full [${unprinted}]`)
process.exitCode = isLost ? code || 1 : code
// At once, without waiting for timers and sockets that are still open: their work is done.
process.exit()
