// One question to a command: it is run with the document, and what it answers is understood or refused.
import type { Credential } from "../../src/credential.ts"
import type { DeliveryError } from "../../src/errors.ts"
import type { SinkDeps, Target } from "../../src/sink.ts"
import { createRedaction } from "../_redaction.ts"
import { targetError } from "../_target-error.ts"
import { answerFailure, endFailure, startFailure } from "./failure.ts"
import { type Action, type Answer, parseAnswer } from "./protocol.ts"
import { type Command, runCommand } from "./run.ts"

/** A command as it is configured. */
export type Exec = {
  /** The command line, for people. */
  readonly place: string
  readonly command: Command
  /** The actions that it answers on standard output. */
  readonly answers: readonly Action[]
  readonly clock: SinkDeps["clock"]
  /** Whoever it runs as, undefined where the platform has no users. */
  readonly uid: number | undefined
}

/** What came of a question. */
type Reply<Name extends Action> = {
  /** Undefined where none was expected. */
  readonly answer: Answer<Name> | undefined
  /** Why the command did not end well, although it may have answered. */
  readonly failure: DeliveryError | undefined
  /** Makes a text of the command fit to be shown. */
  readonly show: (text: string) => string
}

/**
 * Asks a command. `credentials` are those that it knows, from this request or an earlier one, and that are never shown. Rejects
 * with a DeliveryError where it could not be started or gave no answer, and with the signal's reason.
 */
export async function ask<Name extends Action>(
  action: Name,
  request: string,
  credentials: readonly Credential[],
  { place, command, answers, clock }: Exec,
  signal: AbortSignal,
): Promise<Reply<Name>> {
  const wantsAnswer = answers.includes(action)
  const ended = await runCommand(command, request, wantsAnswer, clock, signal).catch((cause: unknown) => {
    signal.throwIfAborted()
    throw startFailure(cause, place)
  })
  const show = createRedaction(credentials)
  const failure = endFailure(ended, action, show, place, command.timeoutMs)
  if (!wantsAnswer) return { answer: undefined, failure, show }
  const answer = parseAnswer(action, ended.stdout)
  if (typeof answer === "string") throw failure ?? answerFailure(place, action, show(answer))
  return { answer, failure, show }
}

/** The DeliveryError that a command's own words make. */
export function answeredError(
  { name: target }: Target,
  answered: {
    readonly message: string
    readonly hint?: string | undefined
    readonly retryable?: boolean | undefined
  },
  show: (text: string) => string,
): DeliveryError {
  return targetError("exec", target, {
    code: "command-answered",
    says: show(answered.message) || "the command gave no reason",
    hint: (answered.hint && show(answered.hint)) || "see the command itself: it reports this",
    retryable: answered.retryable ?? false,
  })
}
