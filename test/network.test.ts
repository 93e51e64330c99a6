// The way to AWS: private certificate authorities and proxies, with the compiled binary and real sockets.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { writeFile } from "node:fs/promises"
import { connect, createServer, type Server } from "node:net"
import { join } from "node:path"
import { type StandIn, startAws } from "../scripts/aws.ts"
import { createAuthority } from "../scripts/services/certificate.ts"
import { binary, ecrelay, standInEnvironment, temporaryFolder } from "./support/binary.ts"

const authority = createAuthority("a company's own authority")
let aws: StandIn
let bundle: string

beforeAll(async () => {
  const { certificate, key } = authority.issue("127.0.0.1", ["127.0.0.1", "aws.test"])
  aws = startAws({ tls: { cert: certificate, key } })
  bundle = join(await temporaryFolder(), "ca.pem")
  await writeFile(bundle, authority.certificate)
  await binary()
}, 60_000)
afterAll(() => aws.stop())

async function refresh(more: Record<string, string>) {
  const env = { HOME: await temporaryFolder(), ...standInEnvironment(aws.url), ...more }
  return ecrelay(["--sink", "docker-config", "--timeout", "5s"], { env })
}

describe("a private authority", () => {
  test("is refused at once, with the variable that makes it trusted", async () => {
    const { out, code } = await refresh({})
    expect({ out, code }).toMatchObject({
      out: expect.stringMatching(/the server's certificate is not trusted.*\n.*AWS_CA_BUNDLE/),
      code: 1,
    })
  })

  test("is trusted where AWS_CA_BUNDLE names it", async () => {
    expect(await refresh({ AWS_CA_BUNDLE: bundle })).toMatchObject({ error: "", code: 0 })
  })

  test("is trusted where the profile's ca_bundle names it", async () => {
    const config = join(await temporaryFolder(), "config")
    await writeFile(config, `[default]\nca_bundle = ${bundle}\n`)
    expect(await refresh({ AWS_CONFIG_FILE: config })).toMatchObject({ error: "", code: 0 })
  })

  test("leaves a bundle that is not there to be named", async () => {
    const { out, code } = await refresh({ AWS_CA_BUNDLE: "/nowhere/ca.pem" })
    expect({ out, code }).toMatchObject({
      out: expect.stringMatching(/\/nowhere\/ca\.pem.*\n.*hint: /),
      code: 1,
    })
  })
})

/** A proxy that opens tunnels, and counts them. It alone knows where `aws.test` is. */
async function startProxy(): Promise<{ url: string; tunnels: string[]; server: Server }> {
  const tunnels: string[] = []
  const server = createServer((client) => {
    client.once("data", (head) => {
      const target = /^CONNECT (\S+) /.exec(head.toString())?.[1]
      if (!target) {
        client.end("HTTP/1.1 405 Method Not Allowed\r\n\r\n")
        return
      }
      tunnels.push(target)
      const [host, port] = target.split(":")
      const upstream = connect(Number(port), host === "aws.test" ? "127.0.0.1" : (host ?? ""), () => {
        client.write("HTTP/1.1 200 Connection established\r\n\r\n")
        upstream.pipe(client)
        client.pipe(upstream)
      })
      upstream.on("error", () => client.destroy())
    })
    client.on("error", () => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("the proxy has no port")
  return { url: `http://127.0.0.1:${address.port}`, tunnels, server }
}

describe("a proxy", () => {
  test("is used where HTTPS_PROXY names it", async () => {
    const proxy = await startProxy()
    const result = await refresh({ AWS_CA_BUNDLE: bundle, HTTPS_PROXY: proxy.url })
    proxy.server.close()
    expect(result).toMatchObject({ error: "", code: 0 })
    expect(proxy.tunnels).toEqual([new URL(aws.url).host])
  })

  test("is left out for hosts that NO_PROXY names", async () => {
    const proxy = await startProxy()
    const result = await refresh({ AWS_CA_BUNDLE: bundle, HTTPS_PROXY: proxy.url, NO_PROXY: "127.0.0.1" })
    proxy.server.close()
    expect(result).toMatchObject({ error: "", code: 0 })
    expect(proxy.tunnels).toEqual([])
  })

  test("is used for STS and the default credential chain too", async () => {
    const proxy = await startProxy()
    const env = { AWS_CA_BUNDLE: bundle, HTTPS_PROXY: proxy.url, HOME: await temporaryFolder() }
    const credentials = join(env.HOME, "credentials")
    const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, ...rest } = standInEnvironment(aws.url)
    await writeFile(
      credentials,
      `[base]\naws_access_key_id = ${AWS_ACCESS_KEY_ID}\naws_secret_access_key = ${AWS_SECRET_ACCESS_KEY}\n` +
        "[pull]\nrole_arn = arn:aws:iam::222222222222:role/pull\nsource_profile = base\nregion = eu-west-1\n",
    )
    const { out, code } = await ecrelay(["--sink", "docker-config", "--profile", "pull", "--timeout", "5s"], {
      env: {
        ...rest,
        ...env,
        AWS_ENDPOINT_URL: aws.url.replace("127.0.0.1", "aws.test"),
        AWS_SHARED_CREDENTIALS_FILE: credentials,
      },
    })
    proxy.server.close()
    expect({ out, code }).toMatchObject({ out: expect.stringContaining("222222222222.dkr.ecr"), code: 0 })
    expect(proxy.tunnels.length).toBeGreaterThan(0)
  })
})
