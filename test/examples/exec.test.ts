// The example scripts for `exec` as they stand, run by the sink: Swarm's with a docker on the PATH that remembers what it
// was told, Artifactory's against a server that keeps repositories as its API does.
import { afterAll, describe, expect } from "bun:test"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import kind from "../../sinks/exec.ts"
import type { SinkDeps } from "../../src/sink.ts"
import { makeCredential } from "../support/credentials.ts"
import { testUnless } from "../support/files.ts"
import { credentialForms } from "../support/secrets.ts"
import {
  calm,
  deliveriesOf,
  hours,
  makeSink,
  NOW,
  REGISTRY,
  testDeps,
  ZERO_REGISTRY,
} from "../support/sinks.ts"

const EXAMPLES = join(import.meta.dir, "../../examples/exec")
const folder = mkdtempSync(join(tmpdir(), "examples-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const credentials = [REGISTRY, ZERO_REGISTRY].map((registry) =>
  makeCredential({ registry, expiresAt: NOW + hours(12) }),
)
const lacking = (...programs: readonly string[]) => {
  const missing = programs.filter((program) => !Bun.which(program))
  return missing.length > 0 ? `${missing.join(", ")} not installed` : undefined
}

function run(script: string, options: object, deps: Partial<SinkDeps>) {
  const sink = makeSink(kind, { command: [join(EXAMPLES, script)], ...options }, testDeps(deps))
  return { sink, deliver: () => sink.deliver(deliveriesOf(sink, credentials), calm()) }
}

describe("swarm-services", () => {
  // Keeps what it was called with, and the logins that it found.
  const FAKE_DOCKER = `#!/bin/sh
echo "$*" >> ${folder}/calls
[ "$DOCKER_HOST" = down ] && { echo "Cannot connect to the Docker daemon" >&2; exit 1; }
case "$2" in
  ls) printf 'web\\nworker\\nproxy\\n' ;;
  inspect) for name; do :; done
    case $name in
      web) echo ${REGISTRY.host}/web:1@sha256:abc ;;
      worker) echo ${ZERO_REGISTRY.host}/team/worker ;;
      proxy) echo docker.io/library/traefik:3 ;;
      *) echo "no such service: $name" >&2; exit 1 ;;
    esac ;;
  update) cat "$DOCKER_CONFIG/config.json" > ${folder}/logins; echo "$DOCKER_CONFIG" > ${folder}/config-folder
    [ "$DOCKER_HOST" = broken ] && { echo "rpc error: update out of sequence" >&2; exit 1; }
    echo noise ;;
esac
exit 0
`
  const swarm = (host = "unix:///x", names: readonly string[] = []) => {
    rmSync(join(folder, "calls"), { force: true })
    writeFileSync(join(folder, "docker"), FAKE_DOCKER, { mode: 0o755 })
    const command = [join(EXAMPLES, "swarm-services"), ...names]
    const env = { PATH: `${folder}:${process.env.PATH}`, DOCKER_HOST: host }
    return run("swarm-services", { command, env: ["DOCKER_HOST"] }, { env })
  }
  const updates = () =>
    readFileSync(join(folder, "calls"), "utf8")
      .trim()
      .split("\n")
      .filter((call) => call.startsWith("service update"))
  const UPDATE = "service update --quiet --detach --with-registry-auth"

  testUnless(
    lacking("jq"),
    "logs the services of our registries in again, and leaves others alone",
    async () => {
      expect(await swarm().deliver()).toMatchObject([{ outcome: "delivered" }, { outcome: "delivered" }])
      expect(updates()).toEqual([`${UPDATE} web`, `${UPDATE} worker`])
      const { auths } = JSON.parse(readFileSync(join(folder, "logins"), "utf8"))
      for (const { registry, password } of credentials)
        expect(Buffer.from(auths[registry.host].auth, "base64").toString()).toBe(`AWS:${password.reveal()}`)
    },
  )

  testUnless(lacking("jq"), "leaves no login behind, and shows none to whoever lists processes", async () => {
    await swarm().deliver()
    const configFolder = readFileSync(join(folder, "config-folder"), "utf8").trim()
    expect(existsSync(dirname(configFolder))).toBe(true)
    expect(existsSync(configFolder)).toBe(false)
    const calls = readFileSync(join(folder, "calls"), "utf8")
    expect(credentials.flatMap(credentialForms).filter((form) => calls.includes(form))).toEqual([])
  })

  testUnless(lacking("jq"), "takes the services that are named, and no others", async () => {
    await swarm("unix:///x", ["worker"]).deliver()
    expect(updates()).toEqual([`${UPDATE} worker`])
  })

  testUnless(lacking("jq"), "does not take a docker that is down for one without services", async () => {
    const error = await swarm("down")
      .deliver()
      .catch((error: Error) => error)
    expect(String(error)).toContain("Cannot connect to the Docker daemon")
  })

  testUnless(lacking("jq"), "tries every service, and says which one keeps its old login", async () => {
    const error = await swarm("broken")
      .deliver()
      .catch((error: Error) => error)
    expect(String(error)).toMatch(
      /exit code 1: .*update out of sequence \| service worker still has its old login$/,
    )
    expect(updates()).toHaveLength(2)
    const unknown = await swarm("unix:///x", ["gone", "web"])
      .deliver()
      .catch((error: Error) => error)
    expect(String(unknown)).toContain("no such service: gone")
    expect(updates()).toEqual([`${UPDATE} web`])
  })
})

describe("artifactory", () => {
  type Repository = { readonly url: string; readonly username?: string; readonly password?: string }

  /** Repositories behind the calls that the script makes; POST changes the fields that it holds. */
  function startArtifactory() {
    const repositories = new Map<string, Repository>([
      ["ecr", { url: `https://${REGISTRY.host}/` }],
      ["hub", { url: "https://registry-1.docker.io/" }],
    ])
    let answer: number | undefined
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: async (request) => {
        if (answer) return new Response("", { status: answer })
        if (request.headers.get("authorization") !== "Bearer t0ken") return new Response("", { status: 401 })
        const key = decodeURIComponent(
          new URL(request.url).pathname.replace("/artifactory/api/repositories/", ""),
        )
        const repository = repositories.get(key)
        if (!repository) return new Response("", { status: 400 })
        if (request.method === "GET") return Response.json(repository)
        repositories.set(key, { ...repository, ...((await request.json()) as Partial<Repository>) })
        return new Response(`Repository ${key} update successfully.`)
      },
    })
    return {
      url: `http://127.0.0.1:${server.port}/artifactory`,
      repositories,
      answerWith: (status: number) => {
        answer = status
      },
      stop: () => server.stop(true),
    }
  }

  function artifactory(url: string, token = "t0ken\n", keys = ["ecr", "hub"]) {
    writeFileSync(join(folder, "artifactory-token"), token)
    const options = { command: [join(EXAMPLES, "artifactory"), url, ...keys], answers: ["deliver", "check"] }
    const env = { PATH: process.env.PATH, CREDENTIALS_DIRECTORY: folder }
    return run("artifactory", options, { env, home: process.env.HOME })
  }

  testUnless(
    lacking("python3"),
    "gives the repository of a registry its login, and touches no other",
    async () => {
      const server = startArtifactory()
      try {
        const results = await artifactory(server.url).deliver()
        expect(results).toMatchObject([
          { outcome: "delivered", expiresAt: NOW + hours(12) },
          { outcome: "failed", error: { retryable: false, hint: "name its key" } },
        ])
        expect(server.repositories.get("ecr")).toEqual({
          url: `https://${REGISTRY.host}/`,
          username: "AWS",
          password: credentials[0]?.password.reveal() as string,
        })
        expect(server.repositories.get("hub")).toEqual({ url: "https://registry-1.docker.io/" })
      } finally {
        await server.stop()
      }
    },
  )

  testUnless(
    lacking("python3"),
    "tells a refusal from what may pass, and finds both beforehand",
    async () => {
      const server = startArtifactory()
      try {
        const refused = artifactory(server.url, "wrong")
        const says = {
          code: "command-answered",
          hint: "let the token manage this repository",
          retryable: false,
        }
        expect((await refused.deliver())[0]).toMatchObject({ error: says })
        const { sink } = refused
        const findings = await sink.check?.(sink.targets(REGISTRY), calm())
        expect(findings?.at(-1)).toMatchObject({ level: "error", fix: says.hint })
        server.answerWith(503)
        expect((await artifactory(server.url).deliver())[0]).toMatchObject({ error: { retryable: true } })
      } finally {
        await server.stop()
      }
      expect((await artifactory(server.url).deliver())[0]).toMatchObject({ error: { retryable: true } })
    },
  )

  testUnless(
    lacking("python3"),
    "says that one of the repositories is not to be had, and serves the others",
    async () => {
      const server = startArtifactory()
      try {
        const { deliver, sink } = artifactory(server.url, "t0ken", ["ecr", "typo"])
        const failed = { outcome: "failed", error: { message: expect.stringContaining("repository typo") } }
        expect(await deliver()).toMatchObject([failed, failed])
        expect(server.repositories.get("ecr")?.password).toBe(credentials[0]?.password.reveal())
        expect((await sink.check?.(sink.targets(REGISTRY), calm()))?.at(-1)).toMatchObject({
          level: "error",
          message: expect.stringContaining("repository typo"),
        })
      } finally {
        await server.stop()
      }
    },
  )

  testUnless(lacking("python3"), "says what is missing where there is no token", async () => {
    const env = { PATH: process.env.PATH, CREDENTIALS_DIRECTORY: "/nowhere" }
    const { deliver } = run(
      "artifactory",
      { command: [join(EXAMPLES, "artifactory"), "http://x", "ecr"] },
      { env },
    )
    expect(String(await deliver().catch((error: Error) => error))).toContain("/nowhere/artifactory-token")
  })
})
