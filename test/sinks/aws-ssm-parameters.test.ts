// What the aws-ssm sink makes of a parameter: its name, form, encryption, tags, tier and size, and that it is written
// only where something changes. On a Parameter Store of our own that keeps AWS's rules.
import { afterEach, beforeEach, expect, test } from "bun:test"
import { deliverTo, ssmSink } from "../support/aws-ssm.ts"
import { credentialWith, makeCredential } from "../support/credentials.ts"
import { calm, hours, NOW, REGISTRY } from "../support/sinks.ts"
import { type SsmServer, startSsm } from "../support/ssm-server.ts"

let server: SsmServer
beforeEach(() => {
  server = startSsm()
})
afterEach(() => server.stop())

const CONN = "/airflow/connections/ecr"
const sinkFor = (options: object) => ssmSink(server.url, options)
const fresh = (size = 2700) => makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(12), size })
const writes = () => server.requests.filter(({ action }) => action === "PutParameter")
const deliver = (options: object, credential = fresh()) => deliverTo(sinkFor(options), credential)

test("makes a SecureString where Airflow looks, with no more than Airflow's own keys and our tag", async () => {
  const credential = fresh()
  expect(await deliver({ conn_id: "ecr" }, credential)).toMatchObject({ outcome: "delivered" })
  const { value = "", ...parameter } = server.parameters.get(CONN) ?? {}
  expect(JSON.parse(value)).toEqual({
    conn_type: "docker",
    host: REGISTRY.host,
    login: "AWS",
    password: credential.password.reveal(),
  })
  expect(parameter).toMatchObject({
    type: "SecureString",
    tier: "Standard",
    keyId: undefined,
    tags: { ecrelay: "managed" },
  })
})

test("writes a URI with every sign escaped that Airflow could take for a part of its own", async () => {
  const password = "a/b+c=d:e@f?g#h%i'(j)!*"
  const credential = { ...fresh(), password: { reveal: () => password } as never }
  await deliver({ conn_id: "ecr", format: "airflow-uri" }, credential)
  expect(server.parameters.get(CONN)?.value).toBe(
    `docker://AWS:a%2Fb%2Bc%3Dd%3Ae%40f%3Fg%23h%25i%27%28j%29%21%2A@${REGISTRY.host}`,
  )
})

test("writes a whole dockerconfigjson, or the password alone, or an object that tells the expiry", async () => {
  const credential = fresh()
  const password = credential.password.reveal()
  for (const format of ["docker-config", "password", "json"])
    await deliver({ name: `/ecr/${format}`, format }, credential)
  const value = (format: string) => server.parameters.get(`/ecr/${format}`)?.value ?? ""
  const auth = Buffer.from(`AWS:${password}`).toString("base64")
  expect(JSON.parse(value("docker-config"))).toEqual({ auths: { [REGISTRY.host]: { auth } } })
  expect(value("password")).toBe(password)
  expect(JSON.parse(value("json"))).toEqual({
    host: REGISTRY.host,
    username: "AWS",
    password,
    expiresAt: new Date(NOW + hours(12)).toISOString(),
  })
})

test("fills in account, region and host, and makes a parameter for every connection id", () => {
  const names = (options: object) =>
    sinkFor(options)
      .targets(REGISTRY)
      .map(({ slot }) => slot)
  expect(names({ conn_id: ["ecr", "ecr-{region}"] })).toEqual([CONN, `${CONN}-${REGISTRY.region}`])
  expect(names({ name: "/docker/{account}/{host}", format: "password" })).toEqual([
    `/docker/${REGISTRY.account}/${REGISTRY.host}`,
  ])
})

test.each([
  [{}, "conn_id: is required: the name /airflow/connections/{conn_id} holds it"],
  [{ format: "password" }, "name: is required with format=password"],
  [{ name: "/x", conn_id: "ecr" }, "conn_id: the name /x has no place for it; put {conn_id} there"],
  [{ name: "/x/{user}" }, "name: /x/{user}: {user} is not a placeholder"],
  [{ name: "/aws/login" }, "name: /aws/login: a parameter's name may not begin with aws or ssm"],
  [{ name: "ecr/login" }, "name: ecr/login: a parameter's name with levels must begin with /"],
  [{ name: "/ecr login" }, "name: /ecr login: a parameter's name may hold only letters, digits and _ . - /"],
  [{ name: "/x", external_id: "us" }, "external_id: is for a role, and none is named"],
])("refuses %j before any call", (options, message) => {
  expect(() => sinkFor({ ...options })).toThrow(message)
})

test("encrypts with kms_key, whenever it writes", async () => {
  for (const credential of [fresh(), fresh()])
    await deliver({ conn_id: "ecr", kms_key: "alias/ecr" }, credential)
  expect(writes().map(({ input }) => input.KeyId)).toEqual(["alias/ecr", "alias/ecr"])
})

test("sends tags only with what it makes: AWS refuses them beside Overwrite", async () => {
  for (const credential of [fresh(), fresh()]) await deliver({ conn_id: "ecr" }, credential)
  expect(writes().map(({ input }) => [input.Overwrite, input.Tags])).toEqual([
    [false, [{ Key: "ecrelay", Value: "managed" }]],
    [true, undefined],
  ])
  expect(server.parameters.get(CONN)).toMatchObject({ version: 2, tags: { ecrelay: "managed" } })
})

test("does not write again what is there already", async () => {
  const credential = fresh()
  await deliver({ conn_id: "ecr" }, credential)
  expect(await deliver({ conn_id: "ecr" }, credential)).toEqual({
    outcome: "unchanged",
    expiresAt: credential.expiresAt,
  })
  expect(writes().length).toBe(1)
})

test.each([undefined, "Standard"])(
  "finds a login that tier=%s cannot hold before it writes",
  async (tier) => {
    const result = await deliver({ conn_id: "ecr", ...(tier ? { tier } : {}) }, fresh(4300))
    expect(result).toMatchObject({
      outcome: "failed",
      error: {
        message: expect.stringMatching(
          /^eu-central-1 parameter \/airflow\/connections\/ecr: the login is 4,\d{3} characters long, and a standard parameter holds 4,096$/,
        ),
        code: "too-long",
        retryable: false,
        hint: expect.stringContaining("tier=Intelligent-Tiering or tier=Advanced holds 8,192"),
      },
    })
    expect(writes()).toEqual([])
  },
)

test("counts what KMS encrypts: bytes", async () => {
  const password = "é".repeat(2040)
  const credential = credentialWith({ registry: REGISTRY, expiresAt: NOW + hours(12), password })
  expect(await deliver({ conn_id: "ecr" }, credential)).toMatchObject({ error: { code: "too-long" } })
})

test.each(["Advanced", "Intelligent-Tiering"])("with tier=%s takes up to 8,192 characters", async (tier) => {
  expect(await deliver({ conn_id: "ecr", tier }, fresh(7900))).toMatchObject({ outcome: "delivered" })
  expect(server.parameters.get(CONN)?.tier).toBe("Advanced")
  expect(await deliver({ conn_id: "ecr", tier }, fresh(8300))).toMatchObject({
    outcome: "failed",
    error: {
      message: expect.stringContaining("and an advanced parameter holds 8,192"),
      hint: expect.stringContaining("format=password stores the password alone"),
    },
  })
})

test("pays for an advanced parameter only where the tier or the length asks for it", async () => {
  await deliver({ conn_id: "ecr", tier: "Intelligent-Tiering" })
  expect(server.parameters.get(CONN)?.tier).toBe("Standard")
  await deliver({ conn_id: "ecr", tier: "Intelligent-Tiering" }, fresh(5000))
  expect(server.parameters.get(CONN)?.tier).toBe("Advanced")
})

test.each([{}, { tier: "Standard" }, { tier: "Intelligent-Tiering" }])(
  "with %j leaves an advanced parameter advanced",
  async (tier) => {
    await deliver({ conn_id: "ecr", tier: "Advanced" })
    const newer = fresh()
    const result = await deliver({ conn_id: "ecr", ...tier }, newer)
    expect(result).toMatchObject({ outcome: "delivered" })
    expect(server.parameters.get(CONN)).toMatchObject({ tier: "Advanced", version: 2 })
    expect(server.parameters.get(CONN)?.value).toContain(newer.password.reveal())
  },
)

test("check says which parameters are nearly full, before a longer token is refused", async () => {
  await deliver({ conn_id: "ecr" }, fresh(3960))
  const sink = sinkFor({ conn_id: "ecr" })
  expect(await sink.check?.(sink.targets(REGISTRY), calm())).toMatchObject([
    {
      level: "warning",
      message: expect.stringMatching(/^holds 4,0\d\d of the 4,096 characters that fit/),
      fix: expect.stringContaining("tier="),
    },
  ])
})
