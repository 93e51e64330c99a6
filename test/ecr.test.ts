// The call to AWS: the real SDK over a real socket against the local stand-in, and what its failures come to.
import { afterAll, beforeEach, expect, test } from "bun:test"
import { createServer } from "node:net"
import { DEMO_IDENTITY, type Identity, type StandIn, startAws } from "../scripts/aws.ts"
import { createAuthority } from "../scripts/services/certificate.ts"
import { systemClock } from "../src/clock.ts"
import { expiryOf } from "../src/credential.ts"
import { FetchError } from "../src/errors.ts"
import { deliveriesOf } from "../src/plan.ts"
import type { Principal } from "../src/principal.ts"
import { refresh } from "../src/refresh.ts"
import type { Source } from "../src/source.ts"
import { createTokenStore } from "../src/tokens.ts"
import { homeWith, keysOf, withAws } from "./support/aws-environment.ts"
import { fakeSink, fakeWorld, HOUR, MINUTE, ownIn, planOf, registryAt } from "./support/fakes.ts"
import { secretForms, textOf } from "./support/secrets.ts"

const OTHER: Identity = {
  accessKeyId: "AKIDOTHER",
  secretAccessKey: "another-secret-key",
  account: "222222222222",
}
const never = new AbortController().signal

let standIn: StandIn = startAws({ identities: [DEMO_IDENTITY, OTHER] })
beforeEach(async () => {
  await standIn.stop()
  standIn = startAws({ identities: [DEMO_IDENTITY, OTHER] })
})
afterAll(() => standIn.stop())

const sourceIn = (region: string, principal: Principal = {}): Source => ({
  service: "ecr",
  region,
  principal,
})
const here = () => ({ ...keysOf(), AWS_ENDPOINT_URL: standIn.url })

function failureOf(variables: Record<string, string>, source = sourceIn("eu-west-1"), signal = never) {
  return withAws(variables, (aws) =>
    aws.fetchToken(source, signal).then(
      () => {
        throw new Error("it was expected to fail")
      },
      (error: unknown) => {
        if (!(error instanceof FetchError)) throw error
        return error
      },
    ),
  )
}

test("a token is decoded: user name, password, expiry and the caller's own account with its leading zero", async () => {
  const token = await withAws(here(), (aws) => aws.fetchToken(sourceIn("eu-west-1"), never))
  expect(token).toMatchObject({ userName: "AWS", account: "012345678901" })
  expect(expiryOf(token.password.reveal())).toBe(token.expiresAt)
  expect(Math.abs(token.expiresAt - Date.now() - 12 * HOUR)).toBeLessThan(MINUTE)
  expect(standIn.calls).toMatchObject([
    { operation: "GetAuthorizationToken", region: "eu-west-1", account: "012345678901" },
  ])
})

test("ECR Public answers from us-east-1, and has no account", async () => {
  const source: Source = { service: "ecr-public", region: "us-east-1", principal: {} }
  const token = await withAws(here(), (aws) => aws.fetchToken(source, never))
  expect(token).toMatchObject({ userName: "AWS", account: undefined })
  expect(standIn.calls).toMatchObject([{ operation: "ecr-public", region: "us-east-1" }])
})

test("what ECR Public refuses is told with both permissions that it needs", async () => {
  const denied = { kind: "error", status: 400, type: "AccessDeniedException", message: "no" } as const
  standIn.fail("ecr-public", denied, 1)
  const error = await failureOf(here(), { service: "ecr-public", region: "us-east-1", principal: {} })
  expect(error).toMatchObject({ code: "access-denied", retryable: false })
  expect(error.hint).toStartWith("allow ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken")
})

test("the account behind an identity is told by STS", async () => {
  expect(
    await withAws({ ...keysOf(OTHER), AWS_ENDPOINT_URL: standIn.url }, (aws) =>
      aws.fetchAccount(sourceIn("eu-west-1"), never),
    ),
  ).toBe("222222222222")
  expect(standIn.calls.map(({ operation }) => operation)).toEqual(["GetCallerIdentity"])
})

test("six registries in three sinks from two regions are two calls", async () => {
  await withAws(here(), async (aws) => {
    const tokens = createTokenStore({
      aws,
      clock: systemClock,
      random: () => 0,
      intervalMs: undefined,
      timeoutMs: MINUTE,
    })
    const registries = [
      ownIn("eu-west-1"),
      registryAt("111111111111.dkr.ecr.eu-west-1.amazonaws.com"),
      registryAt("222222222222.dkr.ecr-fips.eu-west-1.amazonaws.com"),
      ownIn("us-east-1"),
      registryAt("111111111111.dkr.ecr.us-east-1.amazonaws.com"),
      registryAt("111111111111.dkr-ecr.us-east-1.on.aws"),
    ]
    const sinks = ["one", "two", "three"].map((name) => fakeSink(name, systemClock))
    const plan = planOf(sinks, registries)
    const { deps } = fakeWorld()
    const world = { ...deps, plan, tokens, clock: systemClock }
    const outcomes = await refresh(deliveriesOf(plan), world, never)
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(Array(18).fill("delivered"))
  })
  expect(standIn.calls.map(({ operation, region }) => `${operation} ${region}`).sort()).toEqual([
    "GetAuthorizationToken eu-west-1",
    "GetAuthorizationToken us-east-1",
  ])
})

test("every call is signed for the source's own region, whatever AWS_REGION says", async () => {
  await withAws({ ...here(), AWS_REGION: "sa-east-1" }, async (aws) => {
    for (const region of ["eu-west-1", "cn-north-1", "us-gov-west-1"])
      await aws.fetchToken(sourceIn(region), never)
  })
  expect(standIn.calls.map(({ region }) => region)).toEqual(["eu-west-1", "cn-north-1", "us-gov-west-1"])
})

test("keys that change between two calls are seen by the second", async () => {
  const accounts: (string | undefined)[] = []
  for (const identity of [DEMO_IDENTITY, OTHER])
    accounts.push(
      await withAws(
        { ...keysOf(identity), AWS_ENDPOINT_URL: standIn.url },
        async (aws) => (await aws.fetchToken(sourceIn("eu-west-1"), never)).account,
      ),
    )
  expect(accounts).toEqual(["012345678901", "222222222222"])
})

test("the SDK repeats within a call what AWS throttles", async () => {
  standIn.fail(
    "GetAuthorizationToken",
    { kind: "error", status: 400, type: "ThrottlingException", message: "Rate exceeded" },
    2,
  )
  await withAws({ ...here(), AWS_MAX_ATTEMPTS: "3" }, (aws) => aws.fetchToken(sourceIn("eu-west-1"), never))
  expect(standIn.calls).toHaveLength(3)
})

test("AWS_MAX_ATTEMPTS is honoured", async () => {
  standIn.fail(
    "GetAuthorizationToken",
    { kind: "error", status: 500, type: "ServerException", message: "no" },
    9,
  )
  await failureOf({ ...here(), AWS_MAX_ATTEMPTS: "2" })
  expect(standIn.calls).toHaveLength(2)
})

test.each([
  ["ThrottlingException", 400, "throttled", true, "throttled the call"],
  ["ServerException", 500, "aws", true, "AWS gave no token"],
  ["ServiceUnavailable", 503, "aws", true, "AWS gave no token"],
  ["AccessDeniedException", 400, "access-denied", false, "refused access"],
  ["UnrecognizedClientException", 403, "credentials-invalid", false, "does not know this access key"],
  ["ExpiredTokenException", 403, "credentials-expired", false, "have expired"],
  ["InvalidSignatureException", 403, "signature", false, "did not accept the signature"],
  ["RequestExpired", 400, "signature", false, "did not accept the signature"],
  ["SomethingNewException", 400, "aws", false, "AWS gave no token"],
] as const)("%s (%d) is %s, retryable %p", async (type, status, code, retryable, text) => {
  standIn.fail("GetAuthorizationToken", { kind: "error", status, type, message: "What AWS itself says." }, 9)
  const error = await failureOf(here())
  expect(error).toMatchObject({ code, retryable, principal: "default credentials", registry: "eu-west-1" })
  expect(error.message).toStartWith("eu-west-1: ")
  expect(error.message).toContain(text)
  expect(error.message).toContain("What AWS itself says.")
  if (code !== "aws") expect(error.hint).toBeTruthy()
})

test("a wrong secret is about the key, and says nothing of it", async () => {
  const error = await failureOf({ ...here(), AWS_SECRET_ACCESS_KEY: "wrong-secret-access-key" })
  expect(error).toMatchObject({ code: "signature", retryable: false })
  for (const form of secretForms("wrong-secret-access-key"))
    expect(`${error.message} ${error.hint}`).not.toContain(form)
})

test("a wrong key id is a key that AWS does not know", async () => {
  expect(await failureOf({ ...here(), AWS_ACCESS_KEY_ID: "AKIDNOBODY" })).toMatchObject({
    code: "credentials-invalid",
    retryable: false,
  })
})

test("no credentials at all is said with the ways to give some, and nothing is written to the terminal", async () => {
  const error = await failureOf({ AWS_ENDPOINT_URL: standIn.url })
  expect(error).toMatchObject({ code: "no-credentials", retryable: false })
  expect(error.message).toStartWith("eu-west-1: no AWS credentials found")
  expect(error.hint).toContain("AWS_ACCESS_KEY_ID")
})

test("an empty answer is no token, and may be one the next time", async () => {
  standIn.fail("GetAuthorizationToken", { kind: "empty" })
  const error = await failureOf(here())
  expect(error).toMatchObject({ code: "no-token", retryable: true })
})

test("an endpoint that is no ECR is no token either", async () => {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => new Response("<html>Welcome</html>"),
  })
  const error = await failureOf({ ...keysOf(), AWS_ENDPOINT_URL: `http://127.0.0.1:${server.port}` })
  await server.stop(true)
  expect(error.message).toStartWith("eu-west-1: ")
  expect(error.message).not.toContain("Welcome")
})

test("no redirect is followed: whose keys sign a call is told to nobody but whom it is for", async () => {
  const asked: string[] = []
  const elsewhere = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: ({ headers }) => Response.json({ asked: asked.push(headers.get("x-amz-security-token") ?? "") }),
  })
  const location = `http://127.0.0.1:${elsewhere.port}/`
  const there = () => new Response("", { status: 307, headers: { location } })
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: there })
  const url = `http://127.0.0.1:${server.port}`
  const error = await failureOf({ ...keysOf(), AWS_SESSION_TOKEN: "the-session", AWS_ENDPOINT_URL: url })
  await Promise.all([server.stop(true), elsewhere.stop(true)])
  expect(error).toMatchObject({ code: "not-aws", retryable: false })
  expect(asked).toEqual([])
})

test.each([
  ['{"authorizationData":[{"authorizationToken":"QVdTOnA=","expiresAt":"soon"}]}'],
  ['{"authorizationData":[{"authorizationToken":"QVdTOnA="}]}'],
  ['{"authorizationData":[{"authorizationToken":"not base64 at all","expiresAt":1790000000}]}'],
  ['{"authorizationData":[{"authorizationToken":"QVdT","expiresAt":1790000000}]}'],
  ['{"authorizationData":null}'],
  ["{}"],
])("the answer %s is refused", async (body) => {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response(body) })
  const error = await failureOf({ ...keysOf(), AWS_ENDPOINT_URL: `http://127.0.0.1:${server.port}` })
  await server.stop(true)
  expect(error).toBeInstanceOf(FetchError)
})

test("an AWS that hangs is given up as soon as time is over", async () => {
  standIn.fail("GetAuthorizationToken", { kind: "hang" })
  const error = await failureOf(here(), sourceIn("eu-west-1"), AbortSignal.timeout(50))
  expect(error).toMatchObject({
    code: "timeout",
    retryable: true,
    message: "eu-west-1: no answer from AWS in time",
  })
})

test("a process that is stopped says so, and not that AWS was slow", async () => {
  standIn.fail("GetAuthorizationToken", { kind: "hang" })
  const stop = new AbortController()
  const failing = failureOf(here(), sourceIn("eu-west-1"), stop.signal)
  setTimeout(() => stop.abort(new Error("stopped by SIGTERM")), 20)
  expect(await failing).toMatchObject({ code: "stopped", retryable: false })
})

test("a search for credentials that hangs is given up too, though the SDK takes no signal for it", async () => {
  const HOME = await homeWith({ config: "[profile stuck]\ncredential_process = sleep 5\n" })
  const error = await failureOf(
    { HOME, AWS_ENDPOINT_URL: standIn.url },
    sourceIn("eu-west-1", { profile: "stuck" }),
    AbortSignal.timeout(50),
  )
  expect(error).toMatchObject({ code: "timeout", principal: "profile stuck" })
})

test("a port where nobody listens is AWS that cannot be reached, and worth another try", async () => {
  const error = await failureOf({ ...keysOf(), AWS_ENDPOINT_URL: "http://127.0.0.1:1" })
  expect(error).toMatchObject({ code: "unreachable", retryable: true })
  expect(error.hint).toContain("HTTPS_PROXY")
})

test("a name that does not resolve is AWS that cannot be reached", async () => {
  expect(await failureOf({ ...keysOf(), AWS_ENDPOINT_URL: "http://ecr.invalid" })).toMatchObject({
    code: "unreachable",
    retryable: true,
  })
})

test("a connection that is closed in the midst is worth another try", async () => {
  const server = createServer((socket) => socket.once("data", () => socket.destroy()))
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as { port: number }
  const error = await failureOf({ ...keysOf(), AWS_ENDPOINT_URL: `http://127.0.0.1:${port}` })
  server.close()
  expect(error).toMatchObject({ code: "unreachable", retryable: true })
})

test("a certificate of nobody is refused with the way to trust it, and no other attempt helps", async () => {
  const { certificate, key } = createAuthority("nobody").issue("127.0.0.1", ["127.0.0.1"])
  const untrusted = startAws({ tls: { cert: certificate, key } })
  const error = await failureOf({ ...keysOf(), AWS_ENDPOINT_URL: untrusted.url })
  await untrusted.stop()
  expect(error).toMatchObject({ code: "tls-untrusted", retryable: false })
  expect(error.hint).toContain("AWS_CA_BUNDLE")
})

test("a certificate for another host is refused", async () => {
  const authority = createAuthority("a company")
  const { certificate, key } = authority.issue("elsewhere.test", ["elsewhere.test"])
  const elsewhere = startAws({ tls: { cert: certificate, key } })
  const bundle = `${await homeWith({ "ca.pem": authority.certificate })}/.aws/ca.pem`
  const error = await failureOf({
    ...keysOf(),
    AWS_ENDPOINT_URL: elsewhere.url,
    AWS_CA_BUNDLE: bundle,
  })
  await elsewhere.stop()
  expect(error).toMatchObject({ code: "tls-certificate", retryable: false })
})

test("no error tells a key, a token or a password in any way that it could be printed", async () => {
  standIn.fail(
    "GetAuthorizationToken",
    { kind: "error", status: 403, type: "AccessDeniedException", message: "no" },
    9,
  )
  const error = await failureOf(here())
  const shown = [error.message, error.hint, error.stack, JSON.stringify(error)].join("\n")
  for (const form of secretForms(DEMO_IDENTITY.secretAccessKey)) expect(shown).not.toContain(form)
})

test("a token never shows, however it is printed", async () => {
  const token = await withAws(here(), (aws) => aws.fetchToken(sourceIn("eu-west-1"), never))
  const shown = textOf(token)
  for (const form of secretForms(token.password.reveal())) expect(shown).not.toContain(form)
})
