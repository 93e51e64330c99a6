// Binaries for other machines than this one: run where an emulator or a loader for them is at hand.
import { expect, test } from "bun:test"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { startAws } from "../scripts/aws.ts"
import { build, type Target } from "../scripts/build.ts"
import { standInEnvironment, temporaryFolder } from "./support/binary.ts"

/** What runs a foreign binary here, or why nothing does. */
const RUNNERS: readonly { readonly target: Target; readonly runner: readonly string[] | string }[] = [
  {
    target: "linux-arm64",
    runner:
      Bun.which("qemu-aarch64") && existsSync("/usr/aarch64-linux-gnu")
        ? ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]
        : "needs qemu-aarch64 and arm64's C library (Debian: qemu-user, libc6-arm64-cross, libstdc++6-arm64-cross)",
  },
  {
    target: "linux-x64-musl",
    runner:
      existsSync("/lib/ld-musl-x86_64.so.1") && existsSync("/usr/lib/libstdc++.so.6")
        ? []
        : "needs a machine with musl, such as Alpine",
  },
]

for (const { target, runner } of RUNNERS) {
  const name = `the binary for ${target} delivers a login`
  if (typeof runner === "string") {
    console.info(`skipped: ${name}: ${runner}`)
    test.skip(`${name} (${runner})`, () => {})
    continue
  }
  test(name, async () => {
    const home = await temporaryFolder()
    const binary = await build(target, join(home, "ecrelay"))
    const aws = startAws()
    const child = Bun.spawn([...runner, binary, "--sink", "docker-config"], {
      env: { HOME: home, ...standInEnvironment(aws.url) },
      stdout: "pipe",
    })
    const out = await new Response(child.stdout).text()
    await aws.stop()
    expect({ out, code: await child.exited }).toMatchObject({
      out: expect.stringMatching(/^delivered/),
      code: 0,
    })
  }, 120_000)
}
