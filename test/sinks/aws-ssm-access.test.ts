// What the aws-ssm sink may touch and as whom: parameters that are ours or given over, permissions that are missing,
// errors of AWS in words, throttling, and an identity and a region of its own.
import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { startAws } from "../../scripts/aws.ts"
import { accessTo, deliverTo, ssmSink } from "../support/aws-ssm.ts"
import { makeCredential } from "../support/credentials.ts"
import { textOf } from "../support/secrets.ts"
import { calm, deliveriesOf, hours, manyRegistries, NOW, onlyTarget, REGISTRY } from "../support/sinks.ts"
import { type Refusal, type SsmServer, startSsm } from "../support/ssm-server.ts"

let server: SsmServer
beforeEach(() => {
  server = startSsm()
})
afterEach(() => server.stop())

const CONN = "/airflow/connections/ecr"
const TARGET = `eu-central-1 parameter ${CONN}`
const sinkFor = (options: object = {}) => ssmSink(server.url, { conn_id: "ecr", ...options })
const fresh = () => makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(12) })
const deliver = (options: object = {}, credential = fresh()) => deliverTo(sinkFor(options), credential)
const actions = () => server.requests.map(({ action }) => action)

describe("a parameter that ecrelay did not make", () => {
  test("is refused with what it is, and never with what it holds", async () => {
    server.seed(CONN, { value: "somebody's secret", version: 7, type: "String" })
    const result = await deliver()
    expect(result).toMatchObject({
      outcome: "failed",
      error: {
        message: `${TARGET}: was not made by ecrelay: it is a String of version 7, last changed on 2023-11-14, without the tag ecrelay`,
        code: "not-ours",
        retryable: false,
        hint: expect.stringContaining("adopt=true"),
      },
    })
    expect(textOf(result)).not.toContain("somebody's secret")
    expect(server.parameters.get(CONN)?.value).toBe("somebody's secret")
    const sink = sinkFor()
    expect(await sink.check?.(sink.targets(REGISTRY), calm())).toMatchObject([{ level: "error" }])
  })

  test("is told by a look to be none that a refresh mends, with the way out", async () => {
    server.seed(CONN, { value: "theirs" })
    const hintFor = async (options: object = {}) => {
      const sink = sinkFor(options)
      const [held] = (await sink.read?.(sink.targets(REGISTRY), calm())) ?? []
      expect(held).toMatchObject({ state: "held", differs: expect.stringContaining("holds no login") })
      return held?.state === "held" ? held.hint : undefined
    }
    expect(await hintFor()).toContain("take it over with adopt=true")
    expect(await hintFor({ adopt: true })).toBeUndefined()
    server.refuse("ssm:ListTagsForResource")
    expect(await hintFor()).toContain("allow ssm:ListTagsForResource")
    server.seed(CONN, { value: "theirs", tags: { ecrelay: "managed" } })
    server.refuse("ssm:ListTagsForResource", { type: "" }, () => false)
    expect(await hintFor()).toBeUndefined()
  })

  test("is taken over with adopt=true; its type, its tags and its tier stay", async () => {
    server.seed(CONN, { tags: { team: "data" }, tier: "Advanced" })
    expect(await deliver({ adopt: true })).toMatchObject({ outcome: "delivered" })
    expect(server.parameters.get(CONN)).toMatchObject({
      version: 2,
      tags: { team: "data" },
      tier: "Advanced",
    })
    expect(actions()).not.toContain("ListTagsForResource")
  })

  test("is ours once it carries our tag", async () => {
    server.seed(CONN, { tags: { ecrelay: "managed" } })
    expect(await deliver()).toMatchObject({ outcome: "delivered" })
  })

  test("is left alone where it already holds what we would write", async () => {
    const credential = fresh()
    await deliver({}, credential)
    server.seed(CONN, { value: server.parameters.get(CONN)?.value ?? "" })
    expect(await deliver({}, credential)).toMatchObject({ outcome: "unchanged" })
  })

  test("is written in the clear only with a warning, and not at all where a key was asked for", async () => {
    server.seed(CONN, { type: "String" })
    expect(await deliver({ adopt: true })).toMatchObject({
      outcome: "delivered",
      warning: expect.stringMatching(/^it is a String, which AWS does not encrypt; delete it/),
    })
    expect(server.parameters.get(CONN)?.type).toBe("String")
    expect(await deliver({ adopt: true, kms_key: "alias/ecr" })).toMatchObject({
      outcome: "failed",
      error: { message: `${TARGET}: is a String, which AWS does not encrypt with kms_key` },
    })
  })

  test("that appears between look and write is not overwritten", async () => {
    server.beforeCreate = (name) => server.seed(name, { value: "quicker" })
    expect(await deliver()).toMatchObject({ outcome: "failed", error: { code: "not-ours" } })
    expect(server.parameters.get(CONN)?.value).toBe("quicker")
  })

  test("that we made, though AWS's answer got lost, is delivered", async () => {
    server.beforeCreate = (name, value) => {
      server.seed(name, { value })
      server.beforeCreate = () => undefined
      throw { type: "InternalServerError", status: 500 }
    }
    const aws = accessTo(server.url, fetch, { AWS_MAX_ATTEMPTS: "2" })
    expect(await deliverTo(ssmSink(server.url, { conn_id: "ecr" }, { aws }), fresh())).toMatchObject({
      outcome: "delivered",
    })
    expect(server.parameters.get(CONN)?.version).toBe(1)
  })
})

describe("a parameter of ours that somebody deletes", () => {
  /** The parameter store, where it is gone as soon as that action comes. */
  const deletedBefore = (action: string) =>
    accessTo(server.url, (async (input, init) => {
      const request = new Request(input, init)
      if (request.headers.get("x-amz-target") === `AmazonSSM.${action}`) server.parameters.delete(CONN)
      return fetch(request)
    }) as typeof fetch)
  const deliverInto = (action: string, options: object = {}) =>
    deliverTo(ssmSink(server.url, { conn_id: "ecr", ...options }, { aws: deletedBefore(action) }), fresh())

  test("right before the write is made anew, and is ours", async () => {
    server.seed(CONN, { tags: { ecrelay: "managed" }, version: 7 })
    expect(await deliverInto("PutParameter")).toMatchObject({ outcome: "delivered" })
    expect(server.parameters.get(CONN)).toMatchObject({ version: 1, tags: { ecrelay: "managed" } })
    expect(await deliver()).toMatchObject({ outcome: "delivered" })
  })

  test("is made anew without the tag where adopt=true and only the tag may not be set", async () => {
    server.seed(CONN, { version: 7 })
    server.refuse("ssm:AddTagsToResource")
    expect(await deliverInto("PutParameter", { adopt: true })).toMatchObject({ outcome: "delivered" })
    expect(server.parameters.get(CONN)).toMatchObject({ version: 1, tags: {} })
  })

  test("before its tags are looked at is a parameter that the next attempt makes", async () => {
    server.seed(CONN, { tags: { ecrelay: "managed" } })
    const result = await deliverInto("ListTagsForResource")
    expect(result).toMatchObject({ outcome: "failed", error: { code: "conflict", retryable: true } })
    expect(await deliver()).toMatchObject({ outcome: "delivered" })
  })
})

describe("with adopt=true and ssm:PutParameter alone", () => {
  beforeEach(() => {
    for (const action of ["ssm:GetParameters", "ssm:ListTagsForResource", "ssm:AddTagsToResource"])
      server.refuse(action)
  })

  test.each([{}, { tier: "Advanced" }, { tier: "Intelligent-Tiering" }, { kms_key: "alias/ecr" }])(
    "%j makes a parameter and gives it a new value",
    async (options) => {
      for (const version of [1, 2]) {
        const credential = fresh()
        expect(await deliver({ adopt: true, ...options }, credential)).toMatchObject({ outcome: "delivered" })
        expect(server.parameters.get(CONN)).toMatchObject({ version, type: "SecureString" })
        expect(server.parameters.get(CONN)?.value).toContain(credential.password.reveal())
      }
    },
  )

  test("leaves an advanced parameter advanced, and a String a String", async () => {
    server.seed(CONN, { tier: "Advanced", type: "String" })
    expect(await deliver({ adopt: true, tier: "Standard" })).toMatchObject({ outcome: "delivered" })
    expect(server.parameters.get(CONN)).toMatchObject({ tier: "Advanced", type: "String" })
  })

  test("a Parameter Store that only stumbles over the look is not written to blindly", async () => {
    server.refuse("ssm:GetParameters", { type: "InternalServerError", status: 500 })
    expect(await deliver({ adopt: true })).toMatchObject({ outcome: "failed", error: { retryable: true } })
    expect(actions()).not.toContain("PutParameter")
  })

  test("check says that every delivery will write", async () => {
    const sink = sinkFor({ adopt: true })
    expect(await sink.check?.(sink.targets(REGISTRY), calm())).toEqual([
      {
        level: "warning",
        code: "unread",
        subject: TARGET,
        message: "may not be read, so every delivery writes it",
        fix: "allow ssm:GetParameters on it",
      },
    ])
  })
})

test("with adopt=true a parameter is made without the tag where only the tag may not be set", async () => {
  server.refuse("ssm:AddTagsToResource")
  expect(await deliver({ adopt: true })).toMatchObject({ outcome: "delivered" })
  expect(server.parameters.get(CONN)).toMatchObject({ version: 1, tags: {} })
})

test("looks at ten parameters with one call", async () => {
  const sink = ssmSink(server.url, { name: "/ecr/{account}", format: "password" })
  await sink.read?.(
    manyRegistries(25).flatMap((registry) => sink.targets(registry)),
    calm(),
  )
  expect(actions()).toEqual(["GetParameters", "GetParameters", "GetParameters"])
})

test.each([
  [{ host: `https://${REGISTRY.host}` }, "it is the login for another host"],
  [{ login: "somebody" }, "user name is not AWS"],
  [{ port: 443 }, "it holds more than this login, or holds it in another format"],
  [{ password: undefined }, "it holds no login to this registry as format=airflow writes it"],
])("a login of ours that became %j is told and repaired, however long it lives", async (change, words) => {
  const longer = makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(12) })
  await deliver({}, longer)
  const parameter = server.parameters.get(CONN)
  server.seed(CONN, {
    ...parameter,
    value: JSON.stringify({ ...JSON.parse(parameter?.value ?? ""), ...change }),
  })
  const sink = sinkFor()
  expect(await sink.read?.(sink.targets(REGISTRY), calm())).toMatchObject([{ state: "held", differs: words }])
  const shorter = makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(5) })
  expect(await deliver({}, shorter)).toMatchObject({ outcome: "delivered", expiresAt: NOW + hours(5) })
  expect(server.parameters.get(CONN)?.value).toContain(shorter.password.reveal())
})

test.each([
  ["ssm:GetParameters", {}, "ssm:GetParameters on the parameter and kms:Decrypt"],
  ["ssm:PutParameter", {}, "ssm:PutParameter"],
  ["ssm:AddTagsToResource", {}, "ssm:AddTagsToResource"],
  ["kms:Encrypt", { kms_key: "alias/ecr" }, "kms:Encrypt"],
])("a refused %s is named together with what to allow", async (action, options, hint) => {
  server.refuse(action)
  expect(await deliver(options)).toMatchObject({
    outcome: "failed",
    error: {
      // AWS's own words name the action that is missing, whichever call needed it.
      message: expect.stringMatching(
        new RegExp(`^${TARGET}: AWS refused access: ssm:\\w+ \\(.*not authorized to perform: ${action} `),
      ),
      code: "access-denied",
      hint: expect.stringContaining(hint),
      retryable: false,
    },
  })
})

test("a refused ssm:ListTagsForResource is named before anything is overwritten", async () => {
  await deliver()
  const before = server.parameters.get(CONN)
  server.refuse("ssm:ListTagsForResource")
  expect(await deliver()).toMatchObject({
    outcome: "failed",
    error: { hint: "allow ssm:ListTagsForResource on the parameter; with adopt=true it is not needed" },
  })
  expect(server.parameters.get(CONN)).toEqual(before as NonNullable<typeof before>)
})

test.each<[Refusal, string, boolean]>([
  [
    { type: "ParameterLimitExceeded" },
    "the account has as many parameters in this region as AWS allows",
    false,
  ],
  [{ type: "ParameterMaxVersionLimitExceeded" }, "its oldest version carries a label", false],
  [
    { type: "InvalidKeyId", message: "key is disabled" },
    "its KMS key cannot be used (key is disabled)",
    false,
  ],
  [{ type: "ParameterPatternMismatchException" }, "its AllowedPattern does not allow the login", false],
  [{ type: "HierarchyTypeMismatchException" }, "it is of another type, which AWS cannot change", false],
  [{ type: "TooManyUpdates" }, "somebody else is updating it too", true],
  [{ type: "ThrottlingException" }, "AWS throttled the call", true],
  [{ type: "InternalServerError", status: 500 }, "the call to AWS failed", true],
  [{ type: "ExpiredTokenException" }, "the AWS credentials have expired", false],
])("%j is said in words", async (refusal, words, retryable) => {
  server.refuse("ssm:PutParameter", refusal)
  const result = await deliver()
  expect(result).toMatchObject({ outcome: "failed", error: { retryable, hint: expect.stringMatching(/./) } })
  expect(textOf(result)).toContain(`${TARGET}: ${words}`)
})

test("an error that quotes the value is told without the quotation", async () => {
  const credential = fresh()
  const part = credential.password.reveal().slice(100, 160)
  server.refuse("ssm:PutParameter", { type: "ValidationException", message: `Value '${part}' is too long` })
  const result = await deliver({}, credential)
  expect(textOf(result)).toContain(`${TARGET}: AWS rejected it`)
  expect(textOf(result)).not.toContain(part.slice(10, 40))
})

describe("an answer without anything that AWS answers with", () => {
  /** The parameter store, but for one action, to which something in front of it says an empty yes. */
  const hollow = (action: string) =>
    (async (input, init) => {
      const request = new Request(input, init)
      const isThat = request.headers.get("x-amz-target") === `AmazonSSM.${action}`
      return isThat ? new Response("") : fetch(request)
    }) as typeof fetch

  test.each([[{}], [{ adopt: true }]])("to a write is no delivery, with %j", async (options) => {
    const aws = accessTo(server.url, hollow("PutParameter"))
    const sink = ssmSink(server.url, { conn_id: "ecr", ...options }, { aws })
    expect(await deliverTo(sink, fresh())).toMatchObject({ outcome: "failed", error: { code: "not-aws" } })
  })

  test("to a look is no parameter that is missing", async () => {
    const aws = accessTo(server.url, hollow("GetParameters"))
    const sink = ssmSink(server.url, { conn_id: "ecr" }, { aws })
    expect(await sink.read?.(sink.targets(REGISTRY), calm())).toMatchObject([
      { state: "unreadable", error: { code: "not-aws" } },
    ])
  })
})

test("a redirect takes no login to a host that nobody named", async () => {
  const asked: string[] = []
  const listen = (answer: (request: Request) => Response) =>
    Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: answer })
  const elsewhere = listen(({ url }) => Response.json({ Version: asked.push(url) }))
  const location = `http://127.0.0.1:${elsewhere.port}/`
  const gateway = listen(() => new Response("", { status: 307, headers: { location } }))
  const redirecting = (async (input, init) => {
    const request = new Request(input, init)
    const isWrite = request.headers.get("x-amz-target") === "AmazonSSM.PutParameter"
    return isWrite ? fetch(`http://127.0.0.1:${gateway.port}/`, request) : fetch(request)
  }) as typeof fetch
  const aws = accessTo(server.url, redirecting)
  const result = await deliverTo(ssmSink(server.url, { conn_id: "ecr" }, { aws }), fresh())
  await Promise.all([gateway.stop(true), elsewhere.stop(true)])
  expect(result).toMatchObject({ outcome: "failed", error: { code: "not-aws" } })
  expect(asked).toEqual([])
})

test("one parameter that may not be read does not keep its neighbours in the batch from their login", async () => {
  const registries = manyRegistries(3)
  server.refuse("ssm:GetParameters", { type: "AccessDeniedException" }, (name) =>
    name.endsWith("/000000000001"),
  )
  const sink = ssmSink(server.url, { name: "/ecr/{account}", format: "password" })
  const credentials = registries.map((registry) => makeCredential({ registry, expiresAt: NOW + hours(12) }))
  const results = await sink.deliver(deliveriesOf(sink, credentials), calm())
  expect(results.map(({ outcome }) => outcome)).toEqual(["delivered", "failed", "delivered"])
})

test("a Parameter Store that takes three writes a second gets all of them", async () => {
  await server.stop()
  server = startSsm({ writesPerSecond: 3 })
  const aws = accessTo(server.url, fetch, { AWS_MAX_ATTEMPTS: "3" })
  const sink = ssmSink(server.url, { name: "/ecr/{account}", format: "password" }, { aws })
  const credentials = manyRegistries(15).map((registry) =>
    makeCredential({ registry, expiresAt: NOW + hours(12) }),
  )
  // The SDK slows down by itself; what is thrown back all the same is what the core tries again.
  let left = deliveriesOf(sink, credentials)
  for (let round = 0; left.length > 0 && round < 10; round += 1) {
    const results = await sink.deliver(left, calm())
    const failed = results.flatMap((result) => (result.outcome === "failed" ? [result.error] : []))
    for (const error of failed) expect(error).toMatchObject({ code: "throttled", retryable: true })
    left = left.filter((_, i) => results[i]?.outcome === "failed")
  }
  expect(server.parameters.size).toBe(15)
}, 60_000)

describe("an identity and a region of the sink's own", () => {
  test("count for the parameter alone: each role is assumed from the one before, the last with the external id", async () => {
    const sts = startAws()
    const aws = accessTo(server.url, fetch, { AWS_ENDPOINT_URL_STS: sts.url })
    const roles = ["arn:aws:iam::444444444444:role/hub", "arn:aws:iam::555555555555:role/external-abc"]
    const options = { conn_id: "ecr", region: "eu-west-2", role_arn: roles, external_id: "abc" }
    try {
      const sink = ssmSink(server.url, options, { aws })
      expect(onlyTarget(sink, REGISTRY).name).toBe(`eu-west-2 (${roles[1]}) parameter ${CONN}`)
      expect(await deliverTo(sink, fresh())).toMatchObject({ outcome: "delivered" })
      expect(sts.calls.map(({ operation, form }) => [operation, form.RoleArn, form.ExternalId])).toEqual([
        ["AssumeRole", roles[0], undefined],
        ["AssumeRole", roles[1], "abc"],
      ])
      expect(
        new Set(server.requests.map(({ region, accessKeyId }) => `${region} ${accessKeyId?.slice(0, 4)}`)),
      ).toEqual(new Set(["eu-west-2 ASIA"]))
    } finally {
      await sts.stop()
    }
  })

  test("a role that may not be assumed is named with the way out", async () => {
    const sts = startAws()
    const aws = accessTo(server.url, fetch, { AWS_ENDPOINT_URL_STS: sts.url })
    const role = "arn:aws:iam::555555555555:role/external-abc"
    try {
      const sink = ssmSink(server.url, { conn_id: "ecr", role_arn: role, external_id: "wrong" }, { aws })
      expect(deliverTo(sink, fresh())).rejects.toMatchObject({
        message: expect.stringContaining(`(${role}): AWS refused access: sts:AssumeRole`),
        hint: expect.stringContaining("let the role trust"),
      })
      const [finding] = (await sink.check?.(sink.targets(REGISTRY), calm())) ?? []
      expect(finding).toMatchObject({ level: "error", fix: expect.stringContaining("external_id") })
    } finally {
      await sts.stop()
    }
  })
})
