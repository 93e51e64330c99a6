// What becomes of each login: left alone where the command holds a later one, else as the command says, or as it ends.
import { type Credential, outlives } from "../../src/credential.ts"
import type { Delivery, DeliveryResult, Held, Target } from "../../src/sink.ts"
import { answeredError, ask, type Exec } from "./ask.ts"
import { answerFailure } from "./failure.ts"
import { deliverRequest, targetsRequest } from "./protocol.ts"

/** Hands the logins to the command. Where it can read, it is asked first, and what expires later is left alone. */
export async function deliver(
  deliveries: readonly Delivery[],
  exec: Exec,
  signal: AbortSignal,
): Promise<readonly DeliveryResult[]> {
  const targets = deliveries.map(({ target }) => target)
  const credentials = deliveries.map(({ credential }) => credential)
  const held = exec.answers.includes("read") ? await read(targets, credentials, exec, signal) : []
  const kept = credentials.map((credential, i) => keptLogin(held[i], credential, exec))
  const due = deliveries.filter((_, i) => !kept[i])
  if (due.length === 0) return kept.flatMap((one) => one ?? [])
  const results = await deliverDue(due, exec, signal)
  return kept.map((one) => one ?? (results.shift() as DeliveryResult))
}

function keptLogin(
  held: Held | undefined,
  credential: Credential,
  { clock }: Exec,
): DeliveryResult | undefined {
  if (held?.state !== "held" || held.differs !== undefined) return undefined
  if (!outlives(held.expiresAt, credential, clock.now())) return undefined
  return { outcome: "unchanged", expiresAt: held.expiresAt }
}

async function deliverDue(
  deliveries: readonly Delivery[],
  exec: Exec,
  signal: AbortSignal,
): Promise<DeliveryResult[]> {
  const credentials = deliveries.map(({ credential }) => credential)
  const { answer, failure, show } = await ask(
    "deliver",
    deliverRequest(deliveries),
    credentials,
    exec,
    signal,
  )
  // Where it ended badly and named nothing that failed, everything did.
  if (failure && !answer?.registries.some(({ outcome }) => outcome === "failed")) throw failure
  const answered = new Map(answer?.registries.map((one) => [one.host, one]))
  return deliveries.map(({ target, credential }): DeliveryResult => {
    if (!answer) return { outcome: "delivered", expiresAt: credential.expiresAt }
    const one = answered.get(target.slot)
    if (!one)
      return {
        outcome: "failed",
        error: failure ?? answerFailure(target.name, "deliver", "nothing about it"),
      }
    if (one.outcome === "failed") return { outcome: "failed", error: answeredError(target, one, show) }
    const warning = one.warning ? { warning: show(one.warning) } : {}
    return {
      outcome: one.outcome,
      expiresAt: one.expiresAt ? Date.parse(one.expiresAt) : credential.expiresAt,
      ...warning,
    }
  })
}

/** What each target holds, as the command says; `credentials` never show in its words. */
export async function read(
  targets: readonly Target[],
  credentials: readonly Credential[],
  exec: Exec,
  signal: AbortSignal,
): Promise<readonly Held[]> {
  const { answer, failure, show } = await ask(
    "read",
    targetsRequest("read", targets),
    credentials,
    exec,
    signal,
  )
  if (failure) throw failure
  const answered = new Map(answer?.registries.map((one) => [one.host, one]))
  return targets.map((target): Held => {
    const one = answered.get(target.slot)
    if (!one) return { state: "unreadable", error: answerFailure(target.name, "read", "nothing about it") }
    if (one.state === "unreadable") return { state: "unreadable", error: answeredError(target, one, show) }
    if (one.state === "missing") return { state: "missing" }
    const differs = one.differs ? { differs: show(one.differs) } : {}
    return {
      state: "held",
      expiresAt: one.expiresAt ? Date.parse(one.expiresAt) : undefined,
      ...differs,
    }
  })
}
