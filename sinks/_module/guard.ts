// A sink of the user's own behind a guard: an error that it did not foresee, or an answer that breaks the contract, becomes a
// failure of that sink that names its file, and never a fault of ecrelay. What is right passes unchanged.
import * as v from "valibot"
import type { Credential } from "../../src/credential.ts"
import { DeliveryError } from "../../src/errors.ts"
import type { DeliveryResult, Finding, Held, Sink, Target } from "../../src/sink.ts"
import { createRedaction } from "../_redaction.ts"
import { targetError } from "../_target-error.ts"

const expiresAt = v.optional(v.union([v.number(), v.undefined()]))
const failed = v.looseObject({ error: v.instance(DeliveryError) })
const RESULT = v.union([
  v.looseObject({ outcome: v.picklist(["delivered", "unchanged"]), expiresAt }),
  v.looseObject({ outcome: v.literal("failed"), ...failed.entries }),
])
const HELD = v.union([
  v.looseObject({ state: v.literal("missing") }),
  v.looseObject({ state: v.literal("held"), expiresAt }),
  v.looseObject({ state: v.literal("unreadable"), ...failed.entries }),
])
const FINDING = v.looseObject({
  level: v.picklist(["ok", "warning", "error"]),
  subject: v.string(),
  message: v.string(),
})

/** The sink, guarded; `path` is its file. */
export function guardSink(sink: Sink, path: string): Sink {
  const { read, check, folders } = sink
  const about = (targets: readonly Target[]) => ({ sink, path, target: targets[0]?.name ?? path })
  return {
    type: sink.type,
    targets: (registry) => sink.targets(registry),
    async deliver(deliveries, signal) {
      const targets = deliveries.map(({ target }) => target)
      const credentials = deliveries.map(({ credential }) => credential)
      const answer = await guarded("deliver", about(targets), credentials, signal, () =>
        sink.deliver(deliveries, signal),
      )
      return listOf<DeliveryResult>(RESULT, answer, deliveries.length, "deliver", about(targets))
    },
    ...(read && {
      read: async (targets: readonly Target[], signal: AbortSignal) => {
        const answer = await guarded("read", about(targets), [], signal, () =>
          read.call(sink, targets, signal),
        )
        return listOf<Held>(HELD, answer, targets.length, "read", about(targets))
      },
    }),
    ...(check && {
      check: async (targets: readonly Target[], signal: AbortSignal) => {
        const answer = await guarded("check", about(targets), [], signal, () =>
          check.call(sink, targets, signal),
        )
        return listOf<Finding>(FINDING, answer, undefined, "check", about(targets))
      },
    }),
    ...(sink.takesStdout && { takesStdout: true }),
    ...(folders && { folders: (signal: AbortSignal) => folders.call(sink, signal) }),
  }
}

type About = { readonly sink: Sink; readonly path: string; readonly target: string }

async function guarded(
  what: string,
  about: About,
  credentials: readonly Credential[],
  signal: AbortSignal,
  call: () => Promise<unknown>,
): Promise<unknown> {
  try {
    return await call()
  } catch (cause) {
    if (cause instanceof DeliveryError || signal.aborted) throw cause
    const { name, message } = cause instanceof Error ? cause : new Error(String(cause))
    const said = createRedaction(credentials)(message)
    // Without the cause itself, whose text and stack may quote a login.
    throw fault(about, `${what} threw ${name}${said && `: ${said}`}`)
  }
}

function listOf<T>(
  schema: v.GenericSchema,
  answer: unknown,
  length: number | undefined,
  what: string,
  about: About,
): readonly T[] {
  if (!Array.isArray(answer)) throw fault(about, `${what} returned no list`)
  if (length !== undefined && answer.length !== length)
    throw fault(about, `${what} returned ${answer.length} results for ${length} targets`)
  const odd = answer.findIndex((one) => !v.is(schema, one))
  if (odd >= 0)
    throw fault(about, `${what} returned something that the contract does not allow, as number ${odd + 1}`)
  return answer as readonly T[]
}

function fault({ sink, path, target }: About, says: string): DeliveryError {
  const hint = `correct ${path}; \`ecrelay sinks module --types\` prints the contract`
  return targetError(sink.type, target, { code: "module-fault", says, hint })
}
