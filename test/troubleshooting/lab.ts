// Where a fault is made for the README's troubleshooting table: a person with a home, the binary, and AWS's stand-in.
// A case runs the product into the fault and gives back what it said; nothing is looked up in the sources.
import { mkdir, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { type StandIn, startAws } from "../../scripts/aws.ts"
import { binary, OFFLINE, standInEnvironment, temporaryFolder } from "../support/binary.ts"

export const HOST = "012345678901.dkr.ecr.eu-west-1.amazonaws.com"

/** A row of the table: its literal text, the fault that makes the program say it, and how to make that. */
export type Case = {
  readonly text: string
  /** What is wrong, for the name of the test. */
  readonly fault: string
  /** Why this machine cannot make the fault; undefined where it can. */
  readonly lack?: string | undefined
  /** Runs the program into the fault; returns what it said on both streams. */
  make(lab: Lab): Promise<string>
}

/** Somebody at a terminal. */
type Person = {
  readonly home: string
  readonly env: Readonly<Record<string, string>>
  /** Writes a file below the home; returns its path. */
  write(path: string, text: string, mode?: number): Promise<string>
  /** Runs the binary to its end; what it said on both streams. `wrapper` is what it is started by. */
  ecrelay(argv: readonly string[], wrapper?: readonly string[]): Promise<string>
  /** Starts the binary, to be ended by the case. */
  start(argv: readonly string[]): Promise<Running>
}

/** A program that runs. */
type Running = {
  /** Resolves once it has said this; rejects with all that it said where it ends before. */
  until(pattern: RegExp): Promise<string>
  kill(signal: NodeJS.Signals): void
}

export type Lab = AsyncDisposable & {
  readonly aws: StandIn
  /** Somebody whom AWS lets in, with these variables more. */
  person(more?: Readonly<Record<string, string>>): Promise<Person>
  /** Ends what has to be ended after the case, whatever comes of it. */
  keep<T extends { stop(): unknown } | AsyncDisposable>(opened: T): T
}

/** A lab of its own for a case. */
export function openLab(): Lab {
  const opened: (() => unknown)[] = []
  const keep: Lab["keep"] = (one) => {
    opened.push("stop" in one ? () => one.stop() : () => one[Symbol.asyncDispose]())
    return one
  }
  const aws = keep(startAws())
  return {
    aws,
    keep,
    async person(more = {}) {
      const home = await temporaryFolder()
      const env = {
        PATH: process.env.PATH ?? "",
        AWS_EC2_METADATA_DISABLED: "true",
        HOME: home,
        ...standInEnvironment(aws.url),
        ...OFFLINE,
        ...more,
      }
      return personOf(home, env, keep)
    },
    async [Symbol.asyncDispose]() {
      for (const end of opened.reverse()) await end()
    },
  }
}

function personOf(home: string, env: Person["env"], keep: Lab["keep"]): Person {
  const spawn = async (argv: readonly string[]) =>
    Bun.spawn([...argv], { env, cwd: home, stdin: "ignore", stdout: "pipe", stderr: "pipe" })
  return {
    home,
    env,
    async write(path, text, mode = 0o600) {
      const file = join(home, path)
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, text, { mode })
      return file
    },
    async ecrelay(argv, wrapper = []) {
      const child = await spawn([...wrapper, await binary(), ...argv])
      const said = [new Response(child.stdout).text(), new Response(child.stderr).text()]
      return (await Promise.all(said)).join("")
    },
    async start(argv) {
      const child = await spawn([await binary(), ...argv])
      keep({ stop: () => child.kill("SIGKILL") })
      return running(child.stderr, (signal) => child.kill(signal))
    },
  }
}

function running(stream: ReadableStream<Uint8Array>, kill: Running["kill"]): Running {
  const reader = stream.getReader()
  const decoder = new TextDecoder()
  let said = ""
  return {
    kill,
    async until(pattern) {
      while (!pattern.test(said)) {
        const { value, done } = await reader.read()
        if (done) throw new Error(`it ended before it said ${pattern}:\n${said}`)
        said += decoder.decode(value, { stream: true })
      }
      return said
    },
  }
}
