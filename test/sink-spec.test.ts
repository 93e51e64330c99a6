// Sinks as they are configured: what `--sink` and [[sink]] come to, and complaints that never quote a value.
import { expect, test } from "bun:test"
import fc from "fast-check"
import * as v from "valibot"
import { ConfigError, DeliveryError } from "../src/errors.ts"
import { defineSink, flagOption, listOption, type SinkDeps, secretOption, textOption } from "../src/sink.ts"
import { createSink, parseSinkTable, parseSinkText, type SinkKinds, secretKeysOf } from "../src/sink-spec.ts"
import { fakeSink, START } from "./support/fakes.ts"
import { testDeps } from "./support/sinks.ts"

const options = v.strictObject({
  path: textOption("a path"),
  url: v.optional(secretOption("a URL that may hold a password")),
  force: v.optional(flagOption("a switch")),
  ids: v.optional(listOption("a list")),
  mode: v.optional(v.picklist(["auto", "v1", "v2"])),
})
let made: { readonly options: unknown; readonly deps: SinkDeps } | undefined
const kind = defineSink({
  type: "fake",
  summary: "for tests",
  permissions: [],
  options,
  create: (checked, deps) => {
    made = { options: checked, deps }
    return fakeSink("fake", { now: () => START })
  },
})
const kinds: SinkKinds = { fake: async () => kind, "docker-config": async () => kind }

const complaintsOf = (work: () => unknown): readonly string[] => {
  try {
    work()
  } catch (error) {
    if (error instanceof ConfigError) return error.issues.map(({ path, message }) => `${path}: ${message}`)
    throw error
  }
  return []
}

async function make(text: string): Promise<unknown> {
  made = undefined
  await createSink(parseSinkText(text, "--sink"), kinds, testDeps())
  return (made as { options: unknown } | undefined)?.options
}

const refusalOf = (text: string) =>
  make(text).then(
    () => "accepted",
    (error: ConfigError) => error.message,
  )

test.each([
  ["docker-config", "docker-config", {}],
  ["fake,path=/x", "fake", { path: "/x" }],
  [" fake , path=/x", "fake", { path: "/x" }],
  ["fake,path=a=b=c", "fake", { path: "a=b=c" }],
  ["fake,path=", "fake", { path: "" }],
  ['fake,"path=/a,b"', "fake", { path: "/a,b" }],
  ['fake,"path=say ""hi""",force=true', "fake", { path: 'say "hi"', force: "true" }],
  ["fake,ids=a,ids=b,ids=c", "fake", { ids: ["a", "b", "c"] }],
  ["fake,path= spaces stay ", "fake", { path: " spaces stay " }],
  ["fake,", "fake", {}],
] as const)("%s", (text, type, expected) => {
  expect(parseSinkText(text, "--sink")).toMatchObject({ type, options: expected, optional: false })
})

test("any values come back as they were, once they are quoted as CSV is", () => {
  const key = fc
    .stringMatching(/^[a-z][a-z_]{0,8}$/)
    .filter((name) => !["type", "optional", "registries"].includes(name))
  const fields = fc.uniqueArray(fc.tuple(key, fc.string({ unit: "grapheme" })), {
    selector: ([name]) => name,
  })
  fc.assert(
    fc.property(fields, (pairs) => {
      const text = [
        "fake",
        ...pairs.map(([name, value]) => `"${`${name}=${value}`.replaceAll('"', '""')}"`),
      ].join(",")
      expect(parseSinkText(text, "--sink").options).toEqual(Object.fromEntries(pairs))
    }),
  )
})

// Of no complaint's own words, as a random text now and then is.
const MARK = "\u2603"

test("no text makes it do anything but answer or complain, and no complaint quotes what stood behind the type", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      for (const complaint of complaintsOf(() => parseSinkText(`fake,${MARK}${text}${MARK}`, "--sink")))
        expect(complaint).not.toContain(MARK)
    }),
  )
})

test.each([
  [
    "fake,path",
    `--sink fake: field 1 after the type is not KEY=VALUE; put a value with a comma in quotes, like '"KEY=a,b"'`,
  ],
  [
    "fake,path=/x,=y",
    `--sink fake: field 2 after the type is not KEY=VALUE; put a value with a comma in quotes, like '"KEY=a,b"'`,
  ],
  [
    "fake,__proto__=x",
    `--sink fake: field 1 after the type is not KEY=VALUE; put a value with a comma in quotes, like '"KEY=a,b"'`,
  ],
  ["fake,type=other", "--sink fake, type: give the type before the first comma, not as an option"],
  ['fake,"path=/a', `--sink: unmatched quote; a quoted field begins and ends with one, like '"KEY=a,b"'`],
  ['fake,path="/a,b"', `--sink: unmatched quote; a quoted field begins and ends with one, like '"KEY=a,b"'`],
  ["", "--sink: must begin with the type of a sink, such as --sink docker-config,path=/etc/docker"],
  [",path=/x", "--sink: must begin with the type of a sink, such as --sink docker-config,path=/etc/docker"],
  [
    "url=postgres://u:p@h/db",
    "--sink: must begin with the type of a sink, such as --sink docker-config,path=/etc/docker",
  ],
  ["fake,optional=maybe", "--sink fake, optional: must be true or false"],
] as const)("%p: %s", (text, complaint) => {
  expect(complaintsOf(() => parseSinkText(text, "--sink"))).toEqual([complaint])
})

test("optional and registries are for every sink, as text or as TOML has them", () => {
  expect(parseSinkText("fake,optional=true,registries=a,registries=b", "--sink")).toMatchObject({
    optional: true,
    registries: ["a", "b"],
    options: {},
  })
  expect(parseSinkTable({ type: "fake", optional: true, registries: ["a"], path: "/x" }, "sink[0]")).toEqual({
    type: "fake",
    optional: true,
    registries: ["a"],
    options: { path: "/x" },
    origin: "sink[0]",
  })
  expect(parseSinkText("fake,registries=a", "--sink").registries).toEqual(["a"])
  expect(parseSinkText("fake", "--sink").registries).toBeUndefined()
})

test.each([
  [{}, "sink[0], type: is required"],
  [{ type: 5 }, "sink[0], type: must be the type of a sink"],
  [{ type: "" }, "sink[0], type: must name the type of a sink"],
  [{ type: "fake", optional: "x" }, "sink[0], optional: must be true or false"],
  [{ type: "fake", registries: 5 }, "sink[0], registries: must be a list of hosts or regions"],
] as const)("the table %p: %s", (table, complaint) => {
  expect(complaintsOf(() => parseSinkTable(table, "sink[0]"))).toEqual([complaint])
})

test("options arrive checked: switches as booleans, lists as lists", async () => {
  expect(await make("fake,path=/x,force=true,ids=one,mode=v2")).toEqual({
    path: "/x",
    force: true,
    ids: ["one"],
    mode: "v2",
  })
  expect(await make("fake,path=/x,force=false,ids=one,ids=two")).toEqual({
    path: "/x",
    force: false,
    ids: ["one", "two"],
  })
})

test("a list may have one text in TOML too, but not none", async () => {
  const making = (ids: readonly string[]) =>
    createSink(parseSinkTable({ type: "fake", path: "/x", ids }, "sink[0]"), kinds, testDeps())
  await making(["one"])
  expect(made?.options).toEqual({ path: "/x", ids: ["one"] })
  await expect(making([])).rejects.toThrow("sink[0], ids: must not be empty")
})

test.each([
  ["faek,path=/x", '--sink faek: unknown sink "faek"; did you mean fake? (sinks: fake, docker-config)'],
  [
    "docker,path=/x",
    '--sink docker: unknown sink "docker"; did you mean docker-config? (sinks: fake, docker-config)',
  ],
  ["vault,path=/x", '--sink vault: unknown sink "vault" (sinks: fake, docker-config)'],
  ["constructor,path=/x", '--sink constructor: unknown sink "constructor" (sinks: fake, docker-config)'],
  ["fake", "--sink fake, path: is required"],
  ["fake,path=", "--sink fake, path: must not be empty"],
  ["fake,path=a,path=b", "--sink fake, path: must be a single string"],
  ["fake,pth=/x,path=/x", "--sink fake, pth: unknown option; did you mean path?"],
  ["fake,banana=/x,path=/x", "--sink fake, banana: unknown option; there are path, url, force, ids, mode"],
  ["fake,path=/x,force=yes", "--sink fake, force: must be true or false"],
  ["fake,path=/x,mode=v3", '--sink fake, mode: must be "auto" or "v1" or "v2"'],
] as const)("%s: %s", async (text, complaint) => {
  expect(await refusalOf(text)).toBe(complaint)
})

test("all that is wrong with one sink is said at once", async () => {
  expect((await refusalOf("fake,pth=1,force=2,mode=3")).split("\n")).toHaveLength(4)
})

test("no complaint about an option quotes its value, whatever kind of option it is", async () => {
  const secret = "hunter2hunter2"
  for (const text of [
    `fake,path=/x,force=${secret}`,
    `fake,path=/x,mode=${secret}`,
    `fake,url=${secret},url=${secret}`,
    `fake,path=/x,url=postgres://u:p,${secret}@h/db`,
    `fake,path=/x,url=postgres://u:p,${secret}@h/db?a=b`,
    `fake,${secret}`,
    `fake,"${secret}`,
    `${secret}://x`,
  ])
    expect(await refusalOf(text)).not.toContain(secret)
})

test("which options may hold a secret is known by their schema", async () => {
  expect(await secretKeysOf(parseSinkText("fake,path=/x", "--sink"), kinds, testDeps())).toEqual(["url"])
})

test("what a sink's own checks refuse is told with where it was configured", async () => {
  const picky = defineSink({
    ...kind,
    options: v.strictObject({}),
    create: () => {
      throw new ConfigError([{ path: "path", message: "there is no home directory" }])
    },
  })
  const making = createSink(parseSinkText("picky", "--sink"), { picky: async () => picky }, testDeps())
  await expect(making).rejects.toThrow("--sink picky, path: there is no home directory")
})

test("a secret is resolved by its reference when the sink asks, and a missing one is the delivery's failure", async () => {
  const env: Record<string, string> = {}
  await createSink(parseSinkText("fake,path=/x", "--sink"), kinds, { ...testDeps(), env })
  const secret = made?.deps.secret ?? (() => Promise.reject(new Error("nothing was made")))
  const error = await secret("env:PASSWORD").catch((failure: unknown) => failure)
  expect(error).toBeInstanceOf(DeliveryError)
  expect(error).toMatchObject({
    code: "secret-missing",
    retryable: false,
    message: "env:PASSWORD: the variable PASSWORD is not set",
  })
  env.PASSWORD = "later"
  expect((await secret("env:PASSWORD")).reveal()).toBe("later")
})
