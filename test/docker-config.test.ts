// Docker's config.json: which file it is, what an edit of one login changes in its text, and that it changes nothing else.
import { expect, test } from "bun:test"
import fc from "fast-check"
import { loginEdits, parseDockerConfig, withEdits } from "../sinks/_docker-config/config.ts"
import { joinObject, splitObject } from "../sinks/_json.ts"
import kind from "../sinks/docker-config.ts"
import { ConfigError } from "../src/errors.ts"
import { makeSink, REGISTRY, testDeps } from "./support/sinks.ts"

const HOST = REGISTRY.host
const AUTH = Buffer.from("AWS:pass").toString("base64")

/** The text with our login in it. */
function withLogin(text: string): string {
  const config = parseDockerConfig(Buffer.from(text))
  if (typeof config === "string") throw new Error(config)
  return withEdits(config, loginEdits(config, HOST, AUTH))
}

test.each([
  [{ path: "/etc/docker" }, {}, "/etc/docker/config.json"],
  [{ path: "/etc/docker/" }, {}, "/etc/docker/config.json"],
  [{ path: "/run/user/7/containers/auth.json" }, {}, "/run/user/7/containers/auth.json"],
  [{ path: "/odd/folder.json/" }, {}, "/odd/folder.json/config.json"],
  [{ path: "~/x" }, { home: "/home/eva" }, "/home/eva/x/config.json"],
  [{ path: "~" }, { home: "/home/eva" }, "/home/eva/config.json"],
  [{ path: "/a/~/b.json" }, { home: undefined }, "/a/~/b.json"],
  [{}, { home: "/home/eva" }, "/home/eva/.docker/config.json"],
  [{}, { home: "/home/eva", env: { DOCKER_CONFIG: "" } }, "/home/eva/.docker/config.json"],
  [{}, { home: "/home/eva", env: { DOCKER_CONFIG: "/ci/docker" } }, "/ci/docker/config.json"],
  [{}, { env: { DOCKER_CONFIG: "/ci/docker.json" } }, "/ci/docker.json/config.json"],
  [{ path: "/p" }, { env: { DOCKER_CONFIG: "/ci/docker" } }, "/p/config.json"],
])("with %j and %j the file is %s", (options, deps, file) => {
  const [target] = makeSink(kind, options, testDeps(deps)).targets(REGISTRY)
  expect(target).toEqual({ registry: REGISTRY, slot: HOST, name: `${file} auths["${HOST}"]` })
})

test.each([{}, { path: "~/.docker" }])(
  "with %j and no home at all it says so, and the way out",
  (options) => {
    const create = () => makeSink(kind, options, testDeps())
    expect(create).toThrow(ConfigError)
    expect(create).toThrow(
      "path: there is no home directory: name the file with path=/…/config.json, or set DOCKER_CONFIG or HOME",
    )
  },
)

const ENTRY = { auth: AUTH }
test.each([
  ["tabs", "\t", ""],
  ["two blanks", "  ", "\n"],
  ["four blanks", "    ", "\n\n"],
  ["no white space", "", ""],
  ["no white space but a line break at the end", "", "\n"],
])("keeps %s, the order of keys and the end of the file", (_, indent, end) => {
  const before = { z: [1, { y: null }], auths: { b: { auth: "eDp5" }, a: {} }, HttpHeaders: {}, a: "é" }
  const after = { ...before, auths: { ...before.auths, [HOST]: ENTRY } }
  expect(withLogin(JSON.stringify(before, null, indent) + end)).toBe(
    JSON.stringify(after, null, indent) + end,
  )
})

test.each([
  ["an empty file", "", `{\n\t"auths": {\n\t\t"${HOST}": {\n\t\t\t"auth": "${AUTH}"\n\t\t}\n\t}\n}\n`],
  ["white space alone", " \n", `{\n\t"auths": {\n\t\t"${HOST}": {\n\t\t\t"auth": "${AUTH}"\n\t\t}\n\t}\n}\n`],
  ["no auths", `{"a":1}`, `{"a":1,"auths":{"${HOST}":{"auth":"${AUTH}"}}}`],
  ["auths of null", `{"auths":null,"a":1}`, `{"auths":{"${HOST}":{"auth":"${AUTH}"}},"a":1}`],
  [
    "empty auths",
    `{\r\n  "auths": {}\r\n}`,
    `{\r\n  "auths": {\r\n    "${HOST}": {\r\n      "auth": "${AUTH}"\r\n    }\r\n  }\r\n}`,
  ],
  [
    "one line",
    `{ "auths": { "a": {} }, "b": 1 }`,
    `{ "auths": { "a": {}, "${HOST}": { "auth": "${AUTH}" } }, "b": 1 }`,
  ],
  [
    "auths twice",
    `{"auths":{"a":{}},"auths":{"b":{}}}`,
    `{"auths":{"a":{}},"auths":{"b":{},"${HOST}":{"auth":"${AUTH}"}}}`,
  ],
  ["an entry of null", `{"auths":{"${HOST}":null}}`, `{"auths":{"${HOST}":{"auth":"${AUTH}"}}}`],
  ["an escaped key", `{"\\u0061uths":{}}`, `{"\\u0061uths":{"${HOST}":{"auth":"${AUTH}"}}}`],
])("takes %s as it is", (_, before, after) => {
  expect(withLogin(before)).toBe(after)
})

test("removes stale twins of our own hosts, and no other key", () => {
  const twins = [
    "https://H",
    "http://H",
    "https://H/",
    "H/",
    "https://H/v1/",
    "https://H/v2/",
    "H/v1",
    "H/v2",
  ]
  const others = ["H/team/app", "https://H:5000", "H:443", "https://x.H", "https://index.docker.io/v1/"]
  const keys = [...twins.slice(0, 4), ...others, ...twins.slice(4)].map((key) => key.replace("H", HOST))
  const auths = Object.fromEntries(keys.map((key) => [key, { auth: "b2xk" }]))
  const left = Object.keys(JSON.parse(withLogin(JSON.stringify({ auths }))).auths)
  expect(left).toEqual([...others.map((key) => key.replace("H", HOST)), HOST])
})

test("removes a twin in any place without a trace", () => {
  const twin = `"https://${HOST}": {}`
  const ours = `"${HOST}": {"auth": "${AUTH}"}`
  for (const before of [
    `{${twin}, "a": 1, ${ours} }`,
    `{"a": 1, ${twin}, ${ours} }`,
    `{"a": 1, ${ours}, ${twin} }`,
  ])
    expect(withLogin(`{"auths": ${before}}`)).toBe(`{"auths": {"a": 1, ${ours} }}`)
})

test("keeps what else stands in our entry, but nothing that would win over the login", () => {
  const rest = `"username": "u", "password": "p", "registrytoken": "r"}`
  const before = `{"email": "a@b.c", "identitytoken": "t", "auth": "b2xk", "x": [1.0], ${rest}`
  const after = `{"email": "a@b.c", "auth": "${AUTH}", "x": [1.0]}`
  expect(withLogin(`{"auths": {"${HOST}": ${before}}}`)).toBe(`{"auths": {"${HOST}": ${after}}}`)
})

// Any JSON text, written as nobody would: odd white space, escapes, numbers beyond a double, keys twice.
const white = fc.stringMatching(/^[ \t\r\n]{0,3}$/)
const scalar = fc.oneof(
  fc.constantFrom(
    "1e400",
    "-0",
    "12345678901234567890.10",
    "true",
    "false",
    "null",
    '"\\u007b\\"}"',
    '"\\\\"',
    '"{["',
  ),
  fc.string().map((text) => JSON.stringify(text)),
)
const keyText = fc.oneof(
  fc.constantFrom(
    '"__proto__"',
    '"constructor"',
    '"a"',
    '"a"',
    '"\\u0061"',
    '""',
    '"}"',
    '"auth"',
    '"ghcr.io"',
  ),
  fc.string().map((text) => JSON.stringify(text)),
)
const memberText = (value: fc.Arbitrary<string>) =>
  fc
    .tuple(white, keyText, white, white, value, white)
    .map(([a, key, b, c, one, d]) => `${a}${key}${b}:${c}${one}${d}`)
const { value } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    scalar,
    fc
      .tuple(fc.array(tie("value"), { maxLength: 3 }), white)
      .map(([all, blank]) => `[${blank}${all.join(`${blank},`)}]`),
    fc
      .tuple(fc.array(memberText(tie("value")), { maxLength: 3 }), white)
      .map(([all, blank]) => `{${all.join(",") || blank}}`),
  ),
}))
const members = fc.array(memberText(value), { maxLength: 4 })
const isNotOurs = (text: string) => !text.includes("auths") && !text.includes("cred") && !text.includes(HOST)

test("adds our entry and changes no byte before or behind it, whatever the file", () => {
  const about = fc.tuple(white, members, white, members, white, members, white)
  const property = fc.property(about, ([a, before, b, entries, blank, after, c]) => {
    const auths = `${a}"auths"${b}:${c}{${entries.join(",") || blank}`
    const head = `${b}{${[...before, auths].join(",")}`
    const tail = `}${["", ...after].join(",")}${a}}${c}`
    fc.pre(isNotOurs(before.join()) && isNotOurs(entries.join()) && isNotOurs(after.join()))
    const written = withLogin(head + tail)
    expect(written.startsWith(head.replace(/[ \t\r\n]+$/, ""))).toBe(true)
    expect(written.endsWith(tail)).toBe(true)
    expect(JSON.parse(written).auths[HOST]).toEqual({ auth: AUTH })
    expect(withLogin(written)).toBe(written)
  })
  fc.assert(property, { numRuns: 300 })
})

test("replaces our entry and changes no byte before or behind it, whatever the file", () => {
  const about = fc.tuple(members, members, value, members, members, white)
  const property = fc.property(about, ([before, first, entry, last, after, blank]) => {
    const head = `{${[...before, `"auths":${blank}{${[...first, `"${HOST}"${blank}:`].join(",")}`].join(",")}`
    const tail = `${["", ...last].join(",")}}${["", ...after].join(",")}}`
    fc.pre([before, first, last, after].every((texts) => isNotOurs(texts.join())))
    const written = withLogin(head + entry + tail)
    expect([written.slice(0, head.length), written.slice(-tail.length)]).toEqual([head, tail])
    expect(JSON.parse(written).auths[HOST].auth).toBe(AUTH)
    expect(withLogin(written)).toBe(written)
  })
  fc.assert(property, { numRuns: 300 })
})

test("splits and joins any object without changing a byte", () => {
  const property = fc.property(members, white, (texts, blank) => {
    const text = `{${texts.join(",") || blank}}`
    const object = splitObject(text)
    expect(object?.members.length).toBe(texts.length)
    expect(object && joinObject(object)).toBe(text)
  })
  fc.assert(property, { numRuns: 300 })
})

test.each(["[]", '"{}"', "1", "null", " true "])("takes %s for no object", (text) => {
  expect(splitObject(text)).toBeUndefined()
})
