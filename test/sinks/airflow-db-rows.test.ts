// What the airflow-db sink decides before it writes: pure, without a database.
import { describe, expect, test } from "bun:test"
import { parseServerOptions } from "../../sinks/_airflow/postgres-options.ts"
import { separatorFor } from "../../sinks/_airflow/postgres-write.ts"
import { claimRows, judgeRow, mayBeKept, type Row, takenFor } from "../../sinks/_airflow/rows.ts"
import { chunksOf } from "../../sinks/_airflow/session.ts"
import { connIdProblem } from "../../sinks/_airflow/table.ts"
import { parseRegistry } from "../../src/registry.ts"
import { seal } from "../support/airflow-db.ts"
import { makeCredential } from "../support/credentials.ts"
import { hours, NOW, REGISTRY } from "../support/sinks.ts"

const row = (given: Partial<Row> = {}): Row => ({
  id: 1,
  connId: "ecr",
  connType: "docker",
  host: REGISTRY.host,
  login: "AWS",
  port: undefined,
  encrypted: true,
  passwordHead: undefined,
  ...given,
})

describe("a row", () => {
  const claim = (given: Partial<Row>, registry = REGISTRY) =>
    claimRows([{ connId: "ecr", registry }], [row(given)], { adopt: false, unmakeable: new Map() })[0]
      ?.refusal

  test.each([
    { host: "" },
    { connType: "", host: "" },
    { host: REGISTRY.host },
    { host: `https://${REGISTRY.host}` },
    { host: `HTTPS://${REGISTRY.host.toUpperCase()}:443/v2/` },
    { host: "000000000001.dkr.ecr.us-east-1.amazonaws.com" },
    { host: "000000000001.dkr.ecr-fips.us-gov-west-1.amazonaws.com" },
    { host: "000000000001.dkr-ecr.eu-west-1.on.aws" },
    { host: "public.ecr.aws" },
  ])("is ours with %j", (given) => {
    expect(claim(given)).toBeUndefined()
  })

  test("is ours at the company's own name in front of ECR, once it has that name", () => {
    const corporate = { ...REGISTRY, host: "images.example.com" }
    expect(claim({ host: "https://images.example.com" }, corporate)).toBeUndefined()
    expect(claim({ host: "https://images.example.com" })?.code).toBe("not-ours")
  })

  test.each([
    [{ connType: "postgres", host: "db" }, "it holds type postgres, host db"],
    [{ connType: "http" }, "it holds type http, host 123456789012.dkr.ecr.eu-central-1.amazonaws.com"],
    [{ host: "docker.io" }, "it holds type docker, host docker.io"],
    [
      { connType: "", host: "https://me:s3cret@index.docker.io/v1/?token=s3cret" },
      "it holds host index.docker.io",
    ],
    [{ host: `${REGISTRY.host}.example.com` }, `it holds type docker, host ${REGISTRY.host}.example.com`],
  ])("is not ours with %j", (given, holds) => {
    expect(claim(given)?.message).toBe(`connection ecr is not an ECR login: ${holds}`)
  })
})

describe("where the database takes ids for one", () => {
  const claims = (connIds: readonly string[], found: readonly string[]) =>
    claimRows(
      connIds.map((connId) => ({ connId, registry: REGISTRY })),
      found.map((connId) => row({ connId })),
      { adopt: true, unmakeable: new Map([["ecr", takenFor("ecr", "ECR")]]) },
    ).map(({ refusal, rows }) => refusal?.code ?? rows.length)

  test("an id that another one has taken is refused", () => {
    expect(claims(["ecr", "other"], ["ECR"])).toEqual(["conn-id-taken", 0])
  })

  test("two rows that are both there, as before 2.0, are written both", () => {
    expect(claims(["ecr", "ECR"], ["ecr", "ECR", "ecr"])).toEqual([2, 1])
  })
})

describe("a stored login", () => {
  const ours = makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(10) })
  const newer = makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(11) })
  const judge = (given: Partial<Row>, text: string | undefined, encrypts = true) =>
    judgeRow(row(given), { text }, ours, { now: NOW, encrypts })
  const reveal = (credential: typeof ours) => credential.password.reveal()

  test("that outlives ours is left alone", () => {
    expect(judge({}, reveal(newer))).toEqual({ change: "nothing", expiresAt: NOW + hours(11) })
  })

  test("that outlives ours keeps its password while host, type, login and port are repaired", () => {
    for (const given of [
      { host: `https://${REGISTRY.host}` },
      { connType: "" },
      { login: "aws" },
      { port: 443 },
    ])
      expect(judge(given, reveal(newer))).toEqual({ change: "repair", expiresAt: NOW + hours(11) })
  })

  test("of the same registry under another of its names counts as the same", () => {
    const dualStack = parseRegistry("123456789012.dkr-ecr.eu-central-1.on.aws")
    expect(judge({ host: dualStack?.host ?? "" }, reveal(newer)).change).toBe("repair")
  })

  test("of another registry is replaced however long it lives", () => {
    for (const host of ["123456789012.dkr.ecr.eu-west-1.amazonaws.com", "public.ecr.aws", ""])
      expect(judge({ host }, reveal(newer))).toEqual({ change: "replace", expiresAt: ours.expiresAt })
  })

  test("that is ours already but not encrypted as we would is written anew", () => {
    expect(judge({}, reveal(ours)).change).toBe("nothing")
    expect(judge({ encrypted: false }, reveal(ours)).change).toBe("replace")
    expect(judge({ encrypted: false }, reveal(ours), false).change).toBe("nothing")
  })

  test("that no key opens is replaced", () => {
    expect(judge({}, undefined).change).toBe("replace")
  })

  test("need not be opened where the age of its token tells that it ends before ours", () => {
    const head = (hoursAgo: number) => seal("x", undefined, NOW - hours(hoursAgo)).slice(0, 32)
    expect(mayBeKept(row({ passwordHead: head(0) }), ours)).toBe(true)
    expect(mayBeKept(row({ passwordHead: head(3) }), ours)).toBe(true)
    expect(mayBeKept(row({ passwordHead: head(3.1) }), ours)).toBe(false)
    expect(mayBeKept(row({ passwordHead: "no token" }), ours)).toBe(false)
    expect(mayBeKept(row({ encrypted: false, passwordHead: "eyJwYXlsb2FkIjoi" }), ours)).toBe(true)
    expect(mayBeKept(row(), ours)).toBe(false)
  })
})

test.each([
  ["ecr_docker", undefined],
  ["a#!()-.:/\\_9", undefined],
  ["größe", undefined],
  ["x".repeat(250), undefined],
  ["x".repeat(251), "is longer than the 250 characters that Airflow's table holds"],
  ["a b", "may hold only letters, digits and _ # ! ( ) - . : / \\"],
  ["a'b", "may hold only letters, digits and _ # ! ( ) - . : / \\"],
  ["a\n", "may hold only letters, digits and _ # ! ( ) - . : / \\"],
])("%p as a connection id: %p", (connId, problem) => {
  expect(connIdProblem(connId)).toBe(problem as string)
})

test.each([
  [undefined, [], undefined],
  ["-csearch_path=airflow", ["airflow"], undefined],
  ["-c search_path=Airflow,public -c statement_timeout=5s", ["airflow", "public"], "-cstatement_timeout=5s"],
  ['--search-path="Air\\ Flow",\\ "$user"', ["Air Flow", "me"], undefined],
  ["-c search_path=old -c search_path=new", ["new"], undefined],
  ["-c geqo=off", [], "-cgeqo=off"],
])("the options %p name the schemas %p", (text, searchPath, rest) => {
  expect(parseServerOptions(text, "me")).toEqual({ searchPath, rest })
})

test("texts are joined by what none of them holds", () => {
  expect(separatorFor(["a", "b"])).toBe(",")
  expect(separatorFor(["a,b", "\u0001"])).toBe("\u0002")
})

test("chunks hold 500 rows at most, and less where the server takes only so much", () => {
  const rows = Array.from({ length: 1201 }, (_, i) => i)
  const sizes = (maxStatementBytes: number) =>
    chunksOf(rows, { maxStatementBytes }, () => 936).map(({ length }) => length)
  expect(sizes(Number.POSITIVE_INFINITY)).toEqual([500, 500, 201])
  expect(sizes(4096 + 400_000)).toEqual([400, 400, 400, 1])
  expect(sizes(1)).toHaveLength(1201)
  expect(chunksOf(rows, { maxStatementBytes: 4096 + 7000 }, () => 936).flat()).toEqual(rows)
})
