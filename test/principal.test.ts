// Principals: every way to be somebody towards AWS, with real profile files and the stand-in's STS.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { DEMO_IDENTITY, type Identity, type StandIn, startAws } from "../scripts/aws.ts"
import type { FetchError } from "../src/errors.ts"
import { formatPrincipal, type Principal, principalOf } from "../src/principal.ts"
import { homeWith, keysOf, withAws } from "./support/aws-environment.ts"

const OTHER: Identity = {
  accessKeyId: "AKIDOTHER",
  secretAccessKey: "another-secret-key",
  account: "222222222222",
}
const never = new AbortController().signal

let standIn: StandIn = startAws()
beforeEach(async () => {
  await standIn.stop()
  standIn = startAws({ identities: [DEMO_IDENTITY, OTHER] })
})
afterAll(() => standIn.stop())

const ini = ({ accessKeyId, secretAccessKey }: Identity) =>
  `aws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`

/** The account that a principal's token belongs to. */
async function accountOf(principal: Principal, variables: Record<string, string>, region = "eu-west-1") {
  return withAws(
    { AWS_ENDPOINT_URL: standIn.url, ...variables },
    async (aws) => (await aws.fetchToken({ service: "ecr", region, principal }, never)).account,
  )
}

const failureOf = (...call: Parameters<typeof accountOf>) =>
  accountOf(...call).then(
    (account) => Promise.reject(new Error(`got a token of ${account}`)),
    (error: FetchError) => error,
  )

test("keys in the environment", async () => {
  expect(await accountOf({}, keysOf(OTHER))).toBe("222222222222")
})

test("a session token in the environment is sent", async () => {
  const seen: (string | null)[] = []
  const spy = async (input: Request | URL | string, init?: RequestInit) => {
    seen.push(new Request(input, init).headers.get("x-amz-security-token"))
    return fetch(input, init)
  }
  await withAws(
    { ...keysOf(), AWS_SESSION_TOKEN: "the-session", AWS_ENDPOINT_URL: standIn.url },
    (aws) =>
      aws.fetchToken({ service: "ecr", region: "eu-west-1", principal: {} }, never).catch(() => undefined),
    Object.assign(spy, { preconnect: () => undefined }),
  )
  expect(seen[0]).toBe("the-session")
})

test("a named profile, from the credentials file or from the config file", async () => {
  const HOME = await homeWith({
    credentials: `[default]\n${ini(DEMO_IDENTITY)}[ci]\n${ini(OTHER)}`,
    config: `[profile team]\n${ini(OTHER)}`,
  })
  expect(await accountOf({}, { HOME })).toBe("012345678901")
  expect(await accountOf({ profile: "ci" }, { HOME })).toBe("222222222222")
  expect(await accountOf({ profile: "team" }, { HOME })).toBe("222222222222")
})

test("a named profile beats keys in the environment", async () => {
  const HOME = await homeWith({ credentials: `[ci]\n${ini(OTHER)}` })
  expect(await accountOf({ profile: "ci" }, { HOME, ...keysOf() })).toBe("222222222222")
})

test("AWS_PROFILE beats keys in the environment, as in AWS's SDKs", async () => {
  const HOME = await homeWith({ credentials: `[ci]\n${ini(OTHER)}` })
  expect(await accountOf({}, { HOME, ...keysOf(), AWS_PROFILE: "ci" })).toBe("222222222222")
})

test("a profile that is in no file is an error, and nobody else's keys are taken instead", async () => {
  const HOME = await homeWith({ credentials: `[default]\n${ini(DEMO_IDENTITY)}` })
  const error = await failureOf({ profile: "typo" }, { HOME, ...keysOf() })
  expect(error).toMatchObject({ code: "no-profile", retryable: false, principal: "profile typo" })
  expect(error.hint).toContain("list-profiles")
  expect(standIn.calls).toEqual([])
})

test("a profile without keys, and no other source of any, has no credentials", async () => {
  const HOME = await homeWith({ config: "[profile bare]\nregion = eu-west-1\n" })
  expect(await failureOf({ profile: "bare" }, { HOME, ...keysOf() })).toMatchObject({
    code: "no-credentials",
  })
})

test("a profile whose SSO session has ended says how to log in again", async () => {
  const config =
    "[profile corp]\nsso_start_url = https://corp.test/start\nsso_region = eu-west-1\nsso_account_id = 222222222222\nsso_role_name = pull\n"
  const error = await failureOf({ profile: "corp" }, { HOME: await homeWith({ config }), ...keysOf() })
  expect(error).toMatchObject({
    code: "no-credentials",
    hint: expect.stringContaining("`aws sso login --profile corp`"),
  })
})

test("a role is assumed with the default keys, and its account is the token's", async () => {
  expect(await accountOf({ roleArns: ["arn:aws:iam::333333333333:role/pull"] as const }, keysOf())).toBe(
    "333333333333",
  )
  expect(standIn.calls.map(({ operation, account }) => `${operation} ${account}`)).toEqual([
    "AssumeRole 012345678901",
    "GetAuthorizationToken 333333333333",
  ])
})

test("a role is assumed from a profile's keys", async () => {
  const HOME = await homeWith({ credentials: `[ci]\n${ini(OTHER)}` })
  const principal = { profile: "ci", roleArns: ["arn:aws:iam::333333333333:role/pull"] as const }
  expect(await accountOf(principal, { HOME, ...keysOf() })).toBe("333333333333")
  expect(standIn.calls[0]).toMatchObject({ operation: "AssumeRole", account: "222222222222" })
})

test("a role that asks for an external id gets it, and refuses another", async () => {
  const roleArn = "arn:aws:iam::333333333333:role/external-abc"
  const roleArns = [roleArn] as const
  expect(await accountOf({ roleArns, externalId: "abc" }, keysOf())).toBe("333333333333")
  for (const principal of [{ roleArns }, { roleArns, externalId: "wrong" }]) {
    const error = await failureOf(principal, keysOf())
    expect(error).toMatchObject({ code: "access-denied", retryable: false })
    expect(error.principal).toBe(`role ${roleArn} from default credentials`)
    expect(error.hint).toContain("sts:AssumeRole")
  }
})

test("roles are a chain: each is assumed with the keys of the one before, the external id is for the last", async () => {
  const hub = "arn:aws:iam::333333333333:role/hub"
  const roleArns = [hub, "arn:aws:iam::444444444444:role/external-abc"] as const
  const before = standIn.calls.length
  expect(await accountOf({ roleArns, externalId: "abc" }, keysOf())).toBe("444444444444")
  const chain = standIn.calls.slice(before).map(({ operation, account }) => `${operation} ${account}`)
  expect(chain).toEqual([
    `AssumeRole ${DEMO_IDENTITY.account}`,
    "AssumeRole 333333333333",
    "GetAuthorizationToken 444444444444",
  ])
  expect(formatPrincipal({ roleArns })).toBe(
    `role arn:aws:iam::444444444444:role/external-abc from role ${hub} from default credentials`,
  )
})

test("the account behind a role is the role's", async () => {
  const principal = { roleArns: ["arn:aws:iam::333333333333:role/pull"] as const }
  const account = await withAws({ ...keysOf(), AWS_ENDPOINT_URL: standIn.url }, (aws) =>
    aws.fetchAccount({ service: "ecr", region: "eu-west-1", principal }, never),
  )
  expect(account).toBe("333333333333")
})

test("a profile that names a role and a source profile is followed, external id and all", async () => {
  const HOME = await homeWith({
    credentials: `[base]\n${ini(OTHER)}`,
    config:
      "[profile pull]\nrole_arn = arn:aws:iam::444444444444:role/external-abc\nexternal_id = abc\nsource_profile = base\n",
  })
  expect(await accountOf({ profile: "pull" }, { HOME })).toBe("444444444444")
  expect(standIn.calls.map(({ operation, account }) => `${operation} ${account}`)).toEqual([
    "AssumeRole 222222222222",
    "GetAuthorizationToken 444444444444",
  ])
})

test("a profile that takes its keys from a program gets them, and the program's words stay out of the error", async () => {
  const keys = { Version: 1, AccessKeyId: OTHER.accessKeyId, SecretAccessKey: OTHER.secretAccessKey }
  const HOME = await homeWith({ "keys.json": JSON.stringify(keys) })
  await Bun.write(
    `${HOME}/.aws/config`,
    `[profile works]\ncredential_process = cat ${HOME}/.aws/keys.json\n[profile fails]\ncredential_process = sh -c "exit 3" --password hunter2\n`,
  )
  expect(await accountOf({ profile: "works" }, { HOME })).toBe("222222222222")
  const error = await failureOf({ profile: "fails" }, { HOME })
  expect(error.code).toBe("no-credentials")
  expect(`${error.message} ${error.hint}`).not.toContain("hunter2")
})

describe("on a machine with a role of its own", () => {
  const startRole = () =>
    Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: () =>
        Response.json({
          AccessKeyId: DEMO_IDENTITY.accessKeyId,
          SecretAccessKey: DEMO_IDENTITY.secretAccessKey,
          Token: "the-machine",
          Expiration: new Date(Date.now() + 3_600_000).toISOString(),
        }),
    })
  let machine: ReturnType<typeof startRole>
  beforeAll(() => {
    machine = startRole()
  })
  afterAll(() => machine.stop(true))
  const onMachine = () => ({ AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${machine.port}/` })
  const role = "role_arn = arn:aws:iam::444444444444:role/pull"

  test.each([
    ["a program that fails", { config: "[profile pull]\ncredential_process = false\n" }],
    [
      "a program that fails, in the credentials file",
      { credentials: "[pull]\ncredential_process = false\n" },
    ],
    ["a source that is not there", { config: `[profile pull]\n${role}\nsource_profile = gone\n` }],
    [
      "a ring of sources",
      {
        config: `[profile pull]\n${role}\nsource_profile = hub\n[profile hub]\n${role}\nsource_profile = pull\n`,
      },
    ],
    ["half of a pair of keys", { credentials: "[pull]\naws_access_key_id = AKIDHALF\n" }],
  ])("a profile with %s is an error, and the machine's own keys are not taken instead", async (_, files) => {
    const HOME = await homeWith(files)
    const refused = { code: "no-credentials", retryable: false, principal: "profile pull" }
    expect(await failureOf({ profile: "pull" }, { HOME, ...onMachine() })).toMatchObject(refused)
    expect((await failureOf({}, { HOME, ...onMachine(), AWS_PROFILE: "pull" })).code).toBe("no-credentials")
    expect(standIn.calls).toEqual([])
  })

  test("a profile that says nothing of keys leaves them to the machine, as with AWS's own tool", async () => {
    const HOME = await homeWith({ config: "[profile pull]\nregion = eu-west-1\n" })
    expect(await accountOf({ profile: "pull" }, { HOME, ...onMachine() })).toBe("012345678901")
    expect(await accountOf({}, { HOME, ...onMachine() })).toBe("012345678901")
  })

  test("a profile with a role that is assumed by the machine's own keys gets it", async () => {
    const HOME = await homeWith({
      config: `[profile pull]\n${role}\ncredential_source = EcsContainer\n`,
    })
    expect(await accountOf({ profile: "pull" }, { HOME, ...onMachine() })).toBe("444444444444")
  })
})

test("two identities in two regions live side by side in one process", async () => {
  const HOME = await homeWith({ credentials: `[one]\n${ini(DEMO_IDENTITY)}[two]\n${ini(OTHER)}` })
  const accounts = await withAws({ HOME, AWS_ENDPOINT_URL: standIn.url }, (aws) =>
    Promise.all(
      [
        ["one", "eu-west-1"],
        ["two", "eu-west-1"],
        ["one", "us-east-1"],
        ["two", "us-east-1"],
      ].map(async ([profile = "", region = ""]) => {
        const { account } = await aws.fetchToken({ service: "ecr", region, principal: { profile } }, never)
        return `${profile} ${region} ${account}`
      }),
    ),
  )
  expect(accounts).toEqual([
    "one eu-west-1 012345678901",
    "two eu-west-1 222222222222",
    "one us-east-1 012345678901",
    "two us-east-1 222222222222",
  ])
  expect(standIn.calls.map(({ account, region }) => `${account} ${region}`).sort()).toEqual([
    "012345678901 eu-west-1",
    "012345678901 us-east-1",
    "222222222222 eu-west-1",
    "222222222222 us-east-1",
  ])
})

test("keys that are rotated in the credentials file are taken at the next call", async () => {
  const HOME = await homeWith({ credentials: `[default]\n${ini(DEMO_IDENTITY)}` })
  expect(await accountOf({}, { HOME })).toBe("012345678901")
  await Bun.write(`${HOME}/.aws/credentials`, `[default]\n${ini(OTHER)}`)
  expect(await accountOf({}, { HOME })).toBe("222222222222")
})

test("finding nobody writes nothing to the terminal", async () => {
  const script = `const { createAws } = await import("${import.meta.dirname}/../src/ecr.ts")
    await createAws({ env: process.env, fetch }).fetchToken({ service: "ecr", region: "eu-west-1", principal: {} }, new AbortController().signal).catch(() => 0)`
  const HOME = await homeWith({
    credentials: `[default]\naws_access_key_id = only-half\n`,
    config: "[broken\n",
  })
  const child = Bun.spawn([process.execPath, "-e", script], {
    env: { HOME, AWS_EC2_METADATA_DISABLED: "true", AWS_PROFILE: "default", ...keysOf() },
    stdout: "pipe",
    stderr: "pipe",
  })
  expect((await new Response(child.stdout).text()) + (await new Response(child.stderr).text())).toBe("")
  expect(await child.exited).toBe(0)
})

test("a principal in words", () => {
  expect(formatPrincipal({})).toBe("default credentials")
  expect(formatPrincipal({ profile: "ci" })).toBe("profile ci")
  expect(formatPrincipal({ roleArns: ["arn:x"] as const })).toBe("role arn:x from default credentials")
  expect(formatPrincipal({ profile: "ci", roleArns: ["arn:x"] as const, externalId: "secret" })).toBe(
    "role arn:x from profile ci",
  )
})

test("what is empty or not given is no part of a principal", () => {
  expect(principalOf({ profile: "", roleArns: undefined, externalId: undefined })).toEqual({})
})
