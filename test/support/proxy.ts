// A forward proxy on loopback that opens tunnels, as companies have them: it may want a login, or refuse.
import { connect, createServer } from "node:net"

/** A running proxy. It alone knows where `aws.test` is, and the hosts that it was told of. */
export type TunnelProxy = {
  readonly url: string
  /** The `host:port` of every tunnel that was opened. */
  readonly tunnels: readonly string[]
  stop(): void
}

/**
 * Starts one. `others` are ports of this machine by host name; `login` is `user:password`; with `refuses` it opens no
 * tunnel at all.
 */
export async function startProxy({
  others = {},
  login,
  refuses = false,
}: {
  readonly others?: Readonly<Record<string, number>>
  readonly login?: string
  readonly refuses?: boolean
} = {}): Promise<TunnelProxy> {
  const tunnels: string[] = []
  const server = createServer((client) => {
    client.on("error", () => undefined)
    client.once("data", (bytes) => {
      const head = bytes.toString()
      const refusal = whyRefused(head, login, refuses)
      if (refusal) {
        client.end(`HTTP/1.1 ${refusal}\r\n\r\n`)
        return
      }
      const [, host = "", port = ""] = /^CONNECT (\S+):(\d+) /.exec(head) ?? []
      tunnels.push(`${host}:${port}`)
      const known = host === "aws.test" ? Number(port) : others[host]
      const upstream = connect(known ?? Number(port), known ? "127.0.0.1" : host, () => {
        client.write("HTTP/1.1 200 Connection established\r\n\r\n")
        upstream.pipe(client)
        client.pipe(upstream)
      })
      upstream.on("error", () => client.destroy())
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("the proxy has no port")
  return { url: `http://127.0.0.1:${address.port}`, tunnels, stop: () => void server.close() }
}

function whyRefused(head: string, login: string | undefined, refuses: boolean): string | undefined {
  if (!head.startsWith("CONNECT ")) return "405 Method Not Allowed"
  if (refuses) return "403 Forbidden"
  if (login === undefined || head.includes(`Basic ${btoa(login)}\r\n`)) return undefined
  return '407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="company"'
}
