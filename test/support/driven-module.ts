// A module as a kind of sink whose work is done in another process: loaded there by module-driver.ts, which ecrelay loads
// as a module itself. Options and names of targets are those of the module as it is loaded here, and compared there.
import { chmod, copyFile, mkdtemp, rm } from "node:fs/promises"
import { createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { createInterface } from "node:readline"
import { DeliveryError } from "../../src/errors.ts"
import type { Delivery, DeliveryResult, Finding, Held, SinkDeps, SinkKind, Target } from "../../src/sink.ts"
import type { Call, Reply } from "./module-driver.ts"

const DRIVER = Bun.fileURLToPath(import.meta.resolve("./module-driver.ts"))

type Line = { readonly socket: Socket; readonly waiting: Map<number, (reply: Reply) => void> }

/** The kind `local` of the module `file`, working in a process that `command` starts; `stop` ends that. */
export function driveModule(
  local: SinkKind,
  file: string,
  command: () => Promise<readonly string[]>,
): { readonly kind: SinkKind; readonly stop: () => Promise<void> } {
  let line: Promise<Line & { readonly child: Bun.Subprocess; readonly folder: string }> | undefined
  let id = 0
  async function call(
    about: Pick<Call, "method" | "options" | "targets" | "credentials">,
    { clock }: SinkDeps,
    signal: AbortSignal,
  ): Promise<unknown> {
    line ??= connectTo(file, command)
    const { socket, waiting } = await line
    const current = ++id
    const reply = new Promise<Reply>((resolve) => waiting.set(current, resolve))
    const send = (value: object) => void socket.write(`${JSON.stringify(value)}\n`)
    send({ id: current, now: clock.now(), aborted: signal.aborted, ...about })
    signal.addEventListener("abort", () => send({ abort: current }))
    const { value, failure } = await reply
    if (failure) throw errorFrom(failure)
    return value
  }
  const create: SinkKind["create"] = (options, deps) => {
    const { targets, type } = local.create(options, deps)
    const { path: _, ...own } = options as { readonly path: string }
    const about = { options: own, credentials: [] }
    return {
      type,
      targets,
      deliver: async (deliveries, signal) => {
        const credentials = deliveries.map(({ credential }) => ({
          ...credential,
          password: credential.password.reveal(),
        }))
        const given = { ...about, method: "deliver", targets: targetsOf(deliveries), credentials } as const
        return revived<DeliveryResult>(await call(given, deps, signal))
      },
      read: async (targets, signal) =>
        revived<Held>(await call({ ...about, method: "read", targets }, deps, signal)),
      check: async (targets, signal) =>
        revived<Finding>(await call({ ...about, method: "check", targets }, deps, signal)),
    }
  }
  const stop = async () => {
    if (!line) return
    const { socket, child, folder } = await line
    socket.end()
    await child.exited
    await rm(folder, { recursive: true, force: true })
  }
  return { kind: { ...local, create }, stop }
}

const targetsOf = (deliveries: readonly Delivery[]): readonly Target[] =>
  deliveries.map(({ target }) => target)

const revived = <T>(value: unknown): readonly T[] =>
  (value as readonly (T & { error?: unknown })[]).map((one) =>
    one.error ? { ...one, error: errorFrom(one.error) } : one,
  )

function errorFrom(failure: unknown): Error {
  const { message, text, bug, ...about } = failure as DeliveryError & { text: string; bug?: boolean }
  const cause = new Error(text)
  return bug ? new Error(message, { cause }) : new DeliveryError(message, { ...about, cause })
}

async function connectTo(file: string, command: () => Promise<readonly string[]>) {
  // What is loaded must not be in the hands of others, and a checkout may be.
  const folder = await mkdtemp(join(tmpdir(), "ecrelay-driven-"))
  const [driver, plugin] = [join(folder, "driver.ts"), join(folder, basename(file))]
  for (const [from, to] of [
    [DRIVER, driver],
    [file, plugin],
  ] as const) {
    await copyFile(from, to)
    await chmod(to, 0o600)
  }
  const waiting: Line["waiting"] = new Map()
  const path = join(folder, "socket")
  const connected = new Promise<Socket>((resolve) => {
    const server = createServer((socket) => {
      server.close()
      resolve(socket)
    }).listen(path)
  })
  const sink = `module,path=${driver},socket=${path},plugin=${plugin}`
  const registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
  const argv = ["refresh", "--dry-run", "--timeout", "10m", "--registry", registry, "--sink", sink]
  const child = Bun.spawn([...(await command()), ...argv], {
    env: { PATH: process.env.PATH, HOME: folder },
    cwd: folder,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  })
  const ended = child.exited.then(async () => {
    throw new Error(
      `it ended: ${await new Response(child.stdout).text()}${await new Response(child.stderr).text()}`,
    )
  })
  ended.catch(() => undefined)
  const socket = await Promise.race([connected, ended])
  createInterface({ input: socket }).on("line", (text) => {
    const reply: Reply = JSON.parse(text)
    waiting.get(reply.id)?.(reply)
    waiting.delete(reply.id)
  })
  return { socket, waiting, child, folder }
}
