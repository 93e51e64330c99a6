// Registries as they are configured: flags, variables and [[registry]] tables become registries and who asks for them.
import { expect, test } from "bun:test"
import type { PlannedRegistry } from "../src/plan.ts"
import { principalOf } from "../src/principal.ts"
import { readSettings } from "../src/reading.ts"
import { readRegistries } from "../src/registry-spec.ts"

const HOST = "012345678901.dkr.ecr.eu-west-1.amazonaws.com"

type Input = {
  readonly flags?: Readonly<Record<string, readonly string[]>>
  readonly tables?: Readonly<Record<string, unknown>>
  readonly profile?: string
  readonly endpointUrl?: string
  readonly defaultRegion?: string
  readonly probe?: boolean
}

async function read({ flags = {}, tables, profile, endpointUrl, defaultRegion, probe = false }: Input) {
  const given = new Map(Object.entries(flags).map(([key, texts]) => [key, { from: `--${key}`, texts }]))
  const file = tables ? { path: "c.toml", tables } : undefined
  const reading = readSettings(given, new Map(), file)
  const asks = { principal: principalOf({ profile }), ...(endpointUrl ? { endpointUrl } : {}) }
  const registries = await readRegistries(reading, file, asks, probe, async () => defaultRegion)
  return { registries, reading, issues: reading.issues.map(({ path, message }) => `${path}: ${message}`) }
}

/** A planned registry in a line. */
const lineOf = ({ registry, source }: PlannedRegistry) =>
  [
    registry === "own" ? "own" : registry.host,
    source.service,
    source.region,
    source.principal.profile,
    source.endpointUrl,
  ]
    .filter(Boolean)
    .join(" ")

const linesOf = async (input: Input) => (await read(input)).registries.map(lineOf)
const issuesOf = async (input: Input) => (await read(input)).issues

test("hosts and regions, in the order of hosts first", async () => {
  expect(await linesOf({ flags: { region: ["us-east-1"], registry: [HOST, "public.ecr.aws"] } })).toEqual([
    `${HOST} ecr eu-west-1`,
    "public.ecr.aws ecr-public us-east-1",
    "own ecr us-east-1",
  ])
})

test("where nothing names a registry it is the own one in the default region", async () => {
  expect(await linesOf({ defaultRegion: "eu-north-1" })).toEqual(["own ecr eu-north-1"])
  expect(await issuesOf({})).toEqual([
    ": no region: name one with --region or AWS_REGION, or a registry with --registry",
  ])
})

test("a host is taken as it is often copied", async () => {
  for (const text of [` ${HOST} `, `https://${HOST}`, `https://${HOST}/`, HOST.toUpperCase()])
    expect(await linesOf({ flags: { registry: [text] } })).toEqual([`${HOST} ecr eu-west-1`])
})

test("what is named twice is one wish", async () => {
  expect(
    await linesOf({ flags: { region: ["us-east-1", "us-east-1"], registry: [HOST, `https://${HOST}`] } }),
  ).toHaveLength(2)
})

test.each([
  [
    { registry: [`${HOST}/app:1`] },
    `--registry: "${HOST}/app:1" names a repository; the registry alone is ${HOST}`,
  ],
  [{ registry: ["eu-west-1"] }, '--registry: "eu-west-1" is a region; write --region eu-west-1'],
  [{ region: [HOST] }, `--region: "${HOST}" is not a region, such as eu-west-1`],
  [{ region: ["eu-west"] }, '--region: "eu-west" is not a region, such as eu-west-1'],
] as const)("%p: %s", async (flags, issue) => {
  expect(await issuesOf({ flags })).toEqual([issue])
})

test("a look-alike is refused with the way out for a name of one's own", async () => {
  const [issue] = await issuesOf({ flags: { registry: [`${HOST}.evil.example`] } })
  expect(issue).toContain("is not an ECR registry")
  expect(issue).toContain("[[registry]] table")
})

test("every wrong one is told", async () => {
  expect(await issuesOf({ flags: { registry: ["x", HOST, "y"], region: ["z"] } })).toHaveLength(3)
})

test("a default region that is none is told with where it may come from", async () => {
  expect(await issuesOf({ defaultRegion: "nowhere" })).toEqual([
    'AWS_REGION, AWS_DEFAULT_REGION or profile: "nowhere" is not a region, such as eu-west-1',
  ])
})

const table = (...registry: readonly object[]) => ({ tables: { registry } })

test("a table may name a host, a region, or account and region", async () => {
  expect(
    await linesOf(
      table({ host: HOST }, { region: "us-east-1" }, { account: "111111111111", region: "cn-north-1" }),
    ),
  ).toEqual([
    `${HOST} ecr eu-west-1`,
    "own ecr us-east-1",
    "111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn ecr cn-north-1",
  ])
})

test("a company's own name in front of ECR gets the token of its account's region", async () => {
  const { registries } = await read(
    table({ host: "Docker.Example.com", account: "111111111111", region: "eu-west-1" }),
  )
  expect(registries).toEqual([
    {
      registry: {
        host: "docker.example.com",
        account: "111111111111",
        region: "eu-west-1",
        partition: "aws",
        service: "ecr",
      },
      source: { service: "ecr", region: "eu-west-1", principal: {} },
    },
  ])
})

test("a table that names an identity names all of it; one that does not takes the common one", async () => {
  const tables = table(
    { region: "eu-west-1" },
    { region: "eu-west-1", profile: "team" },
    { region: "eu-west-2", role_arn: "arn:aws:iam::111111111111:role/r", external_id: "x" },
  )
  const { registries } = await read({ ...tables, profile: "common" })
  expect(registries.map(({ source }) => source.principal)).toEqual([
    { profile: "common" },
    { profile: "team" },
    { roleArns: ["arn:aws:iam::111111111111:role/r"], externalId: "x" },
  ])
})

test("a table may name a chain of roles, or an Airflow connection", async () => {
  const chain = ["arn:aws:iam::111111111111:role/hub", "arn:aws:iam::222222222222:role/pull"]
  const tables = table(
    { region: "eu-west-1", role_arn: chain },
    { region: "eu-west-2", aws_conn_id: "aws_eu" },
  )
  const { registries } = await read({ ...tables, profile: "common" })
  expect(registries.map(({ source }) => source.principal)).toEqual([
    { roleArns: ["arn:aws:iam::111111111111:role/hub", "arn:aws:iam::222222222222:role/pull"] },
    { airflowConnection: "aws_eu" },
  ])
})

test("half an identity, or two of them, is refused by its path", async () => {
  const { issues } = await read(
    table(
      { region: "eu-west-1", external_id: "x" },
      { region: "eu-west-1", profile: "a", aws_conn_id: "b" },
      { region: "eu-west-1", role_arn: [] },
      { region: "eu-west-1", role_arn: ["arn:aws:iam::111111111111:role/r", "r"] },
      { region: "eu-west-1", role_arn: "role=arn:aws:iam::111111111111:role/r" },
      { region: "eu-west-1", role_arn: "arn:aws:iam::111111111111:role/r s" },
    ),
  )
  expect(issues).toEqual([
    "c.toml: registry[0], external_id: is for a role, and none is named",
    "c.toml: registry[1], aws_conn_id: names the AWS identity to use, and so does the profile; leave one of them out",
    expect.stringMatching(/^c\.toml: registry\[2\], role_arn: is not the ARN of a role/),
    expect.stringMatching(/^c\.toml: registry\[3\], role_arn: is not the ARN of a role/),
    expect.stringMatching(/^c\.toml: registry\[4\], role_arn: is not the ARN of a role/),
    expect.stringMatching(/^c\.toml: registry\[5\], role_arn: is not the ARN of a role/),
  ])
})

test("a probe is for all registries or for those whose table says so", async () => {
  const probes = async (input: Input) => (await read(input)).registries.map(({ probe }) => probe ?? false)
  const tables = table(
    { region: "eu-west-1", probe: true },
    { region: "eu-west-2" },
    { region: "eu-west-3", probe: false },
  )
  expect(await probes(tables)).toEqual([true, false, false])
  expect(await probes({ ...tables, probe: true })).toEqual([true, true, false])
  expect(await probes({ flags: { region: ["eu-west-1"] }, probe: true })).toEqual([true])
})

test("an endpoint of a table beats the common one", async () => {
  expect(
    await linesOf({
      ...table({ host: HOST, endpoint_url: "https://own.example" }, { region: "eu-west-1" }),
      endpointUrl: "https://all.example",
    }),
  ).toEqual([`${HOST} ecr eu-west-1 https://own.example`, "own ecr eu-west-1 https://all.example"])
})

test("flags replace the tables, and that is said", async () => {
  const { registries, reading } = await read({ flags: { region: ["us-east-1"] }, ...table({ host: HOST }) })
  expect(registries.map(lineOf)).toEqual(["own ecr us-east-1"])
  expect(reading.notes).toEqual(["--region replaces the [[registry]] tables of c.toml"])
  const both = await read({
    flags: { region: ["us-east-1"], registry: [HOST] },
    ...table({ region: "eu-west-1" }),
  })
  expect(both.reading.notes).toEqual(["--registry replaces the [[registry]] tables of c.toml"])
})

test("a region of the file is set beside its tables", async () => {
  expect(
    await linesOf({ tables: { registry: [{ host: HOST }], region: ["us-east-1", "us-east-2"] } }),
  ).toEqual([`${HOST} ecr eu-west-1`, "own ecr us-east-1", "own ecr us-east-2"])
})

test.each([
  [{}, "c.toml: registry[0]: needs a host, or a region, or an account and a region"],
  [{ account: "111111111111" }, "c.toml: registry[0]: needs a host, or a region, or an account and a region"],
  [
    { host: "x.example" },
    'c.toml: registry[0]: "x.example" is not an ECR host; give its account and region too',
  ],
  [
    { host: "Foo/bar baz", account: "111111111111", region: "eu-west-1" },
    'c.toml: registry[0]: "Foo/bar baz" is not a host: a name alone, as in image names',
  ],
  [
    { host: HOST, account: "111111111111" },
    `c.toml: registry[0]: ${HOST} belongs to another account or region than the table says`,
  ],
  [
    { host: HOST, region: "us-east-1" },
    `c.toml: registry[0]: ${HOST} belongs to another account or region than the table says`,
  ],
  [
    { account: 12345678901, region: "eu-west-1" },
    "c.toml: registry[0], account: must be twelve digits in quotes",
  ],
  [{ account: "12345678901", region: "eu-west-1" }, "c.toml: registry[0], account: must be twelve digits"],
  [{ region: "eu-west" }, "c.toml: registry[0], region: must be a region, such as eu-west-1"],
  [{ hots: "x", region: "eu-west-1" }, "c.toml: registry[0], hots: unknown option; did you mean host?"],
  [{ region: "eu-west-1", profile: "" }, "c.toml: registry[0], profile: must be a profile's name"],
] as const)("the table %p: %s", async (registry, issue) => {
  expect(await issuesOf(table(registry))).toEqual([issue])
})

test("an endpoint with a password in it is refused, and not quoted", async () => {
  const [issue] = await issuesOf(
    table({ region: "eu-west-1", endpoint_url: "https://u:hunter2@ecr.example" }),
  )
  expect(issue).toStartWith("c.toml: registry[0], endpoint_url: must be a URL")
  expect(issue).not.toContain("hunter2")
})

test("one table where a list of tables is meant is explained", async () => {
  expect(await issuesOf({ tables: { registry: { host: HOST } }, defaultRegion: "eu-west-1" })).toEqual([
    "c.toml: registry: is a table of its own: write [[registry]]",
  ])
})
