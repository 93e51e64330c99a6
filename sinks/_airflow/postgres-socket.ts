// A connection to a PostgreSQL server up to the point where the driver may speak, for postgres.js's `socket` option.
// TLS is settled here because the driver starts it with servers that have just declined it, which looks like a reset.
import { connect, type Socket } from "node:net"
import { type ConnectionOptions, connect as connectTls } from "node:tls"
import type { Address } from "./address.ts"
import { NO_DIRECT_TLS, NO_TLS, type TlsPolicy } from "./tls.ts"
import { loadTlsOptions } from "./tls-files.ts"

// The protocol's SSLRequest: length 8, code 80877103. The server answers with one byte, S or N.
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])
// The protocol's name in TLS (ALPN). Without the request it alone tells that the other end is PostgreSQL, from 17 on.
const ALPN = "postgresql"

/**
 * An open connection with the trust that `policy` asks for; postgres.js gets it as `socket: () => …` beside
 * `ssl: false`. Rejects with Node's own error codes, `TLS_NOT_SUPPORTED`, `TLS_NOT_DIRECT` or AirflowError
 * `tls-file-unreadable`.
 */
export async function connectPostgres(
  address: Address,
  policy: TlsPolicy,
  signal: AbortSignal,
): Promise<Socket> {
  const { host, port, socket: path } = address
  const options = host === undefined || policy.mode === "off" ? undefined : await loadTlsOptions(policy, host)
  const socket = path === undefined ? connect(port, host) : connect(path)
  // Below TLS nobody else listens, and an error that nobody hears ends the program.
  socket.on("error", () => {})
  await next(socket, "connect", signal)
  if (!options) return socket
  if (policy.direct) return secureAtOnce(socket, options, signal)
  socket.write(SSL_REQUEST)
  const answer = String(await next(socket, "data", signal))
  // Anything after the one byte would have been slipped in before encryption began.
  if (answer === "S") {
    const secured = connectTls({ ...options, socket })
    await next(secured, "secureConnect", signal)
    return secured
  }
  if (answer === "N" && policy.mode === "prefer") return socket
  socket.destroy()
  throw Object.assign(new Error("the server declined TLS"), { code: NO_TLS })
}

async function secureAtOnce(
  socket: Socket,
  options: ConnectionOptions,
  signal: AbortSignal,
): Promise<Socket> {
  const secured = connectTls({ ...options, socket, ALPNProtocols: [ALPN] })
  await next(secured, "secureConnect", signal)
  if (secured.alpnProtocol === ALPN) return secured
  secured.destroy()
  throw Object.assign(new Error("the server did not answer as PostgreSQL"), { code: NO_DIRECT_TLS })
}

/** The socket's next event of that name. Destroys the socket where an error, its end or the signal comes first. */
function next(socket: Socket, event: string, signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      stop()
      socket.on("error", () => {}).destroy()
      reject(error)
    }
    const abort = () => fail(signal.reason)
    const close = () =>
      fail(Object.assign(new Error("the server closed the connection"), { code: "ECONNRESET" }))
    const arrive = (value: unknown) => {
      stop()
      resolve(value)
    }
    const stop = () => {
      socket.off(event, arrive).off("error", fail).off("close", close).off("end", close)
      signal.removeEventListener("abort", abort)
    }
    socket.on(event, arrive).on("error", fail).on("close", close).on("end", close)
    signal.addEventListener("abort", abort)
    if (signal.aborted) abort()
  })
}
