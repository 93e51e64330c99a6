// What is special about Secrets Manager: how a secret is made, given a new value and taken over.
import type { DeliveryError } from "../../src/errors.ts"
import { isNamed } from "../_aws/call.ts"
import { makeTagged } from "../_aws/make-tagged.ts"
import { type SlotPolicy, type SlotService, TAG } from "../_aws/slot-service.ts"
import { targetError } from "../_target-error.ts"
import { type Context, contextOf, TYPE } from "./failure.ts"
import type { Making, Secret, Store } from "./store.ts"

/** How secrets are written. */
type Policy = SlotPolicy & { readonly kmsKey: string | undefined }

/** An open Secrets Manager, as `by-slot.ts` delivers into it. */
export function secretService(store: Store, policy: Policy, context: Context): SlotService<Secret> {
  const makingOf = (name: string, value: string): Making => ({ name, value, kmsKey: policy.kmsKey })
  return {
    sink: TYPE,
    store,
    policy,
    readAction: "secretsmanager:GetSecretValue",
    contextOf: (target) => contextOf(target, context),
    problemOf: sizeProblem,
    make: (name, value) => {
      const making = makingOf(name, value)
      return makeTagged((tagged) => store.create(making, tagged), "ResourceExistsException", policy)
    },
    replace: async (name, value) => {
      await store.put(name, value)
      return undefined
    },
    writeBlindly: (name, value) => writeBlindly(makingOf(name, value), store),
    notOurs: (_, target) => notOurs(target),
  }
}

async function writeBlindly(making: Making, store: Store): Promise<void> {
  try {
    await store.put(making.name, making.value)
  } catch (error) {
    if (!isNamed(error, "ResourceNotFoundException")) throw error
    await store.create(making, false)
  }
}

// AWS's limit on a secret's text, in bytes.
const MAX_BYTES = 65_536

function sizeProblem(value: string, target: string): DeliveryError | undefined {
  const size = Buffer.byteLength(value)
  if (size <= MAX_BYTES) return undefined
  return targetError(TYPE, target, {
    code: "too-long",
    says: `the secret would be ${size.toLocaleString("en-GB")} bytes long, and AWS takes ${MAX_BYTES.toLocaleString("en-GB")}`,
    hint: "put {account} and {region} into the name, to give each registry a secret of its own",
  })
}

function notOurs(target: string): DeliveryError {
  return targetError(TYPE, target, {
    code: "not-ours",
    says: `was not made by ecrelay: it is there without the tag ${TAG.Key}`,
    hint: `choose another name; or give it the tag ${TAG.Key}=${TAG.Value}, or take it over with adopt=true`,
  })
}
