// --aws-conn-id from end to end: the binary asks AWS with what an Airflow connection says, and with nothing else. What
// each field means is `airflow-identity.test.ts`, where a connection is found `airflow/connection.test.ts`.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { DEMO_IDENTITY, type StandIn, startAws } from "../scripts/aws.ts"
import { createAuthority } from "../scripts/services/certificate.ts"
import { askAs, IDENTITIES, NOBODY, PARTNER, ROLE, TEAM, variable } from "./support/aws-conn-id.ts"
import { binary, temporaryFolder } from "./support/binary.ts"

let aws: StandIn
let home: string
beforeAll(async () => {
  aws = startAws({ identities: IDENTITIES })
  await binary()
}, 60_000)
afterAll(() => aws.stop())
beforeEach(async () => {
  home = await temporaryFolder()
})

const run = (command: readonly string[], env?: Record<string, string>) => askAs({ aws, home }, command, env)

const ok = { code: 0, error: "" }

describe("who asks", () => {
  test("the connection's keys, whatever the environment holds, and their account's registry is delivered", async () => {
    expect(await run(["refresh"], variable())).toMatchObject({
      ...ok,
      asked: ["GetAuthorizationToken 222222222222 eu-west-1"],
    })
    const { auths } = JSON.parse(await readFile(join(home, ".docker/config.json"), "utf8"))
    expect(Object.keys(auths)).toEqual(["222222222222.dkr.ecr.eu-west-1.amazonaws.com"])
  })

  test("the keys of extra, with their session token", async () => {
    const { accessKeyId, secretAccessKey } = PARTNER
    const pair = { aws_access_key_id: accessKeyId, aws_secret_access_key: secretAccessKey }
    const extra = { ...pair, aws_session_token: "the-session" }
    const { calls } = await run(["refresh"], variable(extra, NOBODY))
    expect(calls).toMatchObject([{ account: PARTNER.account, sessionToken: "the-session" }])
    const old = await run(["refresh"], variable({ session_kwargs: extra }, NOBODY))
    expect(old.calls).toMatchObject([{ account: PARTNER.account, sessionToken: "the-session" }])
    expect(old.error).toContain("the pair of keys in session_kwargs works here")
  })

  test("the profile that it names, and where it names nobody, whoever asks without it", async () => {
    await mkdir(join(home, ".aws"))
    const { accessKeyId, secretAccessKey } = PARTNER
    await writeFile(
      join(home, ".aws/credentials"),
      `[partner]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`,
    )
    expect(await run(["refresh"], variable({ profile_name: "partner" }, NOBODY))).toMatchObject({
      ...ok,
      calls: [{ account: PARTNER.account }],
    })
    expect(await run(["refresh"], variable({}, NOBODY))).toMatchObject({
      ...ok,
      calls: [{ account: DEMO_IDENTITY.account }],
    })
  })

  test("its role, with everything that it says about it", async () => {
    const extra = {
      role_arn: ROLE,
      assume_role_kwargs: {
        ExternalId: "abc",
        DurationSeconds: 1800,
        Tags: [{ Key: "team", Value: "data" }],
        TransitiveTagKeys: ["team"],
      },
    }
    const { calls, ...transcript } = await run(["refresh"], variable(extra))
    expect(transcript).toMatchObject({
      ...ok,
      asked: ["AssumeRole 222222222222 eu-west-1", "GetAuthorizationToken 444444444444 eu-west-1"],
    })
    expect(calls[0]?.form).toMatchObject({
      RoleArn: ROLE,
      RoleSessionName: "airflow_aws_eu",
      ExternalId: "abc",
      DurationSeconds: "1800",
      "Tags.member.1.Key": "team",
      "Tags.member.1.Value": "data",
      "TransitiveTagKeys.member.1": "team",
    })
    expect(calls[1]?.sessionToken).toBe("session-token")
  })

  test("a role of ours is assumed from the one of the connection", async () => {
    const extra = { role_arn: ROLE, external_id: "abc" }
    const argv = [
      "refresh",
      "--role-arn",
      "arn:aws:iam::555555555555:role/external-def",
      "--external-id",
      "def",
    ]
    const { code, asked, error } = await run(argv, variable(extra))
    expect({ code, asked }).toEqual({
      code: 0,
      asked: [
        "AssumeRole 222222222222 eu-west-1",
        "AssumeRole 444444444444 eu-west-1",
        "GetAuthorizationToken 555555555555 eu-west-1",
      ],
    })
    expect(error).toMatch(/warn {2}Airflow connection aws_eu: external_id works here.*\n$/)
  })
})

describe("where it asks", () => {
  test("in the region that is named, else in the connection's, else in the environment's", async () => {
    const region_name = "ap-south-1"
    const regionsOf = async (...call: Parameters<typeof run>) =>
      (await run(...call)).calls.map(({ region }) => region)
    expect(await regionsOf(["refresh", "--region", "eu-north-1"], variable({ region_name }))).toEqual([
      "eu-north-1",
    ])
    expect(await regionsOf(["refresh"], variable({ region_name }))).toEqual(["ap-south-1"])
    expect(await regionsOf(["refresh"], variable())).toEqual(["eu-west-1"])
    const { asked } = await run(["status"], variable({ region_name }))
    expect(asked).toEqual(["GetCallerIdentity 222222222222 ap-south-1"])
  })

  test("at the endpoints that it names, and never at the one for all where it is STS", async () => {
    const nowhere = { AWS_ENDPOINT_URL: "http://127.0.0.1:1" }
    const role = { role_arn: ROLE, assume_role_kwargs: { ExternalId: "abc" } }
    const own = { ecr: { endpoint_url: aws.url }, sts: { endpoint_url: aws.url } }
    expect(
      await run(["refresh"], {
        ...variable({ ...role, endpoint_url: nowhere.AWS_ENDPOINT_URL, service_config: own }),
        ...nowhere,
      }),
    ).toMatchObject(ok)
    expect(await run(["refresh"], { ...variable({ endpoint_url: aws.url }), ...nowhere })).toMatchObject(ok)
    const forSts = await run(["refresh"], { ...variable({ ...role, endpoint_url: aws.url }), ...nowhere })
    expect(forSts).toMatchObject({
      code: 1,
      calls: [],
      out: expect.stringContaining("AWS cannot be reached"),
    })
  }, 20_000)

  test("over TLS by whom it trusts", async () => {
    const authority = createAuthority("a company's own authority")
    const { certificate, key } = authority.issue("127.0.0.1", ["127.0.0.1"])
    await using other = Object.assign(startAws({ identities: [TEAM], tls: { cert: certificate, key } }), {
      [Symbol.asyncDispose]: () => other.stop(),
    })
    const ca = join(home, "ca.pem")
    await writeFile(ca, authority.certificate)
    const toldOf = async (verify: unknown) => {
      const { code, out, error } = await run(["refresh"], variable({ endpoint_url: other.url, verify }))
      return { code, told: out + error }
    }
    expect(await toldOf(ca)).toMatchObject({ code: 0 })
    expect(await toldOf(false)).toMatchObject({
      code: 0,
      told: expect.stringContaining("verify=false lets anybody"),
    })
    expect(await toldOf(true)).toMatchObject({ code: 1, told: expect.stringContaining("is not trusted") })
    expect(await toldOf("/not/there.pem")).toMatchObject({
      code: 1,
      told: expect.stringMatching(/cannot be read.*'\/not\/there\.pem'.*\n.*hint: check verify/),
    })
  })

  test("through the proxy that it names", async () => {
    const asked: string[] = []
    const proxy = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: ({ url }) => {
        asked.push(url)
        return new Response("", { status: 400 })
      },
    })
    const proxies = { http: `127.0.0.1:${proxy.port}` }
    const { calls } = await run(["refresh"], variable({ config_kwargs: { proxies } }))
    await proxy.stop(true)
    expect({ calls, asked }).toEqual({ calls: [], asked: [`${aws.url}/`] })
  })

  test("past the environment's proxy where it names one for another scheme only", async () => {
    const proxies = { https: "127.0.0.1:1" }
    const env = { HTTP_PROXY: "http://127.0.0.1:1" }
    const { code, calls } = await run(["refresh"], { ...env, ...variable({ config_kwargs: { proxies } }) })
    expect({ code, calls }).toMatchObject({ code: 0, calls: [{ account: TEAM.account }] })
  })

  test.each([
    [0, 1],
    [1, 2],
  ])("with %d retries of a call", async (max_attempts, attempts) => {
    const fault = { kind: "error", status: 500, type: "ServerException", message: "later" } as const
    aws.fail("GetCallerIdentity", fault, 9)
    const { calls } = await run(["status"], variable({ config_kwargs: { retries: { max_attempts } } }))
    aws.fail("GetCallerIdentity", fault, 0)
    expect(calls).toHaveLength(attempts)
  })
})
