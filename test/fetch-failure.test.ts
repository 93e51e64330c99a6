// What it means when AWS gives no token, where a proxy stands between: the program in a process of its own, since the
// runtime reads the proxy variables itself. Errors of AWS over a real socket are in `ecr.test.ts`.
import { expect, test } from "bun:test"
import { createServer } from "node:net"
import { fileURLToPath } from "node:url"
import { asFetchError } from "../src/fetch-failure.ts"
import type { Source } from "../src/source.ts"
import { homeWith, keysOf } from "./support/aws-environment.ts"
import { secretForms } from "./support/secrets.ts"

const SOURCE: Source = { service: "ecr", region: "eu-west-1", principal: {} }
const never = new AbortController().signal

/** The failure of asking for a token through a proxy. AWS itself is never reached. */
async function failureThrough(proxy: string): Promise<string> {
  const child = Bun.spawn(
    [process.execPath, fileURLToPath(import.meta.resolve("./support/fetch-token.ts"))],
    {
      env: { HOME: await homeWith({}), ...keysOf(), AWS_MAX_ATTEMPTS: "1", HTTPS_PROXY: proxy },
      stdout: "pipe",
      stderr: "pipe",
    },
  )
  return (await new Response(child.stdout).text()) + (await new Response(child.stderr).text())
}

test.each([
  [407, "Proxy Authentication Required"],
  [403, "Forbidden"],
  [502, "Bad Gateway"],
] as const)(
  "a proxy that answers %d is named as what stands in the way, without its password",
  async (status, reason) => {
    const server = createServer((client) => {
      client.once("data", () => client.end(`HTTP/1.1 ${status} ${reason}\r\ncontent-length: 0\r\n\r\n`))
      client.on("error", () => undefined)
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const { port } = server.address() as { port: number }
    const printed = await failureThrough(`http://user:hunter2hunter2@127.0.0.1:${port}`)
    server.close()
    expect(JSON.parse(printed)).toMatchObject({
      code: "proxy",
      retryable: status >= 500,
      message: expect.stringContaining(`${status} ${reason}`),
      hint: expect.stringContaining("NO_PROXY"),
    })
    for (const form of secretForms("hunter2hunter2")) expect(printed).not.toContain(form)
  },
)

test.each([
  "http://user:hunter2hunter2@127.0.0.1:1",
  "socks5://user:hunter2hunter2@127.0.0.1:1",
  "nonsense:hunter2hunter2",
])("a proxy that cannot be used, %s, does not show its password", async (proxy) => {
  expect(await failureThrough(proxy)).not.toContain("hunter2")
})

test("of what the runtime says only the first sentence is passed on", () => {
  const cause = Object.assign(
    new Error("Unable to connect. Is the computer able to access the url?\nstack"),
    {
      code: "ConnectionRefused",
    },
  )
  expect(asFetchError(SOURCE, cause, never).message).toBe(
    "eu-west-1: AWS cannot be reached (Unable to connect)",
  )
})

test.each([
  [
    "throttled",
    true,
    "Throttling ThrottlingException TooManyRequestsException RequestLimitExceeded SlowDown",
  ],
  ["unreachable", true, "ENOTFOUND EAI_AGAIN ECONNREFUSED ECONNRESET ETIMEDOUT EHOSTUNREACH ENETUNREACH"],
  ["credentials-expired", false, "ExpiredToken ExpiredTokenException"],
  ["credentials-invalid", false, "UnrecognizedClientException InvalidClientTokenId IncompleteSignature"],
  ["access-denied", false, "AccessDenied AccessDeniedException UnauthorizedOperation"],
  ["signature", false, "SignatureDoesNotMatch InvalidSignatureException RequestExpired"],
  ["tls-certificate", false, "ERR_TLS_CERT_ALTNAME_INVALID CERT_HAS_EXPIRED CERT_NOT_YET_VALID"],
  ["endpoint", false, "ERR_INVALID_URL EPROTO ERR_SSL_WRONG_VERSION_NUMBER"],
] as const)("%s, worth another try %p: %s", (code, retryable, names) => {
  for (const name of names.split(" "))
    for (const cause of [
      Object.assign(new Error("x"), { name }),
      Object.assign(new Error("x"), { code: name }),
    ])
      expect(asFetchError(SOURCE, cause, never)).toMatchObject({ code, retryable })
})

test("a failure that nobody has words for keeps its own, its cause, and a way to go on", () => {
  const cause = new Error("something new")
  const error = asFetchError({ ...SOURCE, principal: { profile: "ci" } }, cause, never)
  expect(error).toMatchObject({ code: "aws", retryable: false, principal: "profile ci", cause })
  expect(error.message).toBe("eu-west-1: AWS gave no token for profile ci (something new)")
  expect(error.hint).toBeTruthy()
})

test("a profile that gives no credentials is told how to get some, and not to name a profile", () => {
  const cause = Object.assign(new Error("Could not load"), { name: "CredentialsProviderError" })
  const { message, hint } = asFetchError({ ...SOURCE, principal: { profile: "corp" } }, cause, never)
  expect(message).toBe("eu-west-1: no AWS credentials found for profile corp (Could not load)")
  expect(hint).toContain("`aws sso login --profile corp`")
  expect(hint).not.toContain("name a --profile")
})

test("ECR Public is called by its name", () => {
  const error = asFetchError(
    { service: "ecr-public", region: "us-east-1", principal: {} },
    new Error("x"),
    never,
  )
  expect(error.message).toStartWith("ECR Public: ")
  const refused = Object.assign(new Error("x"), { name: "AccessDeniedException" })
  expect(
    asFetchError({ service: "ecr-public", region: "us-east-1", principal: {} }, refused, never).hint,
  ).toStartWith("allow ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken")
})
