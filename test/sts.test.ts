// STS: keys of a role, and the caller's account, as far as the stand-in does not show it in `principal.test.ts`.
import { expect, test } from "bun:test"
import { startAws } from "../scripts/aws.ts"
import { keysOf, withAws } from "./support/aws-environment.ts"

const never = new AbortController().signal
const ROLE = { roleArns: ["arn:aws:iam::333333333333:role/pull"] } as const

test("an STS that refuses who is calling is an error of ours, in words", async () => {
  const aws = startAws()
  aws.fail(
    "GetCallerIdentity",
    { kind: "error", status: 403, type: "ExpiredToken", message: "The token has expired" },
    9,
  )
  const asked = withAws({ ...keysOf(), AWS_ENDPOINT_URL: aws.url }, ({ fetchAccount }) =>
    fetchAccount({ service: "ecr", region: "eu-west-1", principal: {} }, never),
  )
  expect(await asked.catch((error) => error)).toMatchObject({
    name: "FetchError",
    code: "credentials-expired",
    retryable: false,
  })
  await aws.stop()
})

test("an answer without keys is no role, and no call is made as nobody", async () => {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () =>
      new Response(
        '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult/></AssumeRoleResponse>',
        { headers: { "content-type": "text/xml" } },
      ),
  })
  const asked = withAws(
    { ...keysOf(), AWS_ENDPOINT_URL: `http://127.0.0.1:${server.port}` },
    ({ fetchToken }) => fetchToken({ service: "ecr", region: "eu-west-1", principal: ROLE }, never),
  )
  expect(await asked.catch((error) => error)).toMatchObject({
    name: "FetchError",
    message: expect.stringContaining("STS answered without keys"),
  })
  await server.stop(true)
})

test("an answer without an account is not the account of nobody", async () => {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () =>
      new Response(
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult/></GetCallerIdentityResponse>',
        { headers: { "content-type": "text/xml" } },
      ),
  })
  const asked = withAws(
    { ...keysOf(), AWS_ENDPOINT_URL: `http://127.0.0.1:${server.port}` },
    ({ fetchAccount }) => fetchAccount({ service: "ecr", region: "eu-west-1", principal: {} }, never),
  )
  expect(await asked.catch((error) => error)).toMatchObject({
    name: "FetchError",
    message: expect.stringContaining("STS answered without an account"),
  })
  await server.stop(true)
})
