// The example sink for Kubernetes: the sink contract, and what is special about it.
import { afterAll, beforeAll, expect, test } from "bun:test"
import type { SinkDeps } from "../../src/sink.ts"
import { makeCredential } from "../support/credentials.ts"
import { type KubernetesRig, openKubernetes, textOf } from "../support/kubernetes.ts"
import kind, { KUBERNETES_FILE } from "../support/kubernetes-kind.ts"
import { TOKENS } from "../support/kubernetes-server.ts"
import { testSink } from "../support/sink-suite.ts"
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

testSink({
  kind,
  file: import.meta.resolve("../support/kubernetes-kind.ts"),
  place: "Kubernetes",
  open: openKubernetes,
})

let rig: KubernetesRig
beforeAll(async () => {
  rig = await openKubernetes()
})
afterAll(() => rig.close())

const sinkFor = (options: object, deps: Partial<SinkDeps> = {}) =>
  makeSink(
    kind,
    { path: KUBERNETES_FILE, api: rig.url, token: TOKENS.writer, namespace: [rig.namespace], ...options },
    testDeps(deps),
  )
const fresh = (registry = REGISTRY) => makeCredential({ registry, expiresAt: NOW + hours(12), size: 300 })

async function deliver(options: object, deps: Partial<SinkDeps> = {}, credentials = [fresh()]) {
  const sink = sinkFor(options, deps)
  return sink.deliver(deliveriesOf(sink, credentials), calm())
}

test("registries share one secret, beside what others keep in it", async () => {
  const theirs = { auths: { "ghcr.io": { auth: "dTpw" } }, HttpHeaders: { a: "b" } }
  const data = { ".dockerconfigjson": btoa(JSON.stringify(theirs)), "notes.txt": btoa("keep") }
  const made = { apiVersion: "v1", kind: "Secret", type: "kubernetes.io/dockerconfigjson", data }
  await rig.ask("POST", `/api/v1/namespaces/${rig.namespace}/secrets`, {
    ...made,
    metadata: { name: "shared" },
  })
  const results = await deliver({ name: "shared" }, {}, [fresh(), fresh(ZERO_REGISTRY)])
  expect(results.map(({ outcome }) => outcome)).toEqual(["delivered", "delivered"])
  const secret = await rig.secret("shared")
  const config = secret && JSON.parse(textOf(secret))
  expect(Object.keys(config.auths)).toEqual(["ghcr.io", REGISTRY.host, ZERO_REGISTRY.host])
  expect({ ...config, auths: { "ghcr.io": config.auths["ghcr.io"] } }).toEqual(theirs)
  expect(secret?.data["notes.txt"]).toBe(btoa("keep"))
})

test("each namespace has a secret of its own, and one that is not there is said", async () => {
  const results = await deliver({ name: "each", namespace: [rig.namespace, "nowhere"] })
  expect(results).toMatchObject([
    { outcome: "delivered" },
    { outcome: "failed", error: { code: "no-namespace" } },
  ])
})

test("does not replace what somebody wrote while it was looking", async () => {
  await deliver({ name: "raced" })
  const meddling = (async (input, init) => {
    if (init?.method === "PUT") {
      const secret = await rig.secret("raced")
      const data = { ".dockerconfigjson": btoa('{"auths":{"theirs":{}}}') }
      await rig.ask("PUT", `/api/v1/namespaces/${rig.namespace}/secrets/raced`, { ...secret, data })
    }
    return fetch(input, init)
  }) as typeof fetch
  const results = await deliver({ name: "raced" }, { fetch: meddling })
  expect(results).toMatchObject([
    { outcome: "failed", error: { code: "changed-meanwhile", retryable: true } },
  ])
  const secret = await rig.secret("raced")
  expect(secret && textOf(secret)).toBe('{"auths":{"theirs":{}}}')
})

test("check asks the API whether RBAC lets it write, and writes nothing", async () => {
  const readable = (async (input, init) =>
    init?.method === "GET" ? new Response("{}", { status: 404 }) : fetch(input, init)) as typeof fetch
  const sink = sinkFor({ token: TOKENS.nobody }, { fetch: readable })
  expect(await sink.check?.(sink.targets(REGISTRY), calm())).toMatchObject([
    {
      level: "error",
      code: "forbidden",
      message: "RBAC forbids to create it",
      fix: expect.stringContaining("allow create"),
    },
  ])
})

test("an entry that is no login at all is said to differ, and replaced", async () => {
  for (const [i, entry] of [null, {}, { auth: 7 }, { auth: "%%" }, { auth: btoa("eva:x") }].entries()) {
    const data = { ".dockerconfigjson": btoa(JSON.stringify({ auths: { [REGISTRY.host]: entry } })) }
    const made = { apiVersion: "v1", kind: "Secret", type: "kubernetes.io/dockerconfigjson", data }
    const name = `odd-${i}`
    await rig.ask("POST", `/api/v1/namespaces/${rig.namespace}/secrets`, { ...made, metadata: { name } })
    const sink = sinkFor({ name })
    const targets = sink.targets(REGISTRY)
    expect(await sink.read?.(targets, calm())).toMatchObject([{ state: "held", differs: expect.any(String) }])
    expect(await deliver({ name })).toMatchObject([{ outcome: "delivered" }])
    expect(await sink.read?.(targets, calm())).toEqual([{ state: "held", expiresAt: NOW + hours(12) }])
  }
})

test("follows no redirect, which would lead the token elsewhere", async () => {
  const visits: string[] = []
  const elsewhere = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: ({ url }) => {
      visits.push(url)
      return Response.json({}, { status: 404 })
    },
  })
  const redirecting = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => Response.redirect(elsewhere.url.href),
  })
  try {
    const results = await deliver({ api: redirecting.url.href })
    expect(results).toMatchObject([{ outcome: "failed", error: { code: "api-failed", retryable: false } }])
    expect(visits).toEqual([])
  } finally {
    await Promise.all([elsewhere.stop(true), redirecting.stop(true)])
  }
})

test("in a pod it finds the API and the token by itself, and elsewhere says what it lacks", async () => {
  const asked: (readonly [string, string | null])[] = []
  const pod = {
    env: { KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "443" },
    secret: async (reference: string) => testDeps().secret(reference.replace("file:", "token of ")),
    fetch: (async (input, init) => {
      asked.push([String(input), new Headers(init?.headers).get("authorization")])
      return new Response("{}", { status: 404 })
    }) as typeof fetch,
  }
  const sink = makeSink(kind, { path: KUBERNETES_FILE, namespace: ["batch"] }, testDeps(pod))
  await sink.read?.(sink.targets(REGISTRY), calm())
  expect(asked).toEqual([
    [
      "https://10.96.0.1:443/api/v1/namespaces/batch/secrets/ecr",
      "Bearer token of /var/run/secrets/kubernetes.io/serviceaccount/token",
    ],
  ])
  expect(() => makeSink(kind, { path: KUBERNETES_FILE, namespace: ["batch"] })).toThrow(
    "is required outside a pod",
  )
})
