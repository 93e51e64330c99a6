// Kubernetes' API as far as the example sink asks it: secrets with optimistic locking and a type that stays, and whether
// a token may do a thing. What it refuses, a real API server of 1.34 refuses with the same status.

/** A secret as the API has it. */
export type KubernetesSecret = {
  readonly type: string
  readonly metadata: { readonly name: string; readonly namespace: string; readonly resourceVersion: string }
  readonly data: Readonly<Record<string, string>>
}

/** An API server that runs. */
export type KubernetesServer = { readonly url: string; stop(): Promise<void> }

/** A token that may do everything with secrets, and one that may nothing. */
export const TOKENS = { writer: "eyJhbGciOiJSUzI1NiIsImtpZCI6IndyaXRlciJ9", nobody: "eyJub2JvZHkiOnRydWV9" }

/** Starts it on a free port of loopback. */
export function startKubernetes(): KubernetesServer {
  const namespaces = new Set<string>()
  const secrets = new Map<string, KubernetesSecret>()
  let version = 1000
  const answer = (code: number, reason: string) =>
    Response.json({ kind: "Status", status: "Failure", reason, code }, { status: code })
  const keep = (namespace: string, given: KubernetesSecret, status: number) => {
    const config = given.data[".dockerconfigjson"]
    try {
      if (given.type.endsWith("dockerconfigjson")) JSON.parse(atob(config ?? ""))
    } catch {
      return answer(422, "Invalid")
    }
    const { name } = given.metadata
    const key = `${namespace}/${name}`
    const metadata = { name, namespace, resourceVersion: String(++version) }
    secrets.set(key, { type: given.type, metadata, data: given.data })
    return Response.json(secrets.get(key), { status })
  }
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const token = request.headers.get("authorization")?.replace("Bearer ", "")
      if (!Object.values(TOKENS).includes(token ?? "")) return answer(401, "Unauthorized")
      const mayWrite = token === TOKENS.writer
      const { pathname } = new URL(request.url)
      if (pathname === "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
        return Response.json({ status: { allowed: mayWrite } }, { status: 201 })
      if (!mayWrite) return answer(403, "Forbidden")
      const given = request.method === "GET" ? undefined : ((await request.json()) as KubernetesSecret)
      if (pathname === "/api/v1/namespaces" && given) {
        namespaces.add(given.metadata.name)
        return Response.json(given, { status: 201 })
      }
      const [, namespace = "", name] =
        /^\/api\/v1\/namespaces\/([^/]+)\/secrets(?:\/([^/]+))?$/.exec(pathname) ?? []
      if (namespace === "") return answer(404, "NotFound")
      const held = secrets.get(`${namespace}/${name}`)
      if (!given) {
        if (name) return held ? Response.json(held) : answer(404, "NotFound")
        const items = [...secrets.values()].filter(({ metadata }) => metadata.namespace === namespace)
        return Response.json({ items: items.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1)) })
      }
      if (request.method === "POST") {
        if (!namespaces.has(namespace)) return answer(404, "NotFound")
        if (secrets.has(`${namespace}/${given.metadata.name}`)) return answer(409, "AlreadyExists")
        return keep(namespace, given, 201)
      }
      if (!held) return answer(404, "NotFound")
      if (given.metadata.resourceVersion !== held.metadata.resourceVersion) return answer(409, "Conflict")
      if (given.type !== held.type) return answer(422, "Invalid")
      return keep(namespace, given, 200)
    },
  })
  return { url: `http://127.0.0.1:${server.port}`, stop: () => server.stop(true) }
}
