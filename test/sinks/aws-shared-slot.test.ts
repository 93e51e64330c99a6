// Several registries in one docker config, in one parameter or one secret: each login is put in beside the others, what
// belongs to others stays, and what cannot be read is not written over.
import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import type { Registry } from "../../src/registry.ts"
import type { Sink } from "../../src/sink.ts"
import { secretsSink } from "../support/aws-secrets.ts"
import { ssmSink } from "../support/aws-ssm.ts"
import { makeCredential } from "../support/credentials.ts"
import { startSecretsManager } from "../support/secrets-server.ts"
import { calm, deliveriesOf, hours, manyRegistries, NOW, onlyTarget } from "../support/sinks.ts"
import { startSsm } from "../support/ssm-server.ts"

type Place = {
  readonly sinkFor: (options: object) => Sink
  readonly text: () => string | undefined
  /** Puts a text there that is ours. */
  readonly seed: (text: string) => void
  readonly writes: () => number
  /** How many slots were looked at. */
  readonly looks: () => number
  readonly denyReading: () => void
  readonly stop: () => Promise<void>
}

const NAME = "/ecr/pull"

const places: Readonly<Record<string, () => Place>> = {
  "aws-ssm"() {
    const server = startSsm()
    return {
      sinkFor: (options) => ssmSink(server.url, { tier: "Advanced", ...options }),
      text: () => server.parameters.get(NAME)?.value,
      seed: (value) => server.seed(NAME, { value, tags: { ecrelay: "managed" } }),
      writes: () => server.requests.filter(({ action }) => action === "PutParameter").length,
      looks: () => server.requests.flatMap(({ input }) => input.Names ?? []).length,
      denyReading: () => void server.refuse("ssm:GetParameters"),
      stop: () => server.stop(),
    }
  },
  "aws-secrets-manager"() {
    const server = startSecretsManager()
    return {
      sinkFor: (options) => secretsSink(server.url, options),
      text: () => server.secrets.get(NAME)?.value,
      seed: (value) => {
        const tags = [{ Key: "ecrelay", Value: "managed" }]
        server.secrets.set(NAME, { value, keyId: undefined, tags, versions: 1 })
      },
      writes: () => server.actions.filter((action) => /^(Create|Put)Secret/.test(action)).length,
      looks: () => server.actions.filter((action) => action === "GetSecretValue").length,
      denyReading: () => void server.refuse("GetSecretValue"),
      stop: () => server.stop(),
    }
  },
}

const [ONE, OTHER] = manyRegistries(2) as [Registry, Registry]
const login = (registry: Registry, expiresIn = 12, size = 2700) =>
  makeCredential({ registry, expiresAt: NOW + hours(expiresIn), size })
const entry = (credential: ReturnType<typeof login>) => ({
  auth: Buffer.from(`AWS:${credential.password.reveal()}`).toString("base64"),
})

for (const [type, open] of Object.entries(places))
  describe(`${type} with one docker config for several registries`, () => {
    let place: Place
    beforeEach(() => {
      place = open()
    })
    afterEach(() => place.stop())

    const sinkFor = (options: object = {}) =>
      place.sinkFor({ name: NAME, format: "docker-config", ...options })
    const deliver = async (credentials: readonly ReturnType<typeof login>[], options: object = {}) => {
      const sink = sinkFor(options)
      return sink.deliver(deliveriesOf(sink, credentials), calm())
    }
    const auths = () => JSON.parse(place.text() ?? "{}").auths

    test("names a target for each, which are no duplicates", () => {
      const names = [ONE, OTHER].map((registry) => onlyTarget(sinkFor(), registry).name)
      expect(new Set(names).size).toBe(2)
      expect(names[0]).toEndWith(`${NAME} auths["${ONE.host}"]`)
    })

    test("holds all logins after one write", async () => {
      const credentials = [login(ONE), login(OTHER)]
      expect(await deliver(credentials)).toMatchObject([{ outcome: "delivered" }, { outcome: "delivered" }])
      expect(auths()).toEqual(Object.fromEntries(credentials.map((one) => [one.registry.host, entry(one)])))
      expect(place.writes()).toBe(1)
      const sink = sinkFor()
      const targets = [ONE, OTHER].flatMap((registry) => sink.targets(registry))
      expect(await sink.read?.(targets, calm())).toMatchObject([
        { state: "held", expiresAt: NOW + hours(12) },
        { state: "held", expiresAt: NOW + hours(12) },
      ])
      expect(await deliver(credentials)).toMatchObject([{ outcome: "unchanged" }, { outcome: "unchanged" }])
      expect(place.writes()).toBe(1)
    })

    test("keeps the one while the other is renewed, and whatever else the config has", async () => {
      const theirs = { auth: "dGhlaXJzOmxvZ2lu", email: "a@example.com" }
      place.seed(JSON.stringify({ auths: { "docker.io": theirs }, credHelpers: { "gcr.io": "gcloud" } }))
      const one = login(ONE)
      await deliver([one])
      const other = login(OTHER)
      expect(await deliver([other])).toMatchObject([{ outcome: "delivered" }])
      expect(JSON.parse(place.text() ?? "")).toEqual({
        auths: { "docker.io": theirs, [ONE.host]: entry(one), [OTHER.host]: entry(other) },
        credHelpers: { "gcr.io": "gcloud" },
      })
    })

    test("leaves a login that lives longer alone while it writes the other", async () => {
      const newer = login(ONE, 12)
      await deliver([newer])
      const results = await deliver([login(ONE, 5), login(OTHER)])
      expect(results).toMatchObject([
        { outcome: "unchanged", expiresAt: NOW + hours(12) },
        { outcome: "delivered" },
      ])
      expect(auths()[ONE.host]).toEqual(entry(newer))
    })

    test("does not rewrite a config of the same content in another layout", async () => {
      const one = login(ONE, 12, 300)
      const pretty = JSON.stringify({ auths: { [ONE.host]: entry(one) } }, undefined, 2)
      place.seed(pretty)
      expect(await deliver([one])).toMatchObject([{ outcome: "unchanged" }])
      expect(place.text()).toBe(pretty)
    })

    test("says of a registry that is not in it that it holds no login", async () => {
      await deliver([login(ONE)])
      const sink = sinkFor()
      expect(await sink.read?.(sink.targets(OTHER), calm())).toMatchObject([
        {
          state: "held",
          expiresAt: undefined,
          differs: expect.stringContaining("no login to this registry"),
        },
      ])
    })

    test("is looked at once for all of them", async () => {
      await deliver([login(ONE), login(OTHER)])
      const before = place.looks()
      const sink = sinkFor()
      const held = await sink.read?.(
        [ONE, OTHER].flatMap((one) => sink.targets(one)),
        calm(),
      )
      expect(held?.map(({ state }) => state)).toEqual(["held", "held"])
      expect(place.looks() - before).toBe(1)
    })

    test("refuses the login alone that does not fit any more", async () => {
      const big = type === "aws-ssm" ? 5000 : 40_000
      const results = await deliver([login(ONE, 12, big), login(OTHER, 12, big)])
      expect(results).toMatchObject([
        { outcome: "delivered" },
        { outcome: "failed", error: { code: "too-long", target: expect.stringContaining(OTHER.host) } },
      ])
      expect(Object.keys(auths())).toEqual([ONE.host])
    })

    test("writes one login without reading with adopt=true, and never several", async () => {
      place.denyReading()
      expect(await deliver([login(ONE)], { adopt: true })).toMatchObject([{ outcome: "delivered" }])
      const before = place.text()
      expect(await deliver([login(ONE), login(OTHER)], { adopt: true })).toMatchObject([
        { outcome: "failed", error: { code: "unreadable", retryable: false } },
        { outcome: "failed", error: { hint: expect.stringContaining("allow ") } },
      ])
      expect(place.text()).toBe(before as string)
    })

    test("is found by check to be refused where it may not be read and several share it", async () => {
      place.denyReading()
      const sink = sinkFor({ adopt: true })
      const check = (registries: readonly Registry[]) =>
        sink.check?.(
          registries.flatMap((one) => sink.targets(one)),
          calm(),
        )
      expect(await check([ONE])).toMatchObject([{ level: "warning", code: "unread" }])
      const refused = { level: "error", code: "unreadable", fix: expect.stringContaining("allow ") }
      expect(await check([ONE, OTHER])).toMatchObject([refused, refused])
    })
  })
