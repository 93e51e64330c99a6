// Vault's KV engine of version 2 as far as the example sink asks it: versions, check-and-set, deletions, one token.

/** A secret and how often it was written. */
type Stored = { readonly version: number; readonly data: Readonly<Record<string, unknown>> | undefined }

/** A Vault that runs. */
export type VaultServer = {
  readonly url: string
  /** By path below the mount `secret`. */
  readonly secrets: Map<string, Stored>
  /** What it answers to writes instead of taking them. */
  failWrites(status: number | undefined): void
  stop(): Promise<void>
}

/** The one token that it takes. */
export const VAULT_TOKEN = "hvs.CAESIJk2v0xT0kenOfTheTests"

/** Starts it on a free port of loopback. */
export function startVault(): VaultServer {
  const secrets = new Map<string, Stored>()
  let failure: number | undefined
  const missing = (stored: Stored | undefined) =>
    stored
      ? { data: { data: null, metadata: { version: stored.version, deletion_time: "2026-01-01T00:00:00Z" } } }
      : { errors: [] }
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      if (request.headers.get("authorization") !== `Bearer ${VAULT_TOKEN}`)
        return Response.json({ errors: ["permission denied"] }, { status: 403 })
      const path = /^\/v1\/secret\/data\/(.+)$/.exec(new URL(request.url).pathname)?.[1]
      if (!path) return Response.json({ errors: ["no handler for route"] }, { status: 404 })
      const stored = secrets.get(path)
      if (request.method === "GET") {
        if (!stored?.data) return Response.json(missing(stored), { status: 404 })
        return Response.json({ data: { data: stored.data, metadata: { version: stored.version } } })
      }
      if (failure) return Response.json({ errors: ["internal error"] }, { status: failure })
      const { data, options } = (await request.json()) as {
        data: Stored["data"]
        options?: { cas?: number }
      }
      if (options?.cas !== undefined && options.cas !== (stored?.version ?? 0))
        return Response.json({ errors: ["check-and-set parameter did not match"] }, { status: 400 })
      const version = (stored?.version ?? 0) + 1
      secrets.set(path, { version, data })
      return Response.json({ data: { version } })
    },
  })
  return {
    url: `http://127.0.0.1:${server.port}`,
    secrets,
    failWrites: (status) => {
      failure = status
    },
    stop: () => server.stop(true),
  }
}
