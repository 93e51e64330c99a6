// What PostgreSQL's driver is given to speak through: a socket that is handed out once, and remembers what it was lost by.
import type { Socket } from "node:net"
import type { Address } from "./address.ts"
import { connectPostgres } from "./postgres-socket.ts"
import type { TlsPolicy } from "./tls.ts"

/** A socket to a server, until and after it is lost. */
export type Connection = {
  /** The socket, once, while it is open. Throws what it was lost by. */
  take(): Socket
  isOpen(): boolean
  /** Throws what it was lost by. */
  requireOpen(): void
  destroy(): void
}

/** Connects to an address. Rejects with `CONNECT_TIMEOUT`, and as `connectPostgres` does. */
export async function connect(
  address: Address,
  policy: TlsPolicy,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Connection> {
  const patience = AbortSignal.timeout(timeoutMs)
  try {
    const socket = await connectPostgres(address, policy, AbortSignal.any([signal, patience]))
    let lost: Error = Object.assign(new Error("the server closed the connection"), {
      code: "CONNECTION_CLOSED",
    })
    // A server may take the call and let go at once, and what it says to our certificate comes after the handshake:
    // before the driver listens, which would then wait for a connection that is gone.
    socket.on("error", (error) => {
      lost = error
    })
    const isOpen = () => socket.readyState === "open"
    let taken = false
    return {
      take: () => {
        if (taken || !isOpen()) throw lost
        taken = true
        return socket
      },
      isOpen,
      requireOpen: () => {
        if (!isOpen()) throw lost
      },
      destroy: () => socket.destroy(),
    }
  } catch (error) {
    if (signal.aborted || !patience.aborted) throw error
    throw Object.assign(new Error("no answer in time"), { code: "CONNECT_TIMEOUT" })
  }
}
