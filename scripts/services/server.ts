// Starts a server on a free port of loopback and waits until it really answers.
// A server that does not come up is an error with the end of its log.
import { spawn } from "node:child_process"
import { open, readFile } from "node:fs/promises"
import { createServer } from "node:net"
import { join } from "node:path"
import { type Account, lastLines } from "./command.ts"
import type { Ground } from "./ground.ts"

const PATIENCE_MS = 60_000

/** A loopback address that the servers' certificate does not name; only Linux has more than one. */
export const WRONG_NAME_HOST = process.platform === "linux" ? "127.0.0.2" : undefined

/** The addresses that database servers listen on. */
export const LISTEN_ADDRESSES = WRONG_NAME_HOST ? `127.0.0.1,${WRONG_NAME_HOST}` : "127.0.0.1"

type ServerPlan = {
  readonly name: string
  readonly command: readonly string[]
  /** What ends it at once; its data is thrown away. */
  readonly stopSignal: NodeJS.Signals
  /** The account to run as, in place of ours. */
  readonly as?: Account | undefined
  readonly env?: Readonly<Record<string, string | undefined>>
  /** How long it may take to come up, where a minute is not enough. */
  readonly patienceMs?: number
  /** Resolves once the server has answered, rejects while it does not yet. */
  answers(): Promise<unknown>
}

/** Starts the server, watched by the ground, and resolves when it answers. */
export async function startServer(ground: Ground, plan: ServerPlan): Promise<void> {
  const logPath = join(ground.folder, `${plan.name}.log`)
  const log = await open(logPath, "a")
  const [program = "", ...args] = plan.command
  // A process group of its own: Ctrl-C in a terminal reaches us, and we stop the servers in good order.
  const child = spawn(program, args, {
    detached: true,
    stdio: ["ignore", log.fd, log.fd],
    env: plan.env ?? process.env,
    cwd: ground.folder,
    ...plan.as,
  })
  const failed = new Promise<Error>((resolve) => child.once("error", resolve))
  if (child.pid === undefined) throw await failed
  ground.watch(child, plan.stopSignal, logPath)
  await log.close()
  const { patienceMs = PATIENCE_MS } = plan
  const startedAt = performance.now()
  for (;;) {
    ground.signal.throwIfAborted()
    const refusal = await plan.answers().then(
      () => undefined,
      (error: unknown) => error,
    )
    if (refusal === undefined) return
    const ended = child.exitCode !== null || child.signalCode !== null
    if (ended || performance.now() - startedAt > patienceMs) {
      const how = ended ? "ended" : `did not answer within ${patienceMs / 1000} s`
      throw new Error(`${plan.name} ${how}: ${refusal}\n${lastLines(await readFile(logPath, "utf8"))}`)
    }
    await Bun.sleep(50)
  }
}

const taken = new Set<number>()

/**
 * A free port below those that the system hands out for outgoing connections, so that none of these can take it before
 * the server does.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    if (taken.has(port) || !(await isFree(port))) continue
    taken.add(port)
    return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once("error", () => resolve(false))
    probe.listen(port, "0.0.0.0", () => probe.close(() => resolve(true)))
  })
}
