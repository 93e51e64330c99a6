// The tests that need no service, in as many workers as make them faster: the last step of `bun run check`, after the build.
// What tests leave behind lies in a temporary folder that is removed at the end.
import { chmod, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"

// Ctrl-C reaches the tests and ends them; this process outlives them to clean up.
process.on("SIGINT", () => {})

const temporary = await mkdtemp(join(tmpdir(), "ecrelay-check-"))
try {
  // Some tests run as another user, who must be able to pass through.
  await chmod(temporary, 0o711)
  const child = Bun.spawn(
    [process.execPath, "test", "--parallel=4", "--no-isolate", "--dots", ...process.argv.slice(2)],
    {
      env: { ...process.env, TMPDIR: temporary, ECRELAY_TEST_BINARY: "dist/ecrelay" },
      stdio: ["ignore", "inherit", "inherit"],
    },
  )
  process.exitCode = await child.exited
} finally {
  await rm(temporary, { recursive: true, force: true })
}
