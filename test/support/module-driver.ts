// A module that lets a test drive another module where this one was loaded: in the compiled binary, or under Deno. `check`
// of its sink answers the test's calls over a socket, one JSON value a line, until the test hangs up.
import { connect, type Socket } from "node:net"
import { createInterface } from "node:readline"
import { pathToFileURL } from "node:url"
import { inspect } from "node:util"
import type { Credential, Delivery, Host, Module, SinkDeps, SinkKind, Target } from "ecrelay"

/** A call of the test; passwords come as text. */
export type Call = {
  readonly id: number
  readonly method: "deliver" | "read" | "check"
  readonly options: object
  readonly now: number
  readonly targets: readonly Target[]
  readonly credentials: readonly (Omit<Credential, "password"> & { readonly password: string })[]
  readonly aborted: boolean
}

/** What came of it: a value, or a failure with all that printing it would show. */
export type Reply = { readonly id: number; readonly value?: unknown; readonly failure?: unknown }

const driver: Module = (host) =>
  host.defineSink({
    type: "driver",
    summary: "drives another module for a test",
    permissions: [],
    options: host.v.strictObject({
      socket: host.textOption("where the test listens"),
      plugin: host.textOption("the file of the other module"),
    }),
    create: ({ socket, plugin }, deps) => ({
      type: "driver",
      targets: (registry) => [{ registry, slot: registry.host, name: registry.host }],
      deliver: async () => [],
      check: async () => {
        const { default: make }: { default: Module } = await import(pathToFileURL(plugin).href)
        await serve(make(host), connect(socket), deps, host)
        return []
      },
    }),
  })

async function serve(kind: SinkKind, socket: Socket, deps: SinkDeps, host: Host): Promise<void> {
  const running = new Map<number, AbortController>()
  for await (const line of createInterface({ input: socket })) {
    const call: Call | { readonly abort: number } = JSON.parse(line)
    if ("abort" in call) {
      running.get(call.abort)?.abort(new Error("stop"))
      continue
    }
    const stop = new AbortController()
    if (call.aborted) stop.abort(new Error("stop"))
    running.set(call.id, stop)
    answer(kind, call, deps, stop.signal)
      .then(
        (value) => ({ id: call.id, value: shown(value, host) }),
        (error) => ({ id: call.id, failure: failureOf(error, host) }),
      )
      .then((reply: Reply) => socket.write(`${JSON.stringify(reply)}\n`))
  }
}

async function answer(kind: SinkKind, call: Call, deps: SinkDeps, signal: AbortSignal): Promise<unknown> {
  const { method, options, now, targets, credentials } = call
  const sink = kind.create(options, { ...deps, clock: { ...deps.clock, now: () => now } })
  for (const { registry, name } of targets)
    if (sink.targets(registry)[0]?.name !== name) throw new Error(`${name} has another name here`)
  if (method !== "deliver") return sink[method]?.(targets, signal)
  const deliveries = await Promise.all(
    targets.map(async (target, i): Promise<Delivery> => {
      const { password, ...rest } = credentials[i] as Call["credentials"][number]
      return { target, credential: { ...rest, password: await deps.secret(password) } }
    }),
  )
  return sink.deliver(deliveries, signal)
}

const shown = (value: unknown, host: Host) =>
  Array.isArray(value)
    ? value.map((one) => ("error" in one ? { ...one, error: failureOf(one.error, host) } : one))
    : value

function failureOf(error: unknown, { DeliveryError }: Host): object {
  const text = inspect(error, { depth: 12, showHidden: true })
  if (!(error instanceof DeliveryError))
    return { bug: true, message: error instanceof Error ? error.message : String(error), text }
  const { message, sink, target, code, hint, retryable } = error
  return { message, sink, target, code, hint, retryable, text }
}

export default driver
