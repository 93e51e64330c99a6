// Run by tests in a process of its own, under Bun or Deno: delivers new logins to as many connections as it is told, to
// be killed in the midst, or to show that it can. Arguments: the options of the sink, the number of connections.
import { argv } from "node:process"
import kind from "../../sinks/airflow-db.ts"
import { systemClock } from "../../src/clock.ts"
import type { DeliveryError } from "../../src/errors.ts"
import { ownRegistry } from "../../src/registry.ts"
import { makeCredential } from "./credentials.ts"
import { makeSink, testDeps } from "./sinks.ts"

const [options = "", count = "1"] = argv.slice(2)
const clock = systemClock
const sink = makeSink(kind, JSON.parse(options), testDeps({ clock, uid: undefined }))
const expiresAt = clock.now() + 12 * 3_600_000
const deliveries = Array.from({ length: Number(count) }, (_, i) =>
  ownRegistry(String(i).padStart(12, "0"), "eu-west-1"),
).flatMap((registry) =>
  sink.targets(registry).map((target) => ({ target, credential: makeCredential({ registry, expiresAt }) })),
)
console.log("delivering")
try {
  const results = await sink.deliver(deliveries, new AbortController().signal)
  console.log(`${results.filter(({ outcome }) => outcome === "delivered").length} delivered`)
} catch (error) {
  const { code, message, retryable } = error as DeliveryError
  console.log(`failed: ${code}, ${retryable ? "for now" : "for good"}: ${message}`)
}
