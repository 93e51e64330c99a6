// Runs the commands that Airflow's `_CMD` options name: without a shell, outside the current directory, for a short
// while and with little output. Nothing that a command wrote, nor the command itself, reaches a text: either may be secret.
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { Secret } from "../../src/credential.ts"
import { splitWords } from "../_words.ts"
import { AirflowError } from "./error.ts"

const TIME_LIMIT_MS = 20_000
const OUTPUT_LIMIT_BYTES = 65_536

/** A command and where it is configured. */
export type Command = {
  readonly text: string
  /** For messages: `AIRFLOW__CORE__FERNET_KEY_CMD`. */
  readonly from: string
}

type Surroundings = {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
  readonly timeLimitMs?: number
}

/** What a command prints, without white space around it; AirflowError `airflow-config-command`. */
export async function runCommand(command: Command, surroundings: Surroundings): Promise<Secret> {
  const { env, signal, timeLimitMs = TIME_LIMIT_MS } = surroundings
  const [file, ...args] = splitCommand(command)
  const options = {
    env: { ...env },
    // A relative path would otherwise run what lies in whatever directory we were started in.
    cwd: "/",
    timeout: timeLimitMs,
    killSignal: "SIGKILL",
    maxBuffer: OUTPUT_LIMIT_BYTES,
    signal,
  } as const
  const { stdout } = await promisify(execFile)(file, args, options).catch((error: unknown) => {
    signal.throwIfAborted()
    throw failure(command, error, timeLimitMs)
  })
  const output = stdout.trim()
  if (output === "") throw refuse(command, "the command printed nothing")
  return new Secret(output)
}

// A new error, because Node's holds the command line and what the command wrote.
function failure(command: Command, error: unknown, timeLimitMs: number): AirflowError {
  const { code, killed, signal } = error as { code?: string | number; killed?: boolean; signal?: string }
  if (code === "ERR_CHILD_PROCESS_STDIO_MAXBUFFER") return refuse(command, "the command printed too much")
  if (killed)
    return refuse(command, `the command did not end within ${timeLimitMs / 1000} s`, { code: "ETIMEDOUT" })
  if (typeof code === "number") return refuse(command, `the command failed with exit code ${code}`)
  if (typeof code === "string") return refuse(command, `the command cannot be run (${code})`, { code })
  return refuse(command, `the command was ended by ${signal ?? "a signal"}`)
}

function refuse({ from }: Command, problem: string, cause?: { readonly code: string }): AirflowError {
  return new AirflowError(`${from}: ${problem}`, {
    code: "airflow-config-command",
    hint: "run it by hand as ecrelay's user to see what it says; it is run without a shell, from /, so give full paths",
    ...(cause && { cause: Object.assign(new Error(problem), cause) }),
  })
}

/** The words of a command; AirflowError `airflow-config-command`. */
export function splitCommand(command: Command): readonly [string, ...string[]] {
  const words = splitWords(command.text)
  if (!words) throw refuse(command, "the command has an unclosed quote")
  const [file, ...args] = words
  if (!file) throw refuse(command, "the command is empty")
  return [file, ...args]
}
