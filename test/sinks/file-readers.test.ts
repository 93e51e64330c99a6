// Login files as other people's programs read them: docker, curl and python themselves, each at a server of our own.
import { afterEach, expect, test } from "bun:test"
import { dirname } from "node:path"
import kind from "../../sinks/file.ts"
import type { Registry } from "../../src/registry.ts"
import { makeCredential } from "../support/credentials.ts"
import { startDockerDaemon } from "../support/docker-daemon.ts"
import { lackOf, newFile, removeFiles, testUnless } from "../support/files.ts"
import { calm, deliveriesOf, hours, makeSink, NOW, REGISTRY } from "../support/sinks.ts"

afterEach(removeFiles)

/** A file with a login as long as AWS makes them, and its password. */
async function writeLogin(registry: Registry, options: object = {}) {
  const path = newFile()
  const login = makeCredential({ registry, expiresAt: NOW + hours(12) })
  const sink = makeSink(kind, { path, ...options })
  await sink.deliver(deliveriesOf(sink, [login]), calm())
  return { path, password: login.password.reveal() }
}

testUnless(lackOf("docker"), "docker logs in with the password alone", async () => {
  const { path, password } = await writeLogin(REGISTRY)
  using daemon = startDockerDaemon()
  const docker = Bun.spawn(["docker", "login", "--username", "AWS", "--password-stdin", REGISTRY.host], {
    env: {
      PATH: process.env.PATH,
      DOCKER_HOST: daemon.url,
      DOCKER_CONFIG: dirname(path),
      HOME: dirname(path),
    },
    stdin: Bun.file(path),
    stdout: "ignore",
    stderr: "ignore",
  })
  expect(await docker.exited).toBe(0)
  expect(daemon.logins).toMatchObject([{ username: "AWS", password }])
})

testUnless(lackOf("python3"), "python reads the netrc", async () => {
  const { path, password } = await writeLogin(REGISTRY, { format: "netrc" })
  const script =
    "import json,netrc,sys; print(json.dumps(netrc.netrc(sys.argv[1]).authenticators(sys.argv[2])))"
  const { stdout } = Bun.spawnSync(["python3", "-c", script, path, REGISTRY.host])
  const [user, , read] = JSON.parse(stdout.toString())
  expect([user, read]).toEqual(["AWS", password])
})

testUnless(lackOf("curl"), "curl logs in with the netrc", async () => {
  await using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: ({ headers }) => new Response(headers.get("authorization")),
  })
  const { path, password } = await writeLogin({ ...REGISTRY, host: "127.0.0.1" }, { format: "netrc" })
  const curl = Bun.spawn(["curl", "--silent", "--noproxy", "*", "--netrc-file", path, server.url.href])
  const sent = Buffer.from(`AWS:${password}`).toString("base64")
  expect(await new Response(curl.stdout).text()).toBe(`Basic ${sent}`)
})

test("a shell reads the variables of a template", async () => {
  const template = "ECR_HOST={host}\nECR_USER={username}\nECR_PASSWORD={password}\n"
  const { path, password } = await writeLogin(REGISTRY, { template })
  const { stdout } = Bun.spawnSync(["sh", "-c", `. ${path}; echo "$ECR_HOST $ECR_USER $ECR_PASSWORD"`])
  expect(stdout.toString()).toBe(`${REGISTRY.host} AWS ${password}\n`)
})
