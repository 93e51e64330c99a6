// The way to AWS: private certificate authorities and proxies, with the compiled binary and real sockets.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { DEMO_IDENTITY, type StandIn, startAws } from "../scripts/aws.ts"
import { createAuthority } from "../scripts/services/certificate.ts"
import { binary, ecrelay, standInEnvironment, temporaryFolder } from "./support/binary.ts"
import { startProxy } from "./support/proxy.ts"

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

describe("a proxy", () => {
  test("is used where HTTPS_PROXY names it", async () => {
    const proxy = await startProxy()
    const result = await refresh({ AWS_CA_BUNDLE: bundle, HTTPS_PROXY: proxy.url })
    proxy.stop()
    expect(result).toMatchObject({ error: "", code: 0 })
    expect(proxy.tunnels).toEqual([new URL(aws.url).host])
  })

  test("is left out for hosts that NO_PROXY names", async () => {
    const proxy = await startProxy()
    const result = await refresh({ AWS_CA_BUNDLE: bundle, HTTPS_PROXY: proxy.url, NO_PROXY: "127.0.0.1" })
    proxy.stop()
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
    proxy.stop()
    expect({ out, code }).toMatchObject({ out: expect.stringContaining("222222222222.dkr.ecr"), code: 0 })
    expect(proxy.tunnels.length).toBeGreaterThan(0)
  })
})

describe("a probe", () => {
  const host = `${DEMO_IDENTITY.account}.dkr.ecr.eu-west-1.amazonaws.com`

  /** Refreshes with --probe while a registry under ECR's own name answers every login with `status`. */
  async function probe(status: number) {
    const { certificate, key } = authority.issue(host, [host])
    const logins: string[] = []
    const registry = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      tls: { cert: certificate, key },
      fetch: ({ headers }) => {
        logins.push(atob((headers.get("authorization") ?? "").replace("Basic ", "")))
        return new Response("", { status })
      },
    })
    const proxy = await startProxy({ others: { [host]: registry.port ?? 0 } })
    const home = await temporaryFolder()
    const env = { ...standInEnvironment(aws.url), HOME: home, AWS_CA_BUNDLE: bundle, HTTPS_PROXY: proxy.url }
    const result = await ecrelay(["--sink", "docker-config", "--probe"], {
      env: { ...env, NO_PROXY: "127.0.0.1" },
    })
    proxy.stop()
    await registry.stop(true)
    const written = await Bun.file(join(home, ".docker/config.json")).exists()
    return { ...result, written, logins }
  }

  test("tries the new login at the registry itself, and then delivers it", async () => {
    const { code, written, logins } = await probe(200)
    expect({ code, written }).toEqual({ code: 0, written: true })
    expect(logins).toEqual([expect.stringMatching(/^AWS:.{1000}/)])
  })

  test("stops a delivery that the registry would refuse, before anything is written", async () => {
    const { code, written, out } = await probe(403)
    expect({ code, written }).toEqual({ code: 1, written: false })
    expect(out).toContain(`${host}: the registry refuses the new login (403)`)
    expect(out).toContain("hint: nothing was written")
  })

  test("is a warning where the registry cannot be asked", async () => {
    const { code, written, out } = await probe(503)
    expect({ code, written }).toEqual({ code: 0, written: true })
    expect(out).toContain(`the login was not tried at ${host}: it answered 503`)
  })
})
