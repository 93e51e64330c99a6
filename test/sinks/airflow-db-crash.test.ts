// A killed delivery leaves all connections old or all new, on every kind of database: the process is killed for real.
import { expect, test } from "bun:test"
import { fileURLToPath } from "node:url"
import { ownRegistry } from "../../src/registry.ts"
import { deliver, onEachDatabase, openAirflow } from "../support/airflow-db.ts"
import { makeCredential } from "../support/credentials.ts"
import { hours, NOW } from "../support/sinks.ts"

const PROGRAM = fileURLToPath(new URL("../support/deliver-many.ts", import.meta.url))
const COUNT = 1000

onEachDatabase((place) => {
  test(`leaves old or new when it is killed, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    const registries = Array.from({ length: COUNT }, (_, i) =>
      ownRegistry(String(i).padStart(12, "0"), "eu-west-1"),
    )
    const old = registries.map((registry) => makeCredential({ registry, expiresAt: NOW + hours(2) }))
    await deliver(airflow.sink(), ...old)
    const seen = new Set<string>()
    for (const delayMs of [5, 20, 40, 60, 80, 110, 150, undefined]) {
      const before = new Map((await airflow.rows()).map(({ id, password }) => [id, password]))
      const child = Bun.spawn([process.execPath, PROGRAM, JSON.stringify(airflow.options()), String(COUNT)], {
        stdout: "pipe",
      })
      await child.stdout.getReader().read()
      if (delayMs !== undefined) {
        await Bun.sleep(delayMs)
        child.kill("SIGKILL")
      }
      await child.exited
      const after = await airflow.rows()
      const changed = after.filter(({ id, password }) => before.get(id) !== password).length
      expect([0, COUNT]).toContain(changed)
      expect(after).toHaveLength(COUNT)
      seen.add(changed === 0 ? "old" : "new")
    }
    // Or the delays prove nothing.
    expect(seen).toEqual(new Set(["old", "new"]))
    const next = registries.map((registry) => makeCredential({ registry, expiresAt: NOW + hours(12.5) }))
    const results = await deliver(airflow.sink(), ...next)
    expect(results.every(({ outcome }) => outcome === "delivered")).toBe(true)
  }, 60_000)
})
