// The compiled binary as a user drives it: built once for all tests, run in an environment that holds nothing of ours.
import { afterAll, beforeAll } from "bun:test"
import { chmod, constants, copyFile, mkdtemp, realpath } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DEMO_IDENTITY, type StandIn, startAws } from "../../scripts/aws.ts"
import { build } from "../../scripts/build.ts"

export type Transcript = { readonly out: string; readonly error: string; readonly code: number }

let built: Promise<string> | undefined

/** The path of the binary, in a folder of its own with nothing beside it. */
export function binary(): Promise<string> {
  built ??= temporaryFolder().then(async (folder) => {
    await chmod(folder, 0o755)
    const path = join(folder, "ecrelay")
    // `bun run check` runs files in processes of their own, and builds for all of them.
    const ready = process.env.ECRELAY_TEST_BINARY
    if (!ready) return build(undefined, path)
    await copyFile(join(import.meta.dir, "../..", ready), path, constants.COPYFILE_FICLONE)
    return path
  })
  return built
}

/** A new empty folder. */
export async function temporaryFolder(): Promise<string> {
  return realpath(await mkdtemp(join(tmpdir(), "ecrelay-test-")))
}

/** The stand-in for AWS, and the binary built, for all tests of the file or group that calls it. */
export function awsForAll(): StandIn {
  const aws = startAws()
  beforeAll(async () => {
    await binary()
  }, 60_000)
  afterAll(() => aws.stop())
  return aws
}

/** The variables that make the stand-in answer. */
export function standInEnvironment(url: string): Record<string, string> {
  return {
    AWS_ACCESS_KEY_ID: DEMO_IDENTITY.accessKeyId,
    AWS_SECRET_ACCESS_KEY: DEMO_IDENTITY.secretAccessKey,
    AWS_ENDPOINT_URL: url,
    AWS_REGION: "eu-west-1",
  }
}

/** The variables by which whatever would leave this machine ends at once, such as a login that `check` tries. */
export const OFFLINE = { HTTPS_PROXY: "http://127.0.0.1:9", NO_PROXY: "127.0.0.1,localhost" }

/** Runs the binary to its end. Nothing of this process's environment reaches it. */
export async function ecrelay(
  argv: readonly string[],
  { env = {}, cwd }: { env?: Record<string, string>; cwd?: string } = {},
): Promise<Transcript> {
  const child = Bun.spawn([await binary(), ...argv], {
    env: { AWS_EC2_METADATA_DISABLED: "true", ...env },
    cwd: cwd ?? (await temporaryFolder()),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  })
  const [out, error] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  return { out, error, code: await child.exited }
}
