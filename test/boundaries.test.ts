// The rules that keep the house in order, read off the sources themselves: who may import whom, and who may touch the
// world. A rule that is broken names the file and the line.
import { expect, test } from "bun:test"
import { readFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { sinkKinds } from "../sinks/index.ts"

const ROOT = join(import.meta.dir, "..")

type Source = { readonly path: string; readonly text: string; readonly code: string }

/** The text without comments, line breaks kept. */
function withoutComments(text: string): string {
  return text
    .replaceAll(/\/\*[\s\S]*?\*\//g, (comment) => comment.replaceAll(/[^\n]/g, ""))
    .replaceAll(/(^|\s)\/\/.*$/gm, "$1")
}

async function load(pattern: string): Promise<readonly Source[]> {
  const paths = await Array.fromAsync(new Bun.Glob(pattern).scan(ROOT))
  return Promise.all(
    paths.sort().map(async (path) => {
      const text = await readFile(join(ROOT, path), "utf8")
      return { path, text, code: withoutComments(text) }
    }),
  )
}

const src = await load("src/**/*.ts")
const sinks = await load("sinks/**/*.ts")
const sinkNames = sinks
  .map(({ path }) => /^sinks\/([a-z][\w-]*)\.ts$/.exec(path)?.[1] ?? "index")
  .filter((name) => name !== "index")

/** Lines of the sources that match, but for the files that may. */
function breaches(
  sources: readonly Source[],
  pattern: RegExp,
  allowed: readonly string[] = [],
): readonly string[] {
  return sources
    .filter(({ path }) => !allowed.includes(path))
    .flatMap(({ path, code }) =>
      code.split("\n").flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
    )
}

test("src imports no sink but in main.ts", () => {
  expect(breaches(src, /["'](\.\.\/)+sinks\//, ["src/main.ts"])).toEqual([])
})

test("a sink imports from src the contract and the values, and nothing else", () => {
  const contract = /["'](\.\.\/)+src\/(?!(sink|credential|registry|errors)\.ts["'])/
  // The connection is no sink's: it is found for --aws-conn-id, in the form that src asks for.
  expect(breaches(sinks, contract, ["sinks/index.ts", "sinks/_airflow/connection.ts"])).toEqual([])
})

test("the process, the clocks and chance are touched by main.ts and clock.ts alone", () => {
  const world =
    /\bprocess\b(?!")|\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bperformance\.now\b|\bset(Timeout|Interval|Immediate)\b|\bglobalThis\b|(?<!function |\.)\bfetch\(|\bconsole\./
  expect(breaches(src, world, ["src/main.ts", "src/clock.ts", "src/libc.ts"])).toEqual([])
  // What the bundler folds must stand there as it is; and what a command started must not outlive the process.
  expect(breaches(sinks, world, ["sinks/_airflow/sqlite-driver.ts", "sinks/_exec/run.ts"])).toEqual([])
})

test("deadlines are set by the clock that is passed in", () => {
  const deadline = /\bAbortSignal\.timeout\b/
  // The one of PostgreSQL's `connect_timeout` is a socket's.
  expect(breaches([...src, ...sinks], deadline, ["sinks/_airflow/postgres-connection.ts"])).toEqual([])
})

test("src ends no process and listens to no signal but in main.ts", () => {
  expect(breaches(src, /\bexit(Code)?\b *[(=](?!=)|["']SIG[A-Z]+["']/, ["src/main.ts"])).toEqual([])
})

test("nothing is only for Bun, or only for Deno, but the way to the C library and the hash of a signature", () => {
  expect(
    breaches([...src, ...sinks], /\bBun\.|["']bun:|\bDeno\./, ["src/libc.ts", "src/bun-sha256.ts"]),
  ).toEqual([])
})

test("drivers and AWS's clients are loaded where they are used", () => {
  const heavy = /^import (?!type\b).*["'](postgres|mysql2|better-sqlite3|@aws-sdk|@smithy\/signature)/
  expect(breaches([...src, ...sinks], heavy, ["src/ecr-client.ts", "src/sts.ts"])).toEqual([])
})

test("a refresh of docker's config loads no part of node that costs a tenth of the run", () => {
  const onTheWay = staticallyImported("src/main.ts", "src/commands/refresh.ts", "sinks/docker-config.ts")
  expect(onTheWay.map(({ path }) => path)).toContain("src/aws-client.ts")
  const costly = /^import (?!type\b).*["']node:(?!fs|path|process)/
  expect(breaches(onTheWay, costly)).toEqual([])
})

/** The sources that are loaded with these files, whatever they do. */
function staticallyImported(...paths: readonly string[]): readonly Source[] {
  const found = new Map<string, Source>()
  const follow = (path: string) => {
    const source = [...src, ...sinks].find((one) => one.path === path)
    if (!source || found.has(path)) return
    found.set(path, source)
    for (const [, name = ""] of source.code.matchAll(
      /^(?:import|export) (?!type\b)[^;"']*?["'](\.[^"']+)["']/gm,
    ))
      follow(join(dirname(path), name))
  }
  for (const path of paths) follow(path)
  return [...found.values()]
}

test("no file needs one that needs it, be it for a type", () => {
  const all = [...src, ...sinks]
  const importsOf = new Map(
    all.map(({ path, code }) => [
      path,
      [...code.matchAll(/\bfrom ["'](\.[^"']+)["']|\bimport\(["'](\.[^"']+)["']\)/g)].map(([, still, late]) =>
        join(dirname(path), still ?? late ?? ""),
      ),
    ]),
  )
  const done = new Set<string>()
  const circles: string[] = []
  const visit = (path: string, way: readonly string[]) => {
    if (way.includes(path)) circles.push([...way.slice(way.indexOf(path)), path].join(" -> "))
    else if (!done.has(path)) {
      for (const next of importsOf.get(path) ?? []) visit(next, [...way, path])
      done.add(path)
    }
  }
  for (const { path } of all) visit(path, [])
  expect(circles).toEqual([])
})

test("a secret is revealed only where it is written out, sent or compared", () => {
  // To write a login, to compare it or to tell its expiry; to connect, to decrypt, and to understand Airflow's settings.
  // A sink's own file needs no row here; its private parts do.
  const allowed = [
    ...sinkNames.map((name) => `sinks/${name}.ts`),
    "src/credentials.ts",
    "src/probe.ts",
    "sinks/_docker-config/config.ts",
    "sinks/_exec/protocol.ts",
    "sinks/_login-file/template.ts",
    "sinks/_redaction.ts",
    "sinks/_airflow/plan.ts",
    "sinks/_airflow/rows.ts",
    "sinks/_airflow/postgres.ts",
    "sinks/_airflow/mysql.ts",
    "sinks/_airflow/tls-files.ts",
    "sinks/_airflow/config.ts",
    "sinks/_airflow/place.ts",
    "sinks/_airflow-rest/connections.ts",
    "sinks/_airflow-rest/place.ts",
    "sinks/_aws/call.ts",
    "sinks/_login-format.ts",
  ]
  expect(breaches([...src, ...sinks], /\.reveal\(\)/, allowed)).toEqual([])
})

test("every sink is listed, tested, in the README and in the changelog", async () => {
  const readme = await readFile(join(ROOT, "README.md"), "utf8")
  const changelog = await readFile(join(ROOT, "CHANGELOG.md"), "utf8")
  const testsOf = async (name: string) => {
    const paths = new Bun.Glob(`test/sinks/${name}{,-*}.test.ts`).scan(ROOT)
    return Promise.all(await Array.fromAsync(paths, (path) => readFile(join(ROOT, path), "utf8")))
  }
  const tests = new Map(
    await Promise.all(sinkNames.map(async (name) => [name, await testsOf(name)] as const)),
  )
  const missing = sinkNames.flatMap((name) => [
    ...(Object.hasOwn(sinkKinds, name) ? [] : [`${name}: its line in sinks/index.ts`]),
    ...(tests.get(name)?.some((text) => /\btestSink\(/.test(text))
      ? []
      : [`${name}: its test, test/sinks/${name}.test.ts, in which testSink() proves the contract`]),
    ...(changelog.includes(`\`${name}\``) ? [] : [`${name}: its line in CHANGELOG.md`]),
    ...(readme.includes(`| \`${name}\` |`) ? [] : [`${name}: its row in the README's table of sinks`]),
  ])
  expect(missing).toEqual([])
  expect(Object.keys(sinkKinds)).toEqual([...sinkNames])
})

test("a sink that replaces files names their folders, or a service could not write there", () => {
  const writers = sinkNames.filter((name) =>
    staticallyImported(`sinks/${name}.ts`).some(({ path }) => path === "sinks/_file.ts"),
  )
  expect(writers).toContain("docker-config")
  const ownText = (name: string) => sinks.find(({ path }) => path === `sinks/${name}.ts`)?.code ?? ""
  expect(writers.filter((name) => !/\bfolders\b/.test(ownText(name)))).toEqual([])
})

test("every file says first what it owns, and none is longer than can be held in the head", () => {
  for (const { path, text } of [...src, ...sinks]) {
    expect({ path, opens: text.replace(/^#!.*\n/, "").slice(0, 2) }).toEqual({ path, opens: "//" })
    expect({ path, short: text.split("\n").length <= 251 }).toEqual({ path, short: true })
  }
})

test("every export says what it is", () => {
  const undocumented = [...src, ...sinks].flatMap(({ path, text }) =>
    [...text.matchAll(/(?<=^(.*)\n)export (?:async )?(?:function|type|const|class) (\w+)/gm)]
      .filter(([, above = ""]) => !above.trimEnd().endsWith("*/"))
      .map(([, , name]) => `${path}: ${name}`),
  )
  expect(undocumented).toEqual([])
})
