// Runs a command: an argument list without a shell, what it is told on standard input, what it says bounded. However it
// ends, by itself or by us, its whole process group is ended with it, also where this process is made to end at once.
import { type ChildProcess, spawn } from "node:child_process"
import process from "node:process"
import type { SinkDeps } from "../../src/sink.ts"

type Clock = Pick<SinkDeps["clock"], "sleep">

/** What to run, and within which bounds. */
export type Command = {
  /** The program by its full path, and its arguments. */
  readonly words: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly timeoutMs: number
}

/** How a command ended. `stdout` is empty where it was not wanted; `stderr` is the end of what it said there. */
export type Ended = { readonly how: Ending; readonly stdout: string; readonly stderr: string }

/** What ended a command: itself, a signal, or one of our bounds. */
type Ending =
  | { readonly by: "exit"; readonly code: number }
  | { readonly by: "signal"; readonly name: string }
  | { readonly by: "timeout" }
  | { readonly by: "overflow" }

const STDOUT_LIMIT_CHARACTERS = 8 * 2 ** 20
const STDERR_TAIL_CHARACTERS = 8192
// How long a command may tidy up once it is asked to end, and how long we wait for a pipe that somebody still holds.
const GRACE_MS = 1000
const PIPES_MS = 500

// The leaders of the groups that run now.
const running = new Set<number>()

/** Runs it to its end. Rejects with the system's error where it cannot be started, else with the signal's reason. */
export async function runCommand(
  command: Command,
  input: string,
  wantsOutput: boolean,
  clock: Clock,
  signal: AbortSignal,
): Promise<Ended> {
  signal.throwIfAborted()
  // What keeps a program from starting is partly thrown here, and partly comes as an event.
  const child = start(command, wantsOutput)
  const over = new AbortController()
  const said = listen(child)
  const exited = endOf(child)
  const closed = new Promise<void>((resolve) => void child.once("close", () => resolve()))
  const limit = clock
    .sleep(command.timeoutMs, AbortSignal.any([signal, over.signal]))
    .then(() => ({ by: "timeout" }) as const)
  const untold = tell(child, input)
  const how = await Promise.race([exited, untold, said.overflow, limit]).finally(async () => {
    over.abort()
    await endAll(child, exited, closed, clock)
  })
  return { how, ...said.texts() }
}

function start({ words: [file = "", ...args], env }: Command, wantsOutput: boolean): ChildProcess {
  const child = spawn(file, args, {
    env,
    // A relative path among the arguments would otherwise mean whatever directory we were started in.
    cwd: "/",
    // A process group of its own, which can be ended as a whole.
    detached: true,
    stdio: ["pipe", wantsOutput ? "pipe" : "ignore", "pipe"],
  })
  if (child.pid !== undefined) {
    if (running.size === 0) process.on("exit", endAllAtOnce)
    running.add(child.pid)
  }
  return child
}

/** Rejects with the system's error where that kept something from the command: it may end well all the same. */
function tell({ stdin }: ChildProcess, input: string): Promise<never> {
  return new Promise((_, reject) => {
    stdin?.on("error", (error: NodeJS.ErrnoException) => {
      // What a command does not care to read is not its failure; how it ends is.
      if (error.code !== "EPIPE" && error.code !== "ECONNRESET") reject(error)
    })
    stdin?.end(input)
  })
}

function listen({ stdout, stderr }: ChildProcess) {
  const texts = { stdout: "", stderr: "" }
  // What is lost of its words is missed by whoever needs them; without a listener, it would end us.
  for (const pipe of [stdout, stderr]) pipe?.on("error", () => undefined)
  stderr?.setEncoding("utf8").on("data", (text: string) => {
    texts.stderr = (texts.stderr + text).slice(-STDERR_TAIL_CHARACTERS)
  })
  const overflow = new Promise<Ending>((resolve) => {
    stdout?.setEncoding("utf8").on("data", (text: string) => {
      if (texts.stdout.length + text.length > STDOUT_LIMIT_CHARACTERS) resolve({ by: "overflow" })
      else texts.stdout += text
    })
  })
  return { overflow, texts: () => texts }
}

function endOf(child: ChildProcess): Promise<Ending> {
  return new Promise((resolve, reject) => {
    child.once("error", reject)
    child.once("exit", (code, name) =>
      resolve(code === null ? { by: "signal", name: name ?? "a signal" } : { by: "exit", code }),
    )
  })
}

/** Ends what is left of the command: asked first, then forced. */
async function endAll(
  child: ChildProcess,
  exited: Promise<Ending>,
  closed: Promise<void>,
  clock: Clock,
): Promise<void> {
  if (child.pid === undefined) return
  const over = new AbortController()
  const within = (durationMs: number, event: Promise<unknown>) =>
    Promise.race([event, clock.sleep(durationMs, over.signal)]).catch(() => undefined)
  if (isRunning(child)) {
    endGroup(child.pid, "SIGTERM")
    await within(GRACE_MS, exited)
  }
  endGroup(child.pid, "SIGKILL")
  running.delete(child.pid)
  if (running.size === 0) process.off("exit", endAllAtOnce)
  // A process that left the group may hold a pipe open for ever.
  await within(PIPES_MS, closed)
  over.abort()
  for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe?.destroy()
}

function endAllAtOnce(): void {
  for (const leader of running) endGroup(leader, "SIGKILL")
}

const isRunning = ({ exitCode, signalCode }: ChildProcess) => exitCode === null && signalCode === null

function endGroup(leader: number, name: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(-leader, name)
  } catch {
    // Nobody is left in it, which is what we want.
  }
}
