// A small docker daemon: takes logins and pulls as the real one does over HTTP, and records what came with them.
import { expect } from "bun:test"

/** A login as docker's clients send it. */
type DockerLogin = {
  readonly username: string
  readonly password: string
  readonly serveraddress: string
}

/** A daemon that runs. */
export type DockerDaemon = {
  /** As DOCKER_HOST and DockerHook's `base_url` take it. */
  readonly url: string
  /** Bodies of `POST /auth`, oldest first. */
  readonly logins: readonly DockerLogin[]
  /** Pulls, with what their header X-Registry-Auth held; undefined is an anonymous pull. */
  readonly pulls: readonly { readonly image: string; readonly auth: DockerLogin | undefined }[]
  [Symbol.dispose](): void
}

/** Starts a daemon on a free port of loopback. Hold it by `using`. */
export function startDockerDaemon(): DockerDaemon {
  const logins: DockerLogin[] = []
  const pulls: DockerDaemon["pulls"][number][] = []
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const url = new URL(request.url)
      const path = url.pathname.replace(/^\/v[\d.]+/, "")
      if (path === "/_ping") return new Response("OK", { headers: { "Api-Version": "1.43" } })
      if (path === "/auth") {
        logins.push((await request.json()) as DockerLogin)
        return Response.json({ Status: "Login Succeeded", IdentityToken: "" })
      }
      if (path === "/images/create") {
        const image = `${url.searchParams.get("fromImage")}:${url.searchParams.get("tag")}`
        pulls.push({ image, auth: decodeAuth(request.headers.get("X-Registry-Auth")) })
        return Response.json({ status: `Status: Downloaded newer image for ${image}` })
      }
      return Response.json({ message: `page not found: ${path}` }, { status: 404 })
    },
  })
  return {
    url: `tcp://127.0.0.1:${server.port}`,
    logins,
    pulls,
    [Symbol.dispose]: () => void server.stop(true),
  }
}

function decodeAuth(header: string | null): DockerLogin | undefined {
  return header === null ? undefined : JSON.parse(Buffer.from(header, "base64url").toString())
}

/** That the daemon was logged in to, and pulled from, with exactly this login. */
export function expectPulledWith(
  { logins, pulls }: DockerDaemon,
  wanted: { readonly host: string; readonly password: string },
): void {
  const login = { username: "AWS", password: wanted.password, serveraddress: wanted.host }
  expect(logins.at(-1)).toMatchObject(login)
  expect(pulls.at(-1)).toEqual({
    image: `${wanted.host}/team/app:1`,
    auth: expect.objectContaining(login) as DockerLogin,
  })
}
