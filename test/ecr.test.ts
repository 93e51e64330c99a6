// AWS as the program asks it: the real SDK over real sockets against the local stand-in, one process, many identities.
import { afterAll, beforeAll, expect, test } from "bun:test"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { DEMO_IDENTITY, type Identity, type StandIn, startAws } from "../scripts/aws.ts"
import { createAws } from "../src/ecr.ts"
import { FetchError } from "../src/errors.ts"
import type { Principal } from "../src/principal.ts"
import type { Source } from "../src/source.ts"
import { ecrelay, standInEnvironment, temporaryFolder } from "./support/binary.ts"

const OTHER: Identity = { accessKeyId: "AKIAOTHER", secretAccessKey: "of-the-other", account: "999999999999" }
let aws: StandIn
let home: string

beforeAll(async () => {
  aws = startAws({ identities: [DEMO_IDENTITY, OTHER] })
  home = await temporaryFolder()
  await writeFile(
    join(home, "credentials"),
    `[other]\naws_access_key_id = ${OTHER.accessKeyId}\naws_secret_access_key = ${OTHER.secretAccessKey}\n`,
  )
  await writeFile(
    join(home, "config"),
    `[profile other]\nregion = ap-south-1\n[profile regional]\nregion = eu-north-1\nendpoint_url = ${aws.url}\n`,
  )
})
afterAll(() => aws.stop())

function environment(more: Record<string, string> = {}): Record<string, string> {
  return {
    HOME: home,
    AWS_CONFIG_FILE: join(home, "config"),
    AWS_SHARED_CREDENTIALS_FILE: join(home, "credentials"),
    ...standInEnvironment(aws.url),
    ...more,
  }
}

function source(principal: Principal = {}, region = "eu-west-1"): Source {
  return { service: "ecr", region, principal }
}

const calm = () => AbortSignal.timeout(10_000)
const tokenCalls = () => aws.calls.filter(({ operation }) => operation === "GetAuthorizationToken")

test("decodes what AWS answers, and says whose registry it is", async () => {
  const token = await createAws({ env: environment(), fetch }).fetchToken(source(), calm())
  expect(token).toMatchObject({ userName: "AWS", account: DEMO_IDENTITY.account })
  expect(token.expiresAt - Date.now()).toBeWithin(11.9 * 3_600_000, 12.1 * 3_600_000)
  expect(token.password.reveal().length).toBeGreaterThan(2000)
})

test("asks with the identity of the role, and its external id", async () => {
  const asker = createAws({ env: environment(), fetch })
  const role = { roleArn: "arn:aws:iam::222222222222:role/external-secret" }
  expect(await asker.fetchToken(source({ ...role, externalId: "secret" }), calm())).toMatchObject({
    account: "222222222222",
  })
  expect(await asker.fetchAccount(source({ ...role, externalId: "secret" }), calm())).toBe("222222222222")
  const refused = await asker
    .fetchToken(source({ ...role, externalId: "wrong" }), calm())
    .catch((error) => error)
  expect(refused).toBeInstanceOf(FetchError)
  expect(refused).toMatchObject({ code: "access-denied", retryable: false })
})

test("survives throttling, and an answer without a token is worth another try", async () => {
  const asker = createAws({ env: environment(), fetch })
  aws.fail("GetAuthorizationToken", {
    kind: "error",
    status: 400,
    type: "ThrottlingException",
    message: "Rate exceeded",
  })
  expect(await asker.fetchToken(source(), calm())).toMatchObject({ userName: "AWS" })
  aws.fail("GetAuthorizationToken", { kind: "error", status: 500, type: "ServerException", message: "sorry" })
  expect(await asker.fetchToken(source(), calm())).toMatchObject({ userName: "AWS" })
  aws.fail("GetAuthorizationToken", { kind: "empty" })
  expect(await asker.fetchToken(source(), calm()).catch((error) => error)).toMatchObject({
    code: "no-token",
    retryable: true,
  })
})

test("gives up on silence when the time is over", async () => {
  aws.fail("GetAuthorizationToken", { kind: "hang" })
  const failure = await createAws({ env: environment(), fetch })
    .fetchToken(source(), AbortSignal.timeout(200))
    .catch((error) => error)
  expect(failure).toMatchObject({ code: "timeout", retryable: true })
})

test("one call serves every registry and sink of an identity and region, and identities share none", async () => {
  const before = tokenCalls().length
  const folder = await temporaryFolder()
  const config = join(folder, "config.toml")
  const registry = (account: string, region: string, more = "") =>
    `[[registry]]\nhost = "${account}.dkr.ecr.${region}.amazonaws.com"\n${more}`
  await writeFile(
    config,
    [
      registry("111111111111", "eu-west-1"),
      registry("222222222222", "eu-west-1"),
      `[[registry]]\nhost = "images.example.com"\naccount = "111111111111"\nregion = "eu-west-1"\n`,
      registry("111111111111", "us-east-1"),
      registry("333333333333", "eu-west-1", 'profile = "other"\n'),
      `[[sink]]\ntype = "docker-config"\npath = "${folder}/one.json"\n`,
      `[[sink]]\ntype = "docker-config"\npath = "${folder}/two.json"\nregistries = ["images.example.com"]\n`,
    ].join("\n"),
  )
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: key, ...rest } = environment()
  await writeFile(
    join(folder, "credentials"),
    `[default]\naws_access_key_id = ${id}\naws_secret_access_key = ${key}\n${await readFile(join(home, "credentials"), "utf8")}`,
  )
  const env = { ...rest, AWS_SHARED_CREDENTIALS_FILE: join(folder, "credentials") }
  const { out, code } = await ecrelay(["refresh", "--config", config], { env })
  expect({ out, code }).toMatchObject({ code: 0 })
  expect(out.match(/^delivered/gm)).toHaveLength(6)
  const asked = tokenCalls()
    .slice(before)
    .map(({ region, account }) => `${region} ${account}`)
  expect(asked.sort()).toEqual(
    [
      `eu-west-1 ${DEMO_IDENTITY.account}`,
      "eu-west-1 999999999999",
      `us-east-1 ${DEMO_IDENTITY.account}`,
    ].sort(),
  )
  const { auths } = JSON.parse(await readFile(`${folder}/one.json`, "utf8"))
  expect(auths["111111111111.dkr.ecr.eu-west-1.amazonaws.com"]).toEqual(auths["images.example.com"])
  expect(auths["333333333333.dkr.ecr.eu-west-1.amazonaws.com"]).not.toEqual(auths["images.example.com"])
}, 30_000)

test("takes the region of AWS_DEFAULT_REGION, and of the profile, and AWS_REGION before both", async () => {
  const hostWith = async (more: Record<string, string>, flags: readonly string[] = []) => {
    const env = environment({ HOME: await temporaryFolder(), ...more })
    const { out } = await ecrelay(["--sink", "docker-config", ...flags], { env })
    return /auths\["([^"]+)"\]/.exec(out)?.[1]?.split(".")[3]
  }
  expect(await hostWith({ AWS_REGION: "", AWS_DEFAULT_REGION: "eu-south-1" })).toBe("eu-south-1")
  expect(await hostWith({ AWS_REGION: "eu-west-3", AWS_DEFAULT_REGION: "eu-south-1" })).toBe("eu-west-3")
  expect(await hostWith({ AWS_REGION: "" }, ["--profile", "other"])).toBe("ap-south-1")
}, 30_000)

test("asks ECR where its own variable or the flag says, before the general variable", async () => {
  const nowhere = "http://127.0.0.1:9"
  const asker = (more: Record<string, string>) => createAws({ env: environment(more), fetch })
  const own = asker({ AWS_ENDPOINT_URL: nowhere, AWS_ENDPOINT_URL_ECR: aws.url })
  expect(await own.fetchToken(source(), calm())).toMatchObject({ userName: "AWS" })
  const profiled = asker({ AWS_ENDPOINT_URL: "", AWS_PROFILE: "" })
  const flagged = await profiled.fetchToken({ ...source(), endpointUrl: aws.url }, calm())
  expect(flagged).toMatchObject({ userName: "AWS" })
})

test("asks the FIPS and dual-stack endpoints where AWS's variables say so", async () => {
  const hosts: string[] = []
  const spy = (async (input: Request) => {
    hosts.push(new URL(input.url).host)
    return Response.json({ __type: "AccessDeniedException", message: "no" }, { status: 400 })
  }) as unknown as typeof fetch
  const ask = (more: Record<string, string>) =>
    createAws({ env: environment({ AWS_ENDPOINT_URL: "", ...more }), fetch: spy })
      .fetchToken(source({}, "us-east-1"), calm())
      .catch(() => undefined)
  await ask({})
  await ask({ AWS_USE_FIPS_ENDPOINT: "true" })
  await ask({ AWS_USE_DUALSTACK_ENDPOINT: "true" })
  expect(hosts).toEqual([
    "api.ecr.us-east-1.amazonaws.com",
    "api.ecr-fips.us-east-1.amazonaws.com",
    "ecr.us-east-1.api.aws",
  ])
})
