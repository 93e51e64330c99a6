// What went wrong with a command, in words: it could not be started, did not end well or in time, or answered something
// else than it should. What it said on standard error comes along, made fit to be shown.
import type { DeliveryError } from "../../src/errors.ts"
import { systemError } from "../_file-errors.ts"
import { targetError, type Words } from "../_target-error.ts"
import type { Action } from "./protocol.ts"
import type { Ended } from "./run.ts"

/** sysexits.h: a temporary failure, try again. */
const EX_TEMPFAIL = 75

const NOT_STARTED: Readonly<Record<string, Words>> = {
  ENOENT: {
    code: "command-missing",
    says: "there is no such program, or its first line #! names one that is not there",
    hint: "correct command=, which begins with the full path of a program",
  },
  EACCES: {
    code: "command-not-executable",
    says: "this user may not execute it",
    hint: "`chmod +x` it, and let this user enter each folder above it",
  },
  ENOEXEC: {
    code: "command-not-executable",
    says: "is neither a program of this machine nor a script that begins with #!",
    hint: "let its first line name the interpreter, such as #!/bin/sh",
  },
}

/** The DeliveryError of the whole command, or of one target of it. */
function execError(target: string, words: Words, cause?: unknown): DeliveryError {
  return targetError("exec", target, words, cause)
}

/** Its first line has the system, or `env`, look in vain for a program of this name. */
export function unfoundFailure(name: string, place: string): DeliveryError {
  const words = name.endsWith("\r")
    ? {
        says: "its first line #! ends with a carriage return, as lines on Windows do, and it counts as part of the name",
        hint: "give the script Unix line endings with `dos2unix`",
      }
    : /[ \t]/.test(name)
      ? {
          says: `its first line #! has env look for '${name}', spaces included, which is in no folder of its PATH`,
          hint: "let env split the line: #!/usr/bin/env -S followed by the rest",
        }
      : {
          says: `its first line #! has env look for ${name}, which is in no folder of its PATH`,
          hint: "let the first line give the full path, or set PATH for ecrelay",
        }
  return execError(place, { code: "command-missing", ...words })
}

/** It could not be started; anything but a system error, a bug above all, stays as it is. */
export function startFailure(cause: unknown, place: string): unknown {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  if (typeof code !== "string" || !/^E[A-Z0-9]+$/.test(code)) return cause
  const words = NOT_STARTED[code] ?? {
    code: "command-not-started",
    says: `the system did not start it, or did not pass it all of the logins (${code})`,
    hint: "run it by hand as the same user to see what the system says",
  }
  // Not the cause itself: its text would say nothing more, and may quote the arguments.
  return execError(place, words, systemError(code))
}

/** Why a command did not do what it was asked to; undefined where it ended well. `show` makes what it said fit to be shown. */
export function endFailure(
  { how, stderr }: Ended,
  action: Action,
  show: (text: string) => string,
  place: string,
  timeoutMs: number,
): DeliveryError | undefined {
  if (how.by === "exit" && how.code === 0) return undefined
  const said = show(stderr)
  const toldUs = said && `: ${said}`
  const byHand = `run it by hand with a document for action ${action} on standard input, as in \`ecrelay sinks exec --schema\``
  if (how.by === "exit")
    return execError(place, {
      code: "command-failed",
      says: `exit code ${how.code}${toldUs}`,
      hint: said
        ? `fix what it complains about, or ${byHand}`
        : `it said nothing on standard error; ${byHand}`,
      retryable: how.code === EX_TEMPFAIL,
    })
  if (how.by === "signal")
    return execError(place, {
      code: "command-killed",
      says: `was ended by ${how.name}${toldUs}`,
      hint: "find out what ended it: too little memory, an administrator, or itself",
      retryable: true,
    })
  if (how.by === "timeout")
    return execError(place, {
      code: "timeout",
      says: `not done within ${timeoutMs / 1000} s, and ended with all that it had started${toldUs}`,
      hint: "see what it waits for, or give it more time with timeout=",
      retryable: true,
    })
  return execError(place, {
    code: "answer-too-long",
    says: "wrote more on standard output than any answer needs",
    hint: "let it write only its answer there",
  })
}

/** What it answered is no answer; `fault` says so in words. */
export function answerFailure(place: string, action: Action, fault: string): DeliveryError {
  return execError(place, {
    code: "answer-invalid",
    says: `answered ${fault}`,
    hint: `\`ecrelay sinks exec --schema\` shows what to answer to ${action}; leave ${action} out of answers= if it does not answer`,
  })
}
