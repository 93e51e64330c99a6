// A company with an AWS, a registry, a proxy and an authority of its own, all on loopback: where `check` is proven.
import { createServer } from "node:net"
import { DEMO_IDENTITY, type StandIn, startAws } from "../../scripts/aws.ts"
import { type Authority, createAuthority } from "../../scripts/services/certificate.ts"
import { binary } from "./binary.ts"
import { startProxy } from "./proxy.ts"
import { type SsmServer, startSsm } from "./ssm-server.ts"

/** The registry that everything here is about. */
export const HOST = `${DEMO_IDENTITY.account}.dkr.ecr.eu-west-1.amazonaws.com`

/** What all tests of a file share. */
export type Company = {
  readonly authority: Authority
  readonly aws: StandIn
  /** The URL of its proxy, and the hosts that it was told of. */
  readonly proxy: string
  readonly others: Readonly<Record<string, number>>
  /** What the registry answers to a login; 200 is well. */
  readonly registry: { status: number }
  /** Its Parameter Store. */
  readonly ssm: SsmServer
  /** The URL of its AWS, or of another with this clock or certificate, by a name that the proxy alone knows. */
  awsUrl(other?: { readonly byMs?: number; readonly host?: string }): string
  /** The URL of another proxy. */
  proxyUrl(...given: Parameters<typeof startProxy>): Promise<string>
  /** Opens a port that gives everybody this answer, or none; returns its address. */
  listen(answer?: string): Promise<string>
  /** Takes back whatever a test made its AWS, its stores and its registry do. */
  reset(): void
  stop(): Promise<void>
}

/** Founds a company. */
export async function openCompany(): Promise<Company> {
  const authority = createAuthority("a company's own authority")
  const closing: (() => unknown)[] = []
  const registry = { status: 200 }
  const startTls = ({ byMs = 0, host = "aws.test" } = {}) => {
    const { certificate: cert, key } = authority.issue(host, [host])
    const aws = startAws({ tls: { cert, key }, now: () => Date.now() + byMs })
    closing.push(() => aws.stop())
    return aws
  }
  const proxyUrl: Company["proxyUrl"] = async (given) => {
    const proxy = await startProxy(given)
    closing.push(() => proxy.stop())
    return proxy.url
  }
  const aws = startTls()
  const server = startRegistry(authority, registry)
  closing.push(() => server.stop(true))
  const ssm = startSsm()
  closing.push(() => ssm.stop())
  const others = { [HOST]: server.port ?? 0 }
  await binary()
  return {
    authority,
    aws,
    proxy: await proxyUrl({ others }),
    others,
    registry,
    ssm,
    awsUrl: (other) => `https://aws.test:${new URL((other ? startTls(other) : aws).url).port}`,
    proxyUrl,
    listen: (answer) => listen(answer, closing),
    reset() {
      for (const operation of ["GetAuthorizationToken", "GetCallerIdentity"])
        aws.fail(operation, { kind: "empty" }, 0)
      ssm.parameters.clear()
      registry.status = 200
    },
    async stop() {
      for (const close of closing) await close()
    },
  }
}

function startRegistry(authority: Authority, registry: Company["registry"]) {
  const { certificate: cert, key } = authority.issue(HOST, [HOST])
  return Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    tls: { cert, key },
    fetch: () => new Response("", { status: registry.status }),
  })
}

async function listen(answer: string | undefined, closing: (() => unknown)[]): Promise<string> {
  const server = createServer((client) => {
    client.on("error", () => undefined)
    if (answer !== undefined) client.once("data", () => client.end(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  closing.push(() => server.close())
  const address = server.address()
  return typeof address === "string" || !address ? "" : `127.0.0.1:${address.port}`
}
