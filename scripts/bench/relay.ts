// A program that stands between a client and a server on loopback, so that each round trip takes a millisecond, as to a
// server of the same region. It holds up what the client sends; how much passes at a time is not limited.
import { connect, createServer, type Socket } from "node:net"

const DELAY_MS = 1

/** A relay to the server of a URL; `url` is the same by way of the relay. */
export async function startRelay(url: string): Promise<{ readonly url: string; stop(): void }> {
  const far = new URL(url)
  const child = Bun.spawn([process.execPath, import.meta.path, far.port], {
    stdout: "pipe",
    stderr: "inherit",
    stdin: "pipe",
  })
  const { value } = await child.stdout.getReader().read()
  const near = new URL(url)
  near.port = new TextDecoder().decode(value).trim()
  return { url: near.href, stop: () => child.kill() }
}

function relay(client: Socket, port: number): void {
  const server = connect({ host: "127.0.0.1", port, noDelay: true })
  client.setNoDelay(true)
  const later = (work: () => void) => setTimeout(work, DELAY_MS)
  client.on("data", (bytes) => later(() => server.write(bytes)))
  client.on("close", () => later(() => server.end()))
  server.on("data", (bytes) => client.write(bytes))
  server.on("close", () => client.end())
  for (const socket of [client, server]) socket.on("error", () => socket.destroy())
}

if (import.meta.main) {
  const listener = createServer((client) => relay(client, Number(process.argv[2])))
  listener.listen(0, "127.0.0.1", () => {
    const address = listener.address()
    console.log(typeof address === "object" ? address?.port : address)
  })
  // Its input ends when whoever started it does.
  process.stdin.on("end", () => process.exit()).resume()
}
