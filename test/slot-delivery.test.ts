// What becomes of one slot of a store in AWS, where no server can be brought to it at will: somebody who makes a slot and
// takes it away again, and several logins of which only some are written.
import { expect, test } from "bun:test"
import { CallError } from "../sinks/_aws/call.ts"
import { deliverTogether } from "../sinks/_aws/slot-delivery.ts"
import type { Look, SlotService, Text } from "../sinks/_aws/slot-service.ts"
import { formatLogin } from "../sinks/_login-format.ts"
import { ownRegistry } from "../src/registry.ts"
import type { Delivery } from "../src/sink.ts"
import { makeCredential } from "./support/credentials.ts"
import { hours, NOW } from "./support/sinks.ts"

function deliveryTo(account: string, lifeHours: number): Delivery {
  const registry = ownRegistry(account, "eu-west-1")
  const credential = makeCredential({ registry, expiresAt: NOW + hours(lifeHours), size: 300 })
  return { target: { registry, slot: "ecr", name: `ecr ${account}` }, credential }
}

/** A service on one slot, which answers each look with the next of these. */
function service(looks: Look<Text>[], own: Partial<SlotService<Text>> = {}): SlotService<Text> {
  return {
    sink: "fake",
    store: { look: async () => new Map([["ecr", looks.shift() ?? "missing"]]), isOurs: async () => true },
    policy: { format: "docker-config", adopt: false, now: NOW },
    readAction: "fake:Read",
    contextOf: () => {
      throw new Error("no call fails here")
    },
    problemOf: () => undefined,
    make: async () => undefined,
    replace: async () => undefined,
    writeBlindly: async () => undefined,
    notOurs: () => new Error("not ours") as never,
    ...own,
  }
}

test("what somebody made first and took away again is a conflict, and not tried for ever", async () => {
  const conflict = new CallError("fake:Create", new Error("it exists"))
  let attempts = 0
  const make = async () => {
    attempts += 1
    return attempts < 3 ? conflict : undefined
  }
  const done = deliverTogether([deliveryTo("012345678901", 12)], "missing", service(["missing"], { make }))
  expect(await done.catch((error: unknown) => error)).toBe(conflict)
  expect(attempts).toBe(1)
})

test("only a login that was written carries what is to be said of the write", async () => {
  const [older, newer] = [deliveryTo("012345678901", 6), deliveryTo("123456789012", 12)]
  const { credential } = deliveryTo("012345678901", 12)
  const held = { value: formatLogin("docker-config", credential) }
  const replace = async () => "it is not encrypted"
  const results = await deliverTogether([older, newer], held, service([], { replace }))
  expect(results).toEqual([
    { outcome: "unchanged", expiresAt: credential.expiresAt },
    { outcome: "delivered", expiresAt: newer.credential.expiresAt, warning: "it is not encrypted" },
  ])
})
