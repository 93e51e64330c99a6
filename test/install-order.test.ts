// An order to install, read without the binary: what the whole command cannot be brought to on every machine.
import { expect, test } from "bun:test"
import { ConfigError } from "../src/errors.ts"
import { readOrder } from "../src/install-order.ts"
import type { World } from "../src/session.ts"

async function refusalOf(flags: readonly string[], { env = {}, uid = 0 }): Promise<string> {
  const given = new Map(flags.map((key) => [key, { from: `--${key}`, texts: ["true"] }]))
  const world = { env, uid, home: "/home/me", program: "/usr/bin/ecrelay" } as Partial<World> as World
  const error = await readOrder(given, world).catch((error: unknown) => error)
  return error instanceof ConfigError ? error.message : "no refusal"
}

test("a variable that says neither yes nor no is refused, and not taken for no", async () => {
  const env = { ECRELAY_TIMER: "maybe", ECRELAY_FORCE: "perhaps" }
  const message = await refusalOf([], { env })
  expect(message).toContain('ECRELAY_TIMER: "maybe" is not one of ')
  expect(message).toContain('ECRELAY_FORCE: "perhaps" is not one of ')
})

test("a person whom the machine's user database does not know, as in a container, is told by their number", async () => {
  expect(await refusalOf(["user"], { uid: 987_654_321 })).toBe(
    "--user: this machine's user database does not know user 987654321, whom the units would run as",
  )
})
