// The probe: what a registry says to a new login, and what becomes of the delivery.
import { afterAll, beforeEach, expect, test } from "bun:test"
import { systemClock } from "../src/clock.ts"
import { deliveriesOf } from "../src/plan.ts"
import { createProbe } from "../src/probe.ts"
import { refresh } from "../src/refresh.ts"
import { parseRegistry, type Registry } from "../src/registry.ts"
import { fakeClock } from "./support/clock.ts"
import { makeCredential } from "./support/credentials.ts"
import {
  ACCOUNT,
  fakeSink,
  fakeWorld,
  HOUR,
  hang,
  MINUTE,
  planOf,
  registryAt,
  START,
} from "./support/fakes.ts"
import { REGISTRY } from "./support/sinks.ts"

const HOST = `${ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com`
const OTHER = "999999999999.dkr.ecr.eu-west-1.amazonaws.com"
const never = new AbortController().signal

type Asked = { readonly url: string; readonly authorization: string | null }
let asked: Asked[] = []
let answer: (url: URL, request: Request) => Response = () => new Response("{}")
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch(request) {
    const url = new URL(request.url)
    asked.push({
      url: `${request.headers.get("x-host")}${url.pathname}${url.search}`,
      authorization: request.headers.get("authorization"),
    })
    return answer(url, request)
  },
})
afterAll(() => server.stop(true))
beforeEach(() => {
  asked = []
  answer = () => new Response("{}")
})

// Every host is the server above, which is told for whom it stands.
const toServer = ((input: string, init?: RequestInit) => {
  const url = new URL(input)
  return fetch(`http://127.0.0.1:${server.port}${url.pathname}${url.search}`, {
    ...init,
    headers: { ...(init?.headers as Record<string, string>), "x-host": `${url.protocol}//${url.host}` },
  })
}) as typeof fetch

const probeOver = (fetchIt: typeof fetch = toServer) =>
  createProbe({ env: {}, fetch: fetchIt, clock: systemClock })
const credentialFor = (registry: Registry) => makeCredential({ registry, expiresAt: START + 12 * HOUR })

test("a login is tried as docker would try it, and an answer without complaint accepts it", async () => {
  const credential = credentialFor(REGISTRY)
  expect(await probeOver()(credential, never)).toEqual({ answer: "accepted" })
  const login = Buffer.from(`AWS:${credential.password.reveal()}`).toString("base64")
  expect(asked).toEqual([{ url: `https://${REGISTRY.host}/v2/`, authorization: `Basic ${login}` }])
})

test.each([401, 403])("%d refuses it", async (status) => {
  answer = () =>
    new Response("", {
      status,
      headers: { "www-authenticate": `Basic realm="https://${HOST}/",service="ecr.amazonaws.com"` },
    })
  expect(await probeOver()(credentialFor(REGISTRY), never)).toEqual({ answer: "refused", status })
})

test.each([404, 429, 500, 503])("%d says nothing about the login", async (status) => {
  answer = () => new Response("", { status })
  expect(await probeOver()(credentialFor(REGISTRY), never)).toEqual({
    answer: "none",
    why: `it answered ${status}`,
  })
})

test("a redirect is not followed with the login", async () => {
  answer = () => Response.redirect("https://elsewhere.example/v2/", 307)
  expect(await probeOver()(credentialFor(REGISTRY), never)).toEqual({
    answer: "none",
    why: "it answered 307",
  })
  expect(asked).toHaveLength(1)
})

test("ECR Public's login is tried where its challenge sends it, and there only on its own host", async () => {
  const credential = credentialFor(parseRegistry("public.ecr.aws") as Registry)
  let realm = "https://public.ecr.aws/token/"
  answer = ({ pathname }, request) => {
    if (pathname === "/token/" && request.headers.has("authorization")) return new Response("{}")
    const challenge = `Bearer realm="${realm}",service="public.ecr.aws"`
    return new Response("", { status: 401, headers: { "www-authenticate": challenge } })
  }
  expect(await probeOver()(credential, never)).toEqual({ answer: "accepted" })
  expect(asked.map(({ url }) => url)).toEqual([
    "https://public.ecr.aws/v2/",
    "https://public.ecr.aws/token/?service=public.ecr.aws",
  ])
  for (realm of ["https://elsewhere.example/token/", "http://public.ecr.aws/token/", "/token/"]) {
    asked = []
    expect(await probeOver()(credentialFor(credential.registry), never)).toMatchObject({ answer: "refused" })
    expect(asked).toHaveLength(1)
  }
})

test("a registry that cannot be reached is no refusal", async () => {
  const gone = (() => fetch("http://127.0.0.1:1/")) as unknown as typeof fetch
  expect(await probeOver(gone)(credentialFor(REGISTRY), never)).toMatchObject({ answer: "none" })
  const clock = fakeClock(START)
  const silent = ((_: string, { signal }: RequestInit) =>
    hang(signal as AbortSignal)) as unknown as typeof fetch
  const probing = createProbe({ env: {}, fetch: silent, clock })(credentialFor(REGISTRY), never)
  await clock.advance(MINUTE)
  expect(await probing).toMatchObject({ answer: "none" })
})

test("what was accepted once is not asked again, for this login and this host", async () => {
  const probe = probeOver()
  const credential = credentialFor(REGISTRY)
  await probe(credential, never)
  await probe(credential, never)
  expect(asked).toHaveLength(1)
  await probe({ ...credential, registry: parseRegistry(OTHER) as Registry }, never)
  await probe(credentialFor(REGISTRY), never)
  expect(asked).toHaveLength(3)
})

test("a refused login is written nowhere, and the others are", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock)
  const registries = [HOST, OTHER].map((host) => ({ ...registryAt(host), probe: true }))
  answer = (_, request) =>
    new Response("", { status: request.headers.get("x-host")?.includes(OTHER) ? 403 : 200 })
  const plan = planOf([sink], registries)
  const outcomes = await refresh(deliveriesOf(plan), { ...world.deps, plan, probe: probeOver() }, never)
  expect(outcomes).toMatchObject([
    { outcome: "delivered" },
    {
      outcome: "failed",
      error: {
        code: "probe-refused",
        message: `${OTHER}: the registry refuses the new login (403)`,
        retryable: false,
      },
    },
  ])
  expect(sink.held.size).toBe(1)
})

test("a registry that could not be asked is a warning beside the delivery", async () => {
  const world = fakeWorld()
  const sink = fakeSink("one", world.clock)
  answer = () => new Response("", { status: 503 })
  const plan = planOf([sink], [{ ...registryAt(HOST), probe: true }])
  const [outcome] = await refresh(deliveriesOf(plan), { ...world.deps, plan, probe: probeOver() }, never)
  expect(outcome).toMatchObject({
    outcome: "delivered",
    warning: `the login was not tried at ${HOST}: it answered 503`,
  })
})

test("nobody asks a registry that is not to be probed", async () => {
  const world = fakeWorld()
  const plan = planOf([fakeSink("one", world.clock)], [registryAt(HOST)])
  await refresh(deliveriesOf(plan), { ...world.deps, plan, probe: probeOver() }, never)
  expect(asked).toEqual([])
})
