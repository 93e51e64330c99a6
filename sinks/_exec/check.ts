// Whether a delivery would be let in: whether the program can be run, whether others could change it, and what it says
// itself where it answers `check`.
import { constants } from "node:fs"
import { access, stat } from "node:fs/promises"
import type { Finding, Target } from "../../src/sink.ts"
import { systemError } from "../_file-errors.ts"
import { findingsOf } from "../_target-error.ts"
import { findTrusted } from "../_trust.ts"
import { ask, type Exec } from "./ask.ts"
import { startFailure, unfoundFailure } from "./failure.ts"
import { firstLineFault } from "./first-line.ts"
import { targetsRequest } from "./protocol.ts"

/** Looks at the program, and asks it where it answers. */
export async function check(
  targets: readonly Target[],
  exec: Exec,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  signal.throwIfAborted()
  const subject = exec.place
  return findingsOf(async () => {
    await requireExecutable(exec)
    const runnable: readonly Finding[] = [
      { level: "ok", subject, message: "can be run" },
      ...(await untrustedProgram(exec)),
    ]
    const answered = exec.answers.includes("check") ? await askCheck(targets, exec, signal) : []
    return [...runnable, ...answered]
  }, subject)
}

/** What the command itself finds. Rejects with a DeliveryError where it ended badly and found no error to explain it. */
async function askCheck(
  targets: readonly Target[],
  exec: Exec,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const { answer, failure, show } = await ask("check", targetsRequest("check", targets), [], exec, signal)
  const names = new Map(targets.map(({ slot, name }) => [slot, name]))
  const findings = (answer?.findings ?? []).map(
    ({ level, message, host = "", fix }): Finding => ({
      level,
      subject: names.get(host) ?? exec.place,
      ...(level === "ok" ? {} : { code: "command-found" }),
      message: show(message),
      ...(fix ? { fix: show(fix) } : {}),
    }),
  )
  if (failure && !findings.some(({ level }) => level === "error")) throw failure
  return findings
}

async function requireExecutable({
  command: {
    words: [file = ""],
    env,
  },
  place,
  uid,
}: Exec): Promise<void> {
  try {
    await access(file, constants.X_OK)
    if (!(await stat(file)).isFile()) throw systemError("EACCES")
    // Windows goes by the name.
    const fault = uid === undefined ? undefined : await firstLineFault(file, env)
    if (fault && "unfound" in fault) throw unfoundFailure(fault.unfound, place)
    if (fault) throw systemError(fault.code)
  } catch (cause) {
    throw startFailure(cause, place)
  }
}

// Whoever can change the program gets every login, and whatever else this user may do.
async function untrustedProgram({ command, place, uid }: Exec): Promise<readonly Finding[]> {
  const {
    words: [file = ""],
  } = command
  const found = uid === undefined ? { file } : await findTrusted(file, uid)
  if (!("fault" in found)) return []
  const { part, fault, hint } = found
  return [{ level: "warning", code: "untrusted", subject: place, message: `${part} ${fault}`, fix: hint }]
}
