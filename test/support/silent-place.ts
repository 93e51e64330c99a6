// A place that takes whoever calls and never says a word: what a hanging server is to its clients.
import { createServer, type Socket } from "node:net"

export type SilentPlace = AsyncDisposable & {
  /** On loopback. */
  readonly port: number
  /** Resolves once somebody has called. */
  readonly called: Promise<void>
}

/** Opens one on a free port. */
export async function openSilentPlace(): Promise<SilentPlace> {
  const callers = new Set<Socket>()
  const server = createServer()
  const called = new Promise<void>((resolve) => {
    server.on("connection", (caller) => {
      callers.add(caller)
      caller.on("error", () => undefined)
      resolve()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as { readonly port: number }
  return {
    port,
    called,
    async [Symbol.asyncDispose]() {
      for (const caller of callers) caller.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
