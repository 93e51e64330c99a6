// The sink contract for Secrets Manager: on moto, which nobody here wrote, and in every form on one of our own; then what
// is special: ownership, keys, races, and secrets that are being deleted.
import { afterAll, describe, expect, test } from "bun:test"
import { randomBytes } from "node:crypto"
import kind from "../../sinks/aws-secrets-manager.ts"
import { openSecretsManager, secretsSink } from "../support/aws-secrets.ts"
import { accessTo, deliverTo, tellsNothing } from "../support/aws-ssm.ts"
import { makeCredential } from "../support/credentials.ts"
import { startSecretsManager } from "../support/secrets-server.ts"
import { describeWithService } from "../support/services.ts"
import { testSink } from "../support/sink-suite.ts"
import { calm, hours, makeSink, NOW, REGISTRY } from "../support/sinks.ts"

const file = import.meta.resolve("../../sinks/aws-secrets-manager.ts")

for (const format of ["airflow", "airflow-uri", "docker-config", "json", "password"])
  testSink({
    kind,
    file,
    place: `our own as ${format}`,
    open: () => openSecretsManager(format),
    ...(format === "password" ? { cannot: tellsNothing } : {}),
  })

describeWithService("moto", "moto", ({ url }) => {
  testSink({ kind, file, place: "moto", open: () => openSecretsManager("airflow", url), timeoutMs: 60_000 })

  test("one that is being deleted is refused, and served again once it is restored", async () => {
    const SecretId = `suite/${randomBytes(6).toString("hex")}`
    const sink = secretsSink(url, { name: SecretId, format: "password" })
    await deliverTo(sink, credential(6))
    const { DeleteSecretCommand, GetSecretValueCommand, RestoreSecretCommand, SecretsManagerClient } =
      await import("@aws-sdk/client-secrets-manager")
    const keys = { accessKeyId: "AKIAMOTO", secretAccessKey: "moto" }
    const client = new SecretsManagerClient({ endpoint: url, region: "eu-central-1", credentials: keys })
    await client.send(new DeleteSecretCommand({ SecretId }))
    expect(await deliverTo(sink, credential())).toMatchObject({
      outcome: "failed",
      error: { code: "deleted", hint: expect.stringContaining("restore-secret") },
    })
    const [finding] = (await sink.check?.(sink.targets(REGISTRY), calm())) ?? []
    expect(finding).toMatchObject({ level: "error", fix: expect.stringContaining("restore-secret") })
    await client.send(new RestoreSecretCommand({ SecretId }))
    const login = credential()
    expect(await deliverTo(sink, login)).toMatchObject({ outcome: "delivered" })
    const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId }))
    expect(SecretString).toBe(login.password.reveal())
  })
})

const server = startSecretsManager()
afterAll(() => server.stop())
let count = 0

/** A connection id that no other test has, its secret's name, and a sink for it. */
function fresh(options: object = {}) {
  count += 1
  const connId = `ecr_${count}`
  return {
    name: `airflow/connections/${connId}`,
    sink: secretsSink(server.url, { conn_id: connId, ...options }),
  }
}

const credential = (remainingHours = 12) =>
  makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(remainingHours) })

test("makes a secret where Airflow looks, with no more than Airflow's own keys and our tag", async () => {
  const { name, sink } = fresh()
  const login = credential()
  expect(await deliverTo(sink, login)).toMatchObject({ outcome: "delivered" })
  const { value, tags, keyId } = server.secrets.get(name) ?? {}
  expect(JSON.parse(value ?? "")).toEqual({
    conn_type: "docker",
    host: REGISTRY.host,
    login: "AWS",
    password: login.password.reveal(),
  })
  expect({ tags, keyId }).toEqual({ tags: [{ Key: "ecrelay", Value: "managed" }], keyId: undefined })
})

test("an unchanged login is not a new version", async () => {
  const { name, sink } = fresh()
  const login = credential()
  await deliverTo(sink, login)
  expect(await deliverTo(sink, login)).toMatchObject({ outcome: "unchanged" })
  expect(server.secrets.get(name)?.versions).toBe(1)
})

test("kms_key is the key of what is made; what is there keeps its own", async () => {
  const { name, sink } = fresh({ kms_key: "alias/ours" })
  await deliverTo(sink, credential(6))
  await deliverTo(sink, credential(12))
  expect(server.secrets.get(name)).toMatchObject({ keyId: "alias/ours", versions: 2 })
})

test("somebody else's secret is refused without a word of what it holds, until it is adopted or tagged", async () => {
  const { name, sink } = fresh()
  const theirs = { value: "their-secret", keyId: "alias/theirs", tags: [], versions: 3 }
  server.secrets.set(name, theirs)
  const refused = await deliverTo(sink, credential())
  expect(refused).toMatchObject({ outcome: "failed", error: { code: "not-ours", retryable: false } })
  expect(JSON.stringify(refused)).not.toContain("their-secret")
  expect(server.secrets.get(name)).toEqual(theirs)
  expect(await sink.check?.(sink.targets(REGISTRY), calm())).toMatchObject([{ level: "error" }])
  const adopting = secretsSink(server.url, { conn_id: name.split("/").at(-1), adopt: true })
  expect(await deliverTo(adopting, credential())).toMatchObject({ outcome: "delivered" })
  expect(server.secrets.get(name)).toMatchObject({ keyId: "alias/theirs", tags: [], versions: 4 })
})

describe("a secret that nobody has given a value yet, as Terraform makes one", () => {
  const OURS = [{ Key: "ecrelay", Value: "managed" }]
  const made = (options: object, tags: typeof OURS) => {
    const one = fresh(options)
    server.secrets.set(one.name, { value: undefined, keyId: "alias/theirs", tags, versions: 0 })
    return one
  }

  test.each([
    [{ adopt: true }, []],
    [{}, OURS],
  ])("gets its first with %j and the tags %j", async (options, tags) => {
    const { name, sink } = made(options, tags)
    const login = credential()
    expect(await deliverTo(sink, login)).toMatchObject({ outcome: "delivered" })
    expect(server.secrets.get(name)).toMatchObject({ keyId: "alias/theirs", tags, versions: 1 })
    expect(server.secrets.get(name)?.value).toContain(login.password.reveal())
  })

  test("is refused where it is somebody else's, and check says so too", async () => {
    const { name, sink } = made({}, [])
    expect(await deliverTo(sink, credential())).toMatchObject({
      outcome: "failed",
      error: { code: "not-ours", retryable: false },
    })
    expect(await sink.check?.(sink.targets(REGISTRY), calm())).toMatchObject([{ code: "not-ours" }])
    expect(server.secrets.get(name)?.versions).toBe(0)
  })

  test.each(["airflow", "password"])("holds no login in the form %s", async (format) => {
    const { name } = made({}, OURS)
    const sink = secretsSink(server.url, { name, format })
    expect(await sink.read?.(sink.targets(REGISTRY), calm())).toMatchObject([
      { state: "held", expiresAt: undefined, differs: expect.stringContaining("it holds no login") },
    ])
  })
})

test("one that appears between look and write is not overwritten", async () => {
  const { name, sink } = fresh()
  server.beforeCreate = () => {
    server.secrets.set(name, { value: "theirs", keyId: undefined, tags: [], versions: 1 })
    server.beforeCreate = () => undefined
  }
  expect(await deliverTo(sink, credential())).toMatchObject({
    outcome: "failed",
    error: { code: "not-ours" },
  })
  expect(server.secrets.get(name)?.value).toBe("theirs")
})

test("one that we made, though AWS's answer got lost, is delivered", async () => {
  const name = "airflow/connections/ecr_lost"
  const aws = accessTo(server.url, fetch, { AWS_MAX_ATTEMPTS: "2" })
  const sink = secretsSink(server.url, { conn_id: "ecr_lost" }, { aws })
  server.beforeCreate = (_, value) => {
    server.secrets.set(name, { value, keyId: undefined, tags: [], versions: 1 })
    server.beforeCreate = () => undefined
    throw "InternalServiceError"
  }
  expect(await deliverTo(sink, credential())).toMatchObject({ outcome: "delivered" })
  expect(server.secrets.get(name)?.versions).toBe(1)
})

test.each(["DescribeSecret", "PutSecretValue"])(
  "one that somebody deletes right before %s is made by the next attempt",
  async (action) => {
    const { name, sink } = fresh()
    await deliverTo(sink, credential(6))
    const deleting = (async (input, init) => {
      const request = new Request(input, init)
      if (request.headers.get("x-amz-target") === `secretsmanager.${action}`) server.secrets.delete(name)
      return fetch(request)
    }) as typeof fetch
    const options = { conn_id: name.split("/").at(-1) }
    const meanwhile = secretsSink(server.url, options, { aws: accessTo(server.url, deleting) })
    expect(await deliverTo(meanwhile, credential())).toMatchObject({
      outcome: "failed",
      error: { code: "conflict", retryable: true },
    })
    expect(await deliverTo(sink, credential())).toMatchObject({ outcome: "delivered" })
  },
)

test("a connection id is taken as it is, also one that ends as an ARN does", () => {
  const sink = secretsSink(server.url, { conn_id: "ecr-docker" })
  expect(sink.targets(REGISTRY).map(({ slot }) => slot)).toEqual(["airflow/connections/ecr-docker"])
})

test("a login that no secret can hold is found before it is sent", async () => {
  const { name, sink } = fresh()
  const huge = makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(12), size: 66_000 })
  expect(await deliverTo(sink, huge)).toMatchObject({
    outcome: "failed",
    error: {
      message: expect.stringMatching(/: the secret would be 6\d,\d{3} bytes long, and AWS takes 65,536$/),
      code: "too-long",
      retryable: false,
    },
  })
  expect(server.secrets.has(name)).toBe(false)
})

test("one that is being deleted is refused with the way back", async () => {
  const { name, sink } = fresh()
  server.secrets.set(name, { value: "x", keyId: undefined, tags: [], versions: 1, deleted: true })
  const result = await deliverTo(sink, credential())
  expect(result).toMatchObject({ outcome: "failed", error: { code: "deleted", retryable: false } })
  expect(result && "error" in result && result.error.hint).toContain("restore-secret")
})

test("with adopt=true the permission to write is enough, whether the secret is there or not", async () => {
  const { name, sink } = fresh({ adopt: true })
  const allow = [
    server.refuse("GetSecretValue"),
    server.refuse("TagResource"),
    server.refuse("DescribeSecret"),
  ]
  expect(await deliverTo(sink, credential(6))).toMatchObject({ outcome: "delivered" })
  expect(await deliverTo(sink, credential(12))).toMatchObject({ outcome: "delivered" })
  expect(server.secrets.get(name)?.versions).toBe(2)
  expect(await sink.check?.(sink.targets(REGISTRY), calm())).toMatchObject([{ level: "warning" }])
  for (const again of allow) again()
})

test("with adopt=true a secret is made without the tag where only the tag may not be set", async () => {
  const { name, sink } = fresh({ adopt: true })
  const allow = server.refuse("TagResource")
  expect(await deliverTo(sink, credential())).toMatchObject({ outcome: "delivered" })
  allow()
  expect(server.secrets.get(name)).toMatchObject({ versions: 1, tags: [] })
})

test("a Secrets Manager that only stumbles over the look is not written to blindly", async () => {
  const { name, sink } = fresh({ adopt: true })
  const repair = server.refuse("GetSecretValue", "InternalServiceError")
  expect(await deliverTo(sink, credential())).toMatchObject({ outcome: "failed", error: { retryable: true } })
  repair()
  expect(server.secrets.has(name)).toBe(false)
})

test.each(["GetSecretValue", "CreateSecret", "PutSecretValue"])(
  "an empty yes to %s, which AWS never says, is no delivery",
  async (action) => {
    const { name } = fresh()
    if (action === "PutSecretValue")
      server.secrets.set(name, { value: "old", keyId: undefined, tags: [], versions: 1 })
    const hollow = (async (input, init) => {
      const request = new Request(input, init)
      const isThat = request.headers.get("x-amz-target") === `secretsmanager.${action}`
      return isThat ? new Response("") : fetch(request)
    }) as typeof fetch
    const options = { conn_id: name.split("/").at(-1), adopt: true }
    const sink = secretsSink(server.url, options, { aws: accessTo(server.url, hollow) })
    expect(await deliverTo(sink, credential())).toMatchObject({
      outcome: "failed",
      error: { code: "not-aws" },
    })
  },
)

test.each([
  ["GetSecretValue", "secretsmanager:GetSecretValue"],
  ["CreateSecret", "secretsmanager:CreateSecret"],
  ["TagResource", "secretsmanager:TagResource"],
])("without %s it says what to allow, and shows nothing of the login", async (action, permission) => {
  const { sink } = fresh()
  const allow = server.refuse(action)
  const login = credential()
  const result = await deliverTo(sink, login)
  allow()
  expect(result).toMatchObject({ outcome: "failed", error: { code: "access-denied", retryable: false } })
  expect(result && "error" in result && result.error.hint).toContain(permission)
  expect(JSON.stringify(result)).not.toContain(login.password.reveal().slice(100, 160))
})

test.each([
  [{}, "name", /is required|conn_id/],
  [{ name: "a b" }, "name", /letters, digits/],
  [{ name: "ecr/{nothing}" }, "name", /is not a placeholder/],
])("refuses the options %j before any I/O", (options, _, says) => {
  expect(() => makeSink(kind, { region: "eu-central-1", ...options })).toThrow(says)
})
