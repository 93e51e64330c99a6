// Settings of the SDK from environment and profile: regions, endpoints, FIPS, trust, attempts.
import { expect, test } from "bun:test"
import { startAws } from "../scripts/aws.ts"
import { createAuthority } from "../scripts/services/certificate.ts"
import { defaultRegion, endpointVariables, loadProfileKeys } from "../src/aws.ts"
import type { Source } from "../src/source.ts"
import { homeWith, keysOf, withAws } from "./support/aws-environment.ts"

const never = new AbortController().signal
const SOURCE: Source = { service: "ecr", region: "eu-west-1", principal: {} }

/** The URLs that are asked, by a `fetch` that reaches nothing. */
async function askedOf(
  variables: Record<string, string>,
  source: Source = SOURCE,
  ask: "fetchToken" | "fetchAccount" = "fetchToken",
): Promise<readonly string[]> {
  const asked: string[] = []
  const noFetch = async (input: Request | URL | string) => {
    asked.push(input instanceof Request ? input.url : String(input))
    throw Object.assign(new Error("no network here"), { code: "ENOTFOUND" })
  }
  await withAws(
    { ...keysOf(), ...variables },
    async (aws) => {
      const error = await aws[ask](source, never).then(
        () => undefined,
        (failure: Error) => failure,
      )
      if (asked.length === 0) throw error
    },
    Object.assign(noFetch, { preconnect: () => undefined }),
  )
  return asked
}

const hostsOf = async (...call: Parameters<typeof askedOf>) =>
  (await askedOf(...call)).map((url) => new URL(url).host)

test.each([
  ["eu-west-1", "api.ecr.eu-west-1.amazonaws.com"],
  ["cn-north-1", "api.ecr.cn-north-1.amazonaws.com.cn"],
  ["us-gov-west-1", "api.ecr.us-gov-west-1.amazonaws.com"],
  ["eusc-de-east-1", "api.ecr.eusc-de-east-1.amazonaws.eu"],
  ["us-iso-east-1", "api.ecr.us-iso-east-1.c2s.ic.gov"],
])("in %s ECR's own endpoint is asked over TLS: %s", async (region, host) => {
  expect(await askedOf({}, { ...SOURCE, region })).toEqual([`https://${host}/`])
})

test("ECR Public is asked in us-east-1", async () => {
  const source: Source = { service: "ecr-public", region: "us-east-1", principal: {} }
  expect(await hostsOf({}, source)).toEqual(["api.ecr-public.us-east-1.amazonaws.com"])
})

test("AWS_USE_FIPS_ENDPOINT asks the FIPS endpoint of ECR and of STS", async () => {
  const env = { AWS_USE_FIPS_ENDPOINT: "true" }
  const source = { ...SOURCE, region: "us-east-1" }
  expect(await hostsOf(env, source)).toEqual(["api.ecr-fips.us-east-1.amazonaws.com"])
  expect(await hostsOf(env, source, "fetchAccount")).toEqual(["sts-fips.us-east-1.amazonaws.com"])
})

test("AWS_USE_DUALSTACK_ENDPOINT asks the endpoint that speaks IPv6", async () => {
  expect(await hostsOf({ AWS_USE_DUALSTACK_ENDPOINT: "true" })).toEqual(["ecr.eu-west-1.api.aws"])
})

test("a profile's use_fips_endpoint and use_dualstack_endpoint count, and the variable beats them", async () => {
  const HOME = await homeWith({ config: "[default]\nuse_fips_endpoint = true\n" })
  const source = { ...SOURCE, region: "us-east-1" }
  expect(await hostsOf({ HOME }, source)).toEqual(["api.ecr-fips.us-east-1.amazonaws.com"])
  expect(await hostsOf({ HOME, AWS_USE_FIPS_ENDPOINT: "false" }, source)).toEqual([
    "api.ecr.us-east-1.amazonaws.com",
  ])
})

test("STS is asked in the source's region", async () => {
  expect(await hostsOf({}, SOURCE, "fetchAccount")).toEqual(["sts.eu-west-1.amazonaws.com"])
})

const CONFIG = `[default]
endpoint_url = http://profile.test
[profile team]
services = team
endpoint_url = http://team.test
[services team]
ecr =
  endpoint_url = http://team-ecr.test
`

test.each([
  [
    "the flag beats all",
    { AWS_ENDPOINT_URL_ECR: "http://variable.test" },
    { endpointUrl: "http://flag.test" },
    "flag.test",
  ],
  [
    "AWS_ENDPOINT_URL_ECR beats AWS_ENDPOINT_URL",
    { AWS_ENDPOINT_URL_ECR: "http://one.test", AWS_ENDPOINT_URL: "http://all.test" },
    {},
    "one.test",
  ],
  ["AWS_ENDPOINT_URL beats the profile", { AWS_ENDPOINT_URL: "http://all.test" }, {}, "all.test"],
  ["the profile's endpoint_url", {}, {}, "profile.test"],
  ["the profile's own for ECR beats its endpoint_url", { AWS_PROFILE: "team" }, {}, "team-ecr.test"],
  [
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS leaves AWS's own",
    { AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: "true", AWS_ENDPOINT_URL: "http://all.test" },
    {},
    "api.ecr.eu-west-1.amazonaws.com",
  ],
  [
    "a variable for another service is not ours",
    { AWS_ENDPOINT_URL_S3: "http://s3.test" },
    {},
    "profile.test",
  ],
] as const)("%s", async (_, variables, more, host) => {
  const credentials = Object.entries(keysOf())
    .map(([name, value]) => `${name.toLowerCase()} = ${value}`)
    .join("\n")
  const HOME = await homeWith({ config: CONFIG, credentials: `[team]\n${credentials}\n` })
  expect(await hostsOf({ HOME, ...variables }, { ...SOURCE, ...more })).toEqual([host])
})

test("STS does not take ECR's endpoint, nor ECR Public's", async () => {
  const env = {
    AWS_ENDPOINT_URL_ECR: "http://ecr.test",
    AWS_ENDPOINT_URL_STS: "http://sts.test",
    AWS_ENDPOINT_URL_ECR_PUBLIC: "http://public.test",
  }
  expect(await hostsOf(env, { ...SOURCE, endpointUrl: "http://flag.test" }, "fetchAccount")).toEqual([
    "sts.test",
  ])
  expect(await hostsOf(env, { service: "ecr-public", region: "us-east-1", principal: {} })).toEqual([
    "public.test",
  ])
})

test("every variable that names an endpoint is known, and none where AWS's own switch says so", () => {
  const names = ["", "_ECR", "_ECR_PUBLIC", "_STS", "_SSM", "_SECRETS_MANAGER", "_MWAA"].map(
    (suffix) => `AWS_ENDPOINT_URL${suffix}`,
  )
  const env = Object.fromEntries([...names, "AWS_ENDPOINT_URL_S3"].map((name) => [name, `http://${name}`]))
  expect(endpointVariables(env)).toEqual(names.map((name) => ({ name, text: `http://${name}` })))
  expect(endpointVariables({ ...env, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: "true" })).toEqual([])
})

test("the profile's max_attempts is honoured, and AWS_MAX_ATTEMPTS beats it", async () => {
  const HOME = await homeWith({ config: "[default]\nmax_attempts = 2\n" })
  expect(await askedOf({ HOME, AWS_MAX_ATTEMPTS: "1" })).toHaveLength(1)
  expect(await askedOf({ HOME, AWS_MAX_ATTEMPTS: "" })).toHaveLength(2)
})

test("a max_attempts that is no number leaves the SDK's three", async () => {
  expect(await askedOf({ AWS_MAX_ATTEMPTS: "many" })).toHaveLength(3)
})

async function regionOf(env: Record<string, string>, profile?: string) {
  return defaultRegion(env, await loadProfileKeys(env, profile))
}

test("the default region is AWS_REGION, then AWS_DEFAULT_REGION, then the profile's", async () => {
  const HOME = await homeWith({
    config: "[default]\nregion = sa-east-1\n[profile ci]\nregion = eu-north-1\n",
  })
  expect(await regionOf({ HOME, AWS_REGION: "eu-west-1", AWS_DEFAULT_REGION: "eu-west-2" })).toBe("eu-west-1")
  expect(await regionOf({ HOME, AWS_REGION: "", AWS_DEFAULT_REGION: "eu-west-2" })).toBe("eu-west-2")
  expect(await regionOf({ HOME })).toBe("sa-east-1")
  expect(await regionOf({ HOME, AWS_PROFILE: "ci" })).toBe("eu-north-1")
  expect(await regionOf({ HOME, AWS_PROFILE: "ci" }, "default")).toBe("sa-east-1")
  expect(await regionOf({ HOME }, "nobody")).toBeUndefined()
  expect(await regionOf({ HOME: "/nonexistent" })).toBeUndefined()
  expect(await regionOf({})).toBeUndefined()
})

test("a region in the credentials file counts, and goes before the one of the config file", async () => {
  const credentials = "[ci]\nregion = eu-south-1\naws_access_key_id = x\n"
  expect(await regionOf({ HOME: await homeWith({ credentials }) }, "ci")).toBe("eu-south-1")
  const both = await homeWith({ credentials, config: "[profile ci]\nregion = eu-north-1\n" })
  expect(await regionOf({ HOME: both }, "ci")).toBe("eu-south-1")
})

test("AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE say where the files are", async () => {
  const elsewhere = await homeWith({
    config: "[default]\nregion = eu-central-1\n",
    credentials: "[ci]\nregion = eu-south-1\n",
  })
  const env = {
    HOME: "/nonexistent",
    AWS_CONFIG_FILE: `${elsewhere}/.aws/config`,
    AWS_SHARED_CREDENTIALS_FILE: `${elsewhere}/.aws/credentials`,
  }
  expect(await regionOf(env)).toBe("eu-central-1")
  expect(await regionOf(env, "ci")).toBe("eu-south-1")
  expect(await regionOf({ HOME: elsewhere, AWS_CONFIG_FILE: "~/.aws/config" })).toBe("eu-central-1")
})

test("a config file that changes is read anew", async () => {
  const HOME = await homeWith({ config: "[default]\nregion = eu-west-1\n" })
  expect(await regionOf({ HOME })).toBe("eu-west-1")
  await Bun.write(`${HOME}/.aws/config`, "[default]\nregion = eu-west-3\n")
  expect(await regionOf({ HOME })).toBe("eu-west-3")
})

test("what a profile says of keys is not part of its settings", async () => {
  const HOME = await homeWith({
    credentials: "[ci]\naws_access_key_id = x\naws_secret_access_key = secret\n",
  })
  expect(JSON.stringify(await loadProfileKeys({ HOME }, "ci"))).not.toContain("secret")
})

test("AWS_CA_BUNDLE, or the profile's ca_bundle, makes a private authority trusted; the variable beats the profile", async () => {
  const authority = createAuthority("a company's own authority")
  const { certificate, key } = authority.issue("127.0.0.1", ["127.0.0.1"])
  const aws = startAws({ tls: { cert: certificate, key } })
  const home = await homeWith({
    "ca.pem": authority.certificate,
    "other.pem": createAuthority("another").certificate,
  })
  await Bun.write(
    `${home}/.aws/config`,
    `[default]\nca_bundle = ${home}/.aws/other.pem\n[profile ci]\nca_bundle = ${home}/.aws/ca.pem\n`,
  )
  const ask = (variables: Record<string, string>) =>
    withAws({ ...keysOf(), AWS_ENDPOINT_URL: aws.url, HOME: home, ...variables }, ({ fetchToken }) =>
      fetchToken(SOURCE, never).then(
        () => "trusted",
        ({ code }) => code,
      ),
    )
  expect(await ask({ AWS_CA_BUNDLE: `${home}/.aws/ca.pem` })).toBe("trusted")
  expect(await ask({})).toBe("tls-untrusted")
  expect(await ask({ AWS_CONFIG_FILE: "/nonexistent" })).toBe("tls-untrusted")
  expect(await ask({ AWS_CA_BUNDLE: "/nowhere/ca.pem" })).toBe("file")
  await aws.stop()
})

test.each([
  ["AWS_CONFIG_FILE", "config"],
  ["AWS_SHARED_CREDENTIALS_FILE", "credentials"],
])("a pipe in %s is refused, since it is read again with every call", async (variable, name) => {
  const HOME = await homeWith({})
  const pipe = `${HOME}/.aws/${name}`
  expect(await Bun.spawn(["mkfifo", pipe]).exited).toBe(0)
  for (const env of [{ HOME }, { HOME, [variable]: pipe }])
    expect(await loadProfileKeys(env, undefined).catch((error: unknown) => error)).toMatchObject({
      name: "ConfigError",
      message: `${variable}: ${pipe} is a pipe, and has to be a file: it is read again for every call`,
    })
  const failure = await hostsOf({ HOME }).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: "file", retryable: false })
})
