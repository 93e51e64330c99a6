// What is built: checksums that the usual tool accepts, and a binary that loads what a run does not use with the use alone.
import { expect, test } from "bun:test"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { writeChecksums } from "../scripts/build.ts"
import { binary, temporaryFolder } from "./support/binary.ts"

test("SHA256SUMS names every binary of the folder and nothing else, as sha256sum reads it", async () => {
  const folder = await temporaryFolder()
  for (const name of ["ecrelay", "ecrelay-linux-arm64", "notes.txt"])
    await writeFile(join(folder, name), `content of ${name}`)
  await writeChecksums(folder)
  await writeFile(join(folder, "ecrelay-linux-arm64"), "another content")
  const { stdout, exitCode } = Bun.spawnSync(["sha256sum", "--check", "SHA256SUMS"], {
    cwd: folder,
    env: { LC_ALL: "C", PATH: process.env.PATH },
  })
  expect(stdout.toString()).toBe("ecrelay: OK\necrelay-linux-arm64: FAILED\n")
  expect(exitCode).toBe(1)
})

// Chunks are named in the binary by the runtime's own file system; one bundle would be a single one.
test("a sink and its libraries are chunks of their own in the binary", async () => {
  const bytes = Buffer.from(await Bun.file(await binary()).arrayBuffer())
  const chunks = new Set(bytes.toString("latin1").match(/\/\$bunfs\/root\/chunk-[a-z0-9]+\.js/g))
  expect(chunks.size).toBeGreaterThan(20)
})
