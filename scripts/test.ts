// Runs everything that proves ecrelay, stage by stage, and ends with `N passed, N failed, N skipped`.
// A failed stage does not keep the later ones from running; servers are stopped however the run ends.
// With arguments it runs `bun test` with them, and no other stage: `bun run test test/sinks/airflow-db.test.ts`. Airflow is
// there only where they name `test/real-airflow`.
import { tmpdir } from "node:os"
import { join } from "node:path"
import { compareReadme } from "./compatibility.ts"
import { type Services, startServices } from "./services.ts"

type Tally = { readonly passed: number; readonly failed: number; readonly skipped: number }

type Stage = {
  readonly name: string
  run(context: Context): Promise<Tally>
}

type Context = {
  readonly signal: AbortSignal
  readonly testArguments: readonly string[]
  services: Services | undefined
}

// A test may hang in a way that bun's own time limit cannot end.
const SILENCE_MS = 5 * 60_000

const PASSED: Tally = { passed: 1, failed: 0, skipped: 0 }
const FAILED: Tally = { passed: 0, failed: 1, skipped: 0 }

const testStages: readonly Stage[] = [
  { name: "services", run: provideServices },
  { name: "tests", run: runTests },
]
const allStages: readonly Stage[] = [
  command("types", ["tsc", "--noEmit"]),
  command("lint", ["biome", "check", "."]),
  command("dead code", ["knip"]),
  ...testStages,
  { name: "compatibility", run: compareCompatibility },
]

/** A stage that is one program: passed where it ends with 0. */
function command(name: string, argv: readonly string[]): Stage {
  return {
    name,
    async run({ signal }) {
      const child = Bun.spawn([...argv], { stdin: "ignore", stdout: "inherit", stderr: "inherit", signal })
      return (await child.exited) === 0 ? PASSED : FAILED
    },
  }
}

/** A service that this machine cannot give counts as skipped, one that must be there and is not as failed. */
async function provideServices(context: Context): Promise<Tally> {
  context.services = await startServices(context.signal, context.testArguments)
  const count = (state: string) => context.services?.provided.filter((one) => one.state === state).length ?? 0
  return { passed: 0, failed: count("failed"), skipped: count("absent") }
}

async function runTests(context: Context): Promise<Tally> {
  const child = Bun.spawn([process.execPath, "test", "--timeout=30000", ...context.testArguments], {
    stdin: "ignore",
    stdout: "inherit",
    stderr: "pipe",
    env: {
      ...testEnvironment(process.env),
      ...context.services?.env,
      ...(context.services && { TMPDIR: context.services.temporary }),
      ECRELAY_TEST_PROVEN: provenIn(context),
    },
    signal: context.signal,
  })
  const silence = setTimeout(() => {
    console.error(`bun test printed nothing for ${SILENCE_MS / 60_000} minutes and was ended`)
    child.kill("SIGKILL")
  }, SILENCE_MS)
  const decoder = new TextDecoder()
  let summary = ""
  for await (const chunk of child.stderr) {
    silence.refresh()
    process.stderr.write(chunk)
    summary = (summary + decoder.decode(chunk, { stream: true })).slice(-8192)
  }
  clearTimeout(silence)
  return readSummary(summary, await child.exited)
}

/** Where tests note what they proved on real Airflow. */
function provenIn({ services }: Context): string {
  return process.env.ECRELAY_TEST_PROVEN ?? join(services?.temporary ?? tmpdir(), "proven.jsonl")
}

/** What the README says of real Airflow, held against what was proven where the services for it are there. */
async function compareCompatibility(context: Context): Promise<Tally> {
  const ready = new Set(
    context.services?.provided.filter(({ state }) => state === "ready").map(({ name }) => name),
  )
  return (await compareReadme(provenIn(context), (name) => ready.has(name))) === 0 ? PASSED : FAILED
}

/**
 * What `bun test` counted, from the end of what it printed. Its JUnit report would not do: a file that cannot be
 * imported is missing there. Whatever else made it end with an error counts as one failure, and so does a run that found no
 * test.
 */
function readSummary(text: string, exitCode: number): Tally {
  const count = (word: string) =>
    Number([...text.matchAll(new RegExp(`^ *(\\d+) ${word}$`, "gm"))].at(-1)?.[1] ?? 0)
  const tally = { passed: count("pass"), failed: count("fail"), skipped: count("skip") + count("todo") }
  const nothingRan = tally.passed + tally.skipped === 0
  return { ...tally, failed: tally.failed || (exitCode !== 0 || nothingRan ? 1 : 0) }
}

// What a person's or a machine's own set-up would change about the tests: AWS and ecrelay settings, private
// authorities, proxies, places of logins. Downloads and other stages keep them.
const DISTORTING =
  /^(AWS_.*|ECRELAY_.*|AIRFLOW_.*|DOCKER_CONFIG|NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR)|(https?|all|no)_proxy)$/i

function testEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !DISTORTING.test(name)))
}

async function runStage(stage: Stage, context: Context): Promise<Tally> {
  console.log(`== ${stage.name}`)
  const startedAt = performance.now()
  const tally = await stage.run(context).catch((error: unknown) => {
    if (!context.signal.aborted) console.error(error)
    return FAILED
  })
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  const verdict = context.signal.aborted ? "interrupted" : tally.failed === 0 ? "ok" : "FAILED"
  console.log(`== ${stage.name}: ${verdict} after ${seconds} s`)
  return tally
}

async function main(testArguments: readonly string[]): Promise<number> {
  const interrupted = new AbortController()
  const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const
  for (const [signal, code] of Object.entries(exitCodes)) process.on(signal, () => interrupted.abort(code))
  const context: Context = { signal: interrupted.signal, testArguments, services: undefined }
  const total = { passed: 0, failed: 0, skipped: 0 }
  try {
    for (const stage of testArguments.length > 0 ? testStages : allStages) {
      if (interrupted.signal.aborted) break
      const tally = await runStage(stage, context)
      total.passed += tally.passed
      total.failed += tally.failed
      total.skipped += tally.skipped
    }
  } finally {
    await context.services?.stop()
  }
  if (interrupted.signal.aborted) return Number(interrupted.signal.reason)
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
  return total.failed === 0 ? 0 : 1
}

process.exit(await main(process.argv.slice(2)))
