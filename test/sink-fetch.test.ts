// The `fetch` that sinks are given: what a failed call tells of itself, whatever the program runs on.
import { describe, expect, test } from "bun:test"
import { chmod, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { awsForAll, standInEnvironment, temporaryFolder } from "./support/binary.ts"
import { RUNTIMES, runUnder } from "./support/runtimes.ts"

const aws = awsForAll()

// Calls where nobody listens, and says what the contract makes of it.
const callsNobody = (
  port: number,
) => `export default ({ v, defineSink, DeliveryError, isTransient }) => defineSink({
  type: "calls", summary: "", permissions: [], options: v.strictObject({}),
  create: (_, { fetch }) => ({
    type: "calls",
    targets: (registry) => [{ registry, slot: registry.host, name: "calls " + registry.host }],
    async deliver([{ target }]) {
      const cause = await fetch("http://eva:c2VjcmV0@127.0.0.1:${port}/").catch((error) => error)
      const code = isTransient(cause) ? "may-pass" : "lasting"
      throw new DeliveryError(target.name + ": " + cause, { sink: "calls", target: target.name, code, retryable: false })
    },
  }),
})`

describe.each([...RUNTIMES])("under %s", (_, command) => {
  test("a call that reaches nobody may reach somebody soon", async () => {
    const path = join(await temporaryFolder(), "calls.ts")
    const gone = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } })
    gone.stop()
    await writeFile(path, callsNobody(gone.port))
    await chmod(path, 0o600)
    const argv = ["--output", "json", "--sink", `module,path=${path}`]
    const { out, code } = await runUnder(command, argv, standInEnvironment(aws.url))
    expect({ out, code }).toMatchObject({ out: expect.stringContaining('"code":"may-pass"'), code: 1 })
    expect(out).not.toContain("c2VjcmV0")
  }, 30_000)
})
