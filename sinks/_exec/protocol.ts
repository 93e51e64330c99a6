// What ecrelay and a command tell each other: one JSON document on standard input, and, where the command's options say
// so, one on standard output. Version 1; a change that an old command would misread gets a new number.
import * as v from "valibot"
import type { Registry } from "../../src/registry.ts"
import type { Delivery, Target } from "../../src/sink.ts"

/** What a command may be asked to do. */
export const ACTIONS = ["deliver", "read", "check"] as const

/** One of the actions. */
export type Action = (typeof ACTIONS)[number]

const described = (text: string) => v.pipe(v.string(), v.description(text))
const instant = (text: string) =>
  v.pipe(v.string(), v.isoTimestamp("must be a time like 2026-11-24T04:00:00Z"), v.description(text))

const registryEntries = {
  host: described("The registry's host as in image names; an answer names a registry by it"),
  account: described("Twelve digits, as text since some begin with a zero; `public` for ECR Public"),
  region: described("AWS's region"),
}
const loginEntries = {
  username: described("Always AWS so far"),
  password: described("What docker login takes as password"),
  expiresAt: instant("When the login expires, in UTC"),
}

function requestSchema<const Name extends Action, Entries extends v.ObjectEntries>(
  action: Name,
  entries: Entries,
) {
  return v.strictObject({
    version: v.literal(1),
    action: v.literal(action),
    registries: v.array(v.strictObject(entries)),
  })
}

/** What a command reads on standard input, by action. */
export const requests = {
  deliver: requestSchema("deliver", { ...registryEntries, ...loginEntries }),
  read: requestSchema("read", registryEntries),
  check: requestSchema("check", registryEntries),
} as const

const host = described("The host that was asked about")
const message = described("What went wrong, in words")
const hint = v.optional(described("What to do about it"))

/** What a command writes on standard output, by action, where it answers at all. */
export const answers = {
  deliver: v.strictObject({
    registries: v.array(
      v.variant("outcome", [
        v.strictObject({
          host,
          outcome: v.picklist(["delivered", "unchanged"]),
          expiresAt: v.optional(
            instant("When the login held now expires; without it: the login that was given"),
          ),
          warning: v.optional(described("What the user should know although it worked")),
        }),
        v.strictObject({
          host,
          outcome: v.literal("failed"),
          message,
          hint,
          retryable: v.optional(
            v.pipe(v.boolean(), v.description("Whether the same call may well succeed in a moment")),
          ),
        }),
      ]),
    ),
  }),
  read: v.strictObject({
    registries: v.array(
      v.variant("state", [
        v.strictObject({ host, state: v.literal("missing") }),
        v.strictObject({
          host,
          state: v.literal("held"),
          expiresAt: v.optional(instant("When the login held expires; without it: unknown")),
          differs: v.optional(described("Why it is not what would be written, such as `host is …`")),
        }),
        v.strictObject({ host, state: v.literal("unreadable"), message, hint }),
      ]),
    ),
  }),
  check: v.strictObject({
    findings: v.array(
      v.strictObject({
        level: v.picklist(["ok", "warning", "error"]),
        message: described("What was found"),
        host: v.optional(described("The host that it is about; without it: all of them")),
        fix: v.optional(described("What to do about it")),
      }),
    ),
  }),
} as const

/** What a command answers to an action. */
export type Answer<Name extends Action> = v.InferOutput<(typeof answers)[Name]>

/** The document that asks for a delivery: the one place where passwords are written out for the command. */
export function deliverRequest(deliveries: readonly Delivery[]): string {
  const registries = deliveries.map(({ credential }) => ({
    ...registryOf(credential.registry),
    username: credential.userName,
    password: credential.password.reveal(),
    expiresAt: new Date(credential.expiresAt).toISOString(),
  }))
  return JSON.stringify({ version: 1, action: "deliver", registries })
}

/** The document that asks what is held, or whether a delivery would be let in. */
export function targetsRequest(action: Exclude<Action, "deliver">, targets: readonly Target[]): string {
  return JSON.stringify({
    version: 1,
    action,
    registries: targets.map(({ registry }) => registryOf(registry)),
  })
}

/** The answer that a text is, or in words why it is none. The words name a key of it at most. */
export function parseAnswer<Name extends Action>(action: Name, text: string): Answer<Name> | string {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return text.trim() === "" ? "nothing" : "no JSON"
  }
  const parsed = v.safeParse(answers[action], value)
  if (parsed.success) return parsed.output as Answer<Name>
  const path = v.getDotPath(parsed.issues[0])
  return path === null
    ? "JSON of the wrong shape"
    : `JSON of the wrong shape: ${path.slice(0, 60)} is not as it should be`
}

const registryOf = ({ host, account, region }: Registry) => ({ host, account, region })
