// A namespace of Kubernetes as the sink suite wants it: at the API that we stand in for, or at a real API server that
// knows the same tokens, which ECRELAY_TEST_KUBERNETES names (and NODE_EXTRA_CA_CERTS its CA).
import { randomBytes } from "node:crypto"
import { loginInText } from "./docker-file.ts"
import { KUBERNETES_FILE } from "./kubernetes-kind.ts"
import { type KubernetesSecret, startKubernetes, TOKENS } from "./kubernetes-server.ts"
import type { SinkRig } from "./sink-suite.ts"

/** A fresh namespace, and what the API says of it by plain requests. */
export type KubernetesRig = SinkRig & {
  readonly namespace: string
  readonly url: string
  ask(method: string, path: string, body?: object): Promise<Response>
  secret(name: string): Promise<KubernetesSecret | undefined>
}

/** Opens a fresh namespace. */
export async function openKubernetes(): Promise<KubernetesRig> {
  const real = process.env.ECRELAY_TEST_KUBERNETES
  const own = real ? undefined : startKubernetes()
  const url = real ?? own?.url ?? ""
  const namespace = `suite-${randomBytes(4).toString("hex")}`
  const secrets = `/api/v1/namespaces/${namespace}/secrets`
  const headers = { authorization: `Bearer ${TOKENS.writer}`, "content-type": "application/json" }
  const ask = (method: string, path: string, body?: object) =>
    fetch(url + path, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) })
  const make = async (name: string, type: string, data: object) => {
    const made = { apiVersion: "v1", kind: "Secret", type, metadata: { name }, data }
    const response = await ask("POST", secrets, made)
    if (!response.ok) throw new Error(await response.text())
  }
  const secret = async (name: string) => {
    const response = await ask("GET", `${secrets}/${name}`)
    return response.ok ? ((await response.json()) as KubernetesSecret) : undefined
  }
  const all = async () => (await (await ask("GET", secrets)).json()).items as readonly KubernetesSecret[]
  await ask("POST", "/api/v1/namespaces", {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: namespace },
  })
  let broken = false
  const breakable = (async (input, init) =>
    broken && init?.method !== "GET"
      ? new Response("{}", { status: 500 })
      : fetch(input, init)) as typeof fetch
  const optionsFor = (token: string, api = url) => ({
    path: KUBERNETES_FILE,
    api,
    token,
    namespace: [namespace],
    name: "ecr-{account}-{region}",
  })
  const nameIn = (slot: string) => /\/(\S+)/.exec(slot)?.[1] ?? ""
  return {
    namespace,
    url,
    ask,
    secret,
    setup: { options: optionsFor(TOKENS.writer), deps: { fetch: breakable } },
    stored: async ({ slot, registry }) => {
      const found = await secret(nameIn(slot))
      return found?.type === TYPE ? loginInText(textOf(found), registry.host) : undefined
    },
    snapshot: all,
    seedNeighbours: async () => {
      for (const name of ["ecr", "ecr-123456789012", "db"])
        await make(name, "Opaque", { password: btoa("beside") })
    },
    neighbours: async () => (await all()).filter(({ metadata }) => !/^ecr-\d+-./.test(metadata.name)),
    unreachable: async () => ({ options: optionsFor(TOKENS.writer, "http://127.0.0.1:9") }),
    silent: async (port) => ({ options: optionsFor(TOKENS.writer, `http://127.0.0.1:${port}`) }),
    refused: async () => ({ options: optionsFor(TOKENS.nobody) }),
    breakDelivery: async () => {
      broken = true
      return async () => {
        broken = false
      }
    },
    spoil: async ({ slot }) => make(nameIn(slot), "Opaque", { password: btoa("theirs") }),
    distort: async ({ slot, registry }) => {
      const found = await secret(nameIn(slot))
      const config = found && JSON.parse(textOf(found))
      Object.assign(config.auths[registry.host], { username: "AWS" })
      const data = { [KEY]: btoa(JSON.stringify(config)) }
      await ask("PUT", `${secrets}/${nameIn(slot)}`, { ...found, data })
    },
    secrets: Object.values(TOKENS),
    close: async () => own?.stop(),
  }
}

const TYPE = "kubernetes.io/dockerconfigjson"
const KEY = ".dockerconfigjson"

/** The docker config in a secret. */
export const textOf = ({ data }: KubernetesSecret): string => atob(data[KEY] ?? "")
