// What the sink `file` does with its files, one after the other, each on its own: what is there and is no login belongs
// to somebody else; a login that expires later stays.
import { type Credential, outlives } from "../../src/credential.ts"
import { DeliveryError } from "../../src/errors.ts"
import type { Delivery, DeliveryResult, Finding, Held, Target } from "../../src/sink.ts"
import { loadAccessDifference, loadFile, replaceFile, whyNotWritable } from "../_file.ts"
import { whyNotGiven } from "../_file-access.ts"
import { type FileAccess, type FilePlace, fileError, formatMode, type Owner } from "../_file-errors.ts"
import { asFinding, type Words } from "../_target-error.ts"
import { loadOwner } from "./owner.ts"
import { canHold, formatText, parseText, type StoredLogin, type Template } from "./template.ts"

/** How the files are written. */
export type Policy = {
  readonly template: Template
  readonly adopt: boolean
  /** As it is configured; looked up anew at every call. */
  readonly owner: string | undefined
  readonly place: Omit<FilePlace, "path" | "access"> & { readonly access: FileAccess }
}

/** The sink's `deliver`. */
export function deliver(
  deliveries: readonly Delivery[],
  policy: Policy,
  signal: AbortSignal,
): Promise<readonly DeliveryResult[]> {
  return forEach(deliveries, policy, async ({ target, credential }, owner) => {
    try {
      const place = placeOf(target, policy, owner)
      const obstacle = await whyNotGiven(place)
      if (obstacle) throw obstacle
      if (!canHold(policy.template, credential)) throw fileError(PASSWORD_FORM, place)
      // The last round of this call finds what an earlier one wrote, which is `delivered` all the same.
      let written = false
      return await replaceFile<DeliveryResult>(
        place,
        (bytes) => {
          const { expiresAt } = credential
          const wanted = Buffer.from(formatText(policy.template, credential))
          if (bytes?.equals(wanted))
            return { bytes, result: { outcome: written ? "delivered" : "unchanged", expiresAt } }
          const held = storedIn(bytes, target, policy)
          if (held === "other" && !policy.adopt) throw fileError(NOT_OURS, place)
          if (typeof held === "object" && isLater(held, credential, place))
            return { bytes, result: { outcome: "unchanged", expiresAt: held.expiresAt } }
          written = true
          return { bytes: wanted, result: { outcome: "delivered", expiresAt } }
        },
        signal,
      )
    } catch (error) {
      return { outcome: "failed", error: expected(error) }
    }
  })
}

const isLater = ({ differs, expiresAt }: StoredLogin, credential: Credential, { deps }: FilePlace) =>
  differs === undefined && outlives(expiresAt, credential, deps.clock.now())

/** The sink's `read`. */
export function read(
  targets: readonly Target[],
  policy: Policy,
  signal: AbortSignal,
): Promise<readonly Held[]> {
  return forEach(targets, policy, async (target, owner): Promise<Held> => {
    signal.throwIfAborted()
    try {
      const place = placeOf(target, policy, owner)
      const held = storedIn(await loadFile(place), target, policy)
      if (!held) return { state: "missing" }
      if (held === "other") {
        if (!policy.adopt) throw fileError(NOT_OURS, place)
        return { state: "held", expiresAt: undefined, differs: `it ${NOT_OURS.says}` }
      }
      const differs = held.differs ?? (await loadAccessDifference(place))
      return { state: "held", expiresAt: held.expiresAt, ...(differs === undefined ? {} : { differs }) }
    } catch (error) {
      return { state: "unreadable", error: expected(error) }
    }
  })
}

/** The sink's `check`. */
export async function check(
  targets: readonly Target[],
  policy: Policy,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const found = await forEach(targets, policy, async (target, owner): Promise<readonly Finding[]> => {
    signal.throwIfAborted()
    const subject = target.name
    try {
      const place = placeOf(target, policy, owner)
      const obstacle = (await whyNotGiven(place)) ?? (await whyNotWritable(place))
      if (obstacle) return [asFinding(obstacle, subject)]
      if (storedIn(await loadFile(place), target, policy) === "other" && !policy.adopt)
        throw fileError(NOT_OURS, place)
      return [
        { level: "ok", subject, message: "can be written" },
        ...openTo(policy.place.access.mode, subject),
      ]
    } catch (error) {
      return [asFinding(error, subject)]
    }
  })
  return found.flat()
}

function openTo(mode: number, subject: string): readonly Finding[] {
  const may = [(mode & 0o004) !== 0 && "read", (mode & 0o002) !== 0 && "change"].filter(
    (may) => may !== false,
  )
  if (may.length === 0) return []
  const message = `mode ${formatMode(mode)} lets everybody on this machine ${may.join(" and ")} the login`
  const fix = "use mode=0640 with owner=:GROUP to let in one group only"
  return [{ level: "warning", code: "open-to-all", subject, message, fix }]
}

/** Work on each item, with the owner looked up once. */
async function forEach<Item, Result>(
  items: readonly Item[],
  { owner, place }: Policy,
  work: (item: Item, owner: Owner | Words | undefined) => Promise<Result>,
): Promise<readonly Result[]> {
  const found = owner === undefined ? undefined : await loadOwner(owner, place.deps.env)
  const results: Result[] = []
  for (const item of items) results.push(await work(item, found))
  return results
}

function placeOf({ slot }: Target, { place }: Policy, owner: Owner | Words | undefined): FilePlace {
  if (owner === undefined) return { ...place, path: slot }
  if ("says" in owner) throw fileError(owner, { ...place, path: slot })
  return { ...place, path: slot, access: { ...place.access, owner } }
}

/** The login that a file holds, or that it holds something else; undefined where there is nothing to lose. */
function storedIn(
  bytes: Buffer | undefined,
  { registry }: Target,
  { template }: Policy,
): StoredLogin | "other" | undefined {
  const text = bytes?.toString("utf8") ?? ""
  // Whoever bind-mounts a file makes an empty one first.
  return text.trim() === "" ? undefined : (parseText(template, text, registry) ?? "other")
}

const NOT_OURS: Words = {
  code: "not-ours",
  says: "holds something other than one ECR login",
  hint: "name a file for this login alone with path=, or add adopt=true to replace everything in it",
}

const PASSWORD_FORM: Words = {
  code: "password-form",
  says: "programs that read this format would not get the password as it is",
  hint: "choose format=json, or a template with {auth}, which is user name and password in base64",
}

/** The error as a DeliveryError; anything else is a bug, or an abort, and thrown. */
function expected(error: unknown): DeliveryError {
  if (error instanceof DeliveryError) return error
  throw error
}
