// Any place at all, by a command of the user's own: a program and its arguments, no shell, which is told the logins as
// one JSON document on standard input and never in its arguments or its environment. Its exit code is the outcome; what
// else it can answer is said by `answers`. sinks/_exec/protocol.ts is what the two tell each other.
import { isAbsolute } from "node:path"
import * as v from "valibot"
import { defineSink, durationOption, type SinkDeps, type Target } from "../src/sink.ts"
import type { Exec } from "./_exec/ask.ts"
import { check } from "./_exec/check.ts"
import { deliver, read } from "./_exec/delivery.ts"
import { ACTIONS } from "./_exec/protocol.ts"
import { joinWords, splitWords } from "./_words.ts"

const TYPE = "exec"

// What a program needs to know of its user and its machine; any other variable has to be named with `env`.
const ENVIRONMENT =
  `PATH HOME USER LOGNAME LANG LC_ALL TZ TMPDIR XDG_RUNTIME_DIR CREDENTIALS_DIRECTORY`.split(" ")
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const wordsOf = (given: string | readonly string[]) => (typeof given === "string" ? splitWords(given) : given)

/** Schema of a list that one text gives too, split at blanks as a shell does. */
const words = v.pipe(
  v.union(
    [v.string(), v.array(v.string())],
    "must be a list of strings, or one string with spaces between the words",
  ),
  v.check((given) => wordsOf(given) !== undefined, "has an unclosed quote"),
  v.transform((given) => wordsOf(given) ?? []),
  v.minLength(1, "must not be empty"),
)

const options = v.strictObject({
  command: v.pipe(
    words,
    v.check(
      ([file = ""]) => isAbsolute(file),
      "must begin with the full path of a program, such as /usr/local/bin/push-login",
    ),
    v.description(
      "The full path of the program, and its arguments: a list, or one string that is split at spaces as a shell does. Everybody on the machine can see them: no secrets",
    ),
  ),
  timeout: v.optional(
    durationOption(
      "How long it may take, such as 30s (the default); after that, it and all that it started are ended",
    ),
    "30s",
  ),
  answers: v.optional(
    v.pipe(
      words,
      v.array(v.picklist(ACTIONS, `must be among ${ACTIONS.join(", ")}`)),
      v.description(
        "What it answers in JSON on standard output: deliver (an outcome for each registry), read, check (repeatable, or separated by spaces)",
      ),
    ),
  ),
  env: v.optional(
    v.pipe(
      words,
      v.array(v.pipe(v.string(), v.regex(/^[A-Za-z_]\w*$/, "must be names of variables"))),
      v.description(`Variables that it gets in addition to ${ENVIRONMENT.join(", ")} (repeatable)`),
    ),
  ),
})

export default defineSink({
  type: TYPE,
  summary: "a command of your own, which gets the logins as JSON on standard input",
  permissions: ["execute the command; it runs as the same user, from /"],
  options,
  prints: { schema: async () => (await import("./_exec/json-schema.ts")).protocolSchema() },
  create({ command, timeout, answers = [], env = [] }, deps) {
    const exec: Exec = {
      place: joinWords(command),
      command: { words: command, env: environmentOf(env, deps), timeoutMs: timeout },
      answers,
      clock: deps.clock,
      uid: deps.uid,
    }
    return {
      type: TYPE,
      targets: (registry) => [{ registry, slot: registry.host, name: `${exec.place} ${registry.host}` }],
      deliver: (deliveries, signal) => deliver(deliveries, exec, signal),
      ...(answers.includes("read")
        ? { read: (targets: readonly Target[], signal: AbortSignal) => read(targets, [], exec, signal) }
        : {}),
      check: (targets, signal) => check(targets, exec, signal),
      // Twice where it is asked first what it holds. A timeout below the default does not shorten that of ecrelay itself.
      ...(timeout > 30_000 ? { deliveryMs: answers.includes("read") ? 2 * timeout : timeout } : {}),
      folders: async () => "anywhere",
    }
  },
})

function environmentOf(names: readonly string[], { env, home }: SinkDeps): Readonly<Record<string, string>> {
  const from: SinkDeps["env"] = { ...env, PATH: env.PATH || DEFAULT_PATH, HOME: home }
  return Object.fromEntries(
    [...ENVIRONMENT, ...names].flatMap((name) => {
      const value = from[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )
}
