// A connection as text: what Airflow's documentation shows and people write, and that Python takes URIs apart as we do.
import { describe, expect, test } from "bun:test"
import { execFileSync } from "node:child_process"
import fc from "fast-check"
import { parseConnectionText, parseExtra } from "../../sinks/_airflow/connection-text.ts"
import { AirflowError } from "../../sinks/_airflow/error.ts"
import { textOf } from "../support/secrets.ts"
import { describeWithService } from "../support/services.ts"

const FROM = "AIRFLOW_CONN_X"
const EMPTY = { connType: "aws", login: "", password: "", extra: {} }
const SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCY@EXAMPLE:KEY%"

const read = (text: string) => parseConnectionText(text, FROM)

function refusalOf(text: string): AirflowError {
  try {
    read(text)
  } catch (error) {
    if (error instanceof AirflowError) return error
    throw error
  }
  throw new Error(`not refused: ${text}`)
}

describe("a URI", () => {
  test.each([
    ["aws://", EMPTY],
    ["aws:///", EMPTY],
    ["AWS://", EMPTY],
    ["  aws://\n", EMPTY],
    ["aws://AKIA:secret@", { ...EMPTY, login: "AKIA", password: "secret" }],
    ["aws://AKIA:a%2Fb%3Ac%40d%25@/", { ...EMPTY, login: "AKIA", password: "a/b:c@d%" }],
    ["aws://AKIA:a+b%2Bc@/", { ...EMPTY, login: "AKIA", password: "a+b+c" }],
    ["aws://AKIA:a%zz%@/", { ...EMPTY, login: "AKIA", password: "a%zz%" }],
    ["aws://AKIA:p%C3%A4ss@/", { ...EMPTY, login: "AKIA", password: "päss" }],
    ["aws://AKIA:a:b@/", { ...EMPTY, login: "AKIA", password: "a:b" }],
    ["aws://AKIA:a@b@host/", { ...EMPTY, login: "AKIA", password: "a@b" }],
    ["aws://AKIA@/", { ...EMPTY, login: "AKIA" }],
    ["aws://:secret@/", { ...EMPTY, password: "secret" }],
    ["aws://https://AKIA:secret@host:443/schema", { ...EMPTY, login: "AKIA", password: "secret" }],
    ["aws://?region_name=eu-west-1", { ...EMPTY, extra: { region_name: "eu-west-1" } }],
    ["aws://?region_name=eu-west-1#note", { ...EMPTY, extra: { region_name: "eu-west-1" } }],
    [
      "aws:///?role_arn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx",
      { ...EMPTY, extra: { role_arn: "arn:aws:iam::1:role/x" } },
    ],
    ["aws://?a=x+y%2B&a=last&b=&c", { ...EMPTY, extra: { a: "last", b: "", c: "" } }],
    [
      'aws://?assume_role_kwargs={"ExternalId":"x"}&verify=false&n=5',
      { ...EMPTY, extra: { assume_role_kwargs: { ExternalId: "x" }, verify: "false", n: "5" } },
    ],
    ["aws://?a={broken", { ...EMPTY, extra: { a: "{broken" } }],
    [
      `aws://?__extra__=${encodeURIComponent('{"config_kwargs":{"retries":{"max_attempts":4}}}')}`,
      { ...EMPTY, extra: { config_kwargs: { retries: { max_attempts: 4 } } } },
    ],
    ["my-type://", { ...EMPTY, connType: "my_type" }],
    ["//AKIA:secret@", { ...EMPTY, connType: "", login: "AKIA", password: "secret" }],
  ])("%s", (text, expected) => {
    expect(read(text)).toEqual(expected)
  })

  test.each([
    ["aws", "is neither a URI, such as aws://…, nor JSON"],
    ["aws:AKIA", "is neither a URI"],
    [`AKIA:${SECRET}`, "is neither a URI"],
    ["a://b://c://d", "has more than one :// after its beginning"],
    ["aws://AKIA:secret@https://host", "has a :// behind user or password"],
    [`aws://AKIA:${SECRET}@/`, "user and password cannot be told from the host"],
    ["aws://AKIA:wJa/lrX@host/", "user and password cannot be told from the host"],
    ["aws://AKIA:lrX/wJa@host/", "user and password cannot be told from the host"],
    ["aws://AKIA:123/wJa@host/", "an @ comes after the place of user and password"],
    ["aws://AKIA:1?wJa@host/", "an @ comes after the place of user and password"],
    ["aws://AKIA:[secret]@host/", "has a square bracket in user, password or host"],
    ["aws://host:port/", "user and password cannot be told from the host"],
    [`aws://?__extra__=${SECRET}`, "its extra is not a JSON object"],
  ])("that Airflow refuses or misreads is refused, and not quoted: %s", (text, problem) => {
    const refusal = refusalOf(text)
    expect(refusal.message).toStartWith(`${FROM}: ${problem}`)
    expect(refusal.code).toBe("connection-invalid")
    expect(refusal.hint).not.toBeEmpty()
    for (const piece of ["wJa", "lrX", "K7MDENG", "secret"]) expect(textOf(refusal)).not.toContain(piece)
  })

  test("any keys that are percent-encoded arrive as they are, in a value of extra too", () => {
    const text = fc.string({ unit: "grapheme", minLength: 1 }).filter((any) => !/^[[{]/.test(any.trim()))
    fc.assert(
      fc.property(text, text, text, (login, password, token) => {
        const [user, pass, query] = [login, password, token].map(encodeURIComponent)
        expect(read(`aws://${user}:${pass}@/?aws_session_token=${query}`)).toEqual({
          connType: "aws",
          login,
          password,
          extra: { aws_session_token: token },
        })
      }),
    )
  })
})

describe("JSON", () => {
  test.each([
    ["{}", { ...EMPTY, connType: "" }],
    [
      ' {"conn_type": "aws", "login": "AKIA", "password": "a/b"}\n',
      { ...EMPTY, login: "AKIA", password: "a/b" },
    ],
    [
      '{"conn_type": "aws", "login": null, "host": "h", "port": 1, "schema": "s", "description": "d", "team_name": "t"}',
      EMPTY,
    ],
    [
      '{"conn_type": "aws", "extra": {"region_name": "eu-west-1"}}',
      { ...EMPTY, extra: { region_name: "eu-west-1" } },
    ],
    ['{"conn_type": "aws", "extra": "{\\"a\\": 1}"}', { ...EMPTY, extra: { a: 1 } }],
    ['{"conn_type": "aws", "extra": ""}', EMPTY],
    ['{"uri": "aws://AKIA:secret@"}', { ...EMPTY, login: "AKIA", password: "secret" }],
  ])("%s", (text, expected) => {
    expect(read(text)).toEqual(expected)
  })

  test.each([
    ["{secret", "is not valid JSON"],
    ['{"conn_type": "aws", "user": "secret"}', "Airflow knows no such key: user"],
    ['{"conn_type": "aws", "secret/K7MDENG": ""}', "Airflow knows no such key"],
    ['{"conn_type": "aws", "uri": "aws://secret"}', "Airflow knows no such key: uri"],
    ['{"password": 12345}', "password is not a string"],
    ['{"password": ["secret"]}', "password is not a string"],
    ['{"extra": ["secret"]}', "extra is not a string"],
    ['{"extra": "secret"}', "its extra is not a JSON object"],
    ['{"extra": "[]"}', "its extra is not a JSON object"],
  ])("that is none, or that Airflow does not take, is refused and not quoted: %s", (text, problem) => {
    const refusal = refusalOf(text)
    expect(refusal.message).toStartWith(`${FROM}: ${problem}`)
    expect(refusal.code).toBe("connection-invalid")
    expect(refusal.hint).not.toBeEmpty()
    for (const piece of ["secret", "K7MDENG", "12345"]) expect(textOf(refusal)).not.toContain(piece)
  })
})

test("extra as it is stored", () => {
  expect(parseExtra("")).toEqual({})
  expect(parseExtra('{"__proto__": 1}')).toEqual(JSON.parse('{"__proto__": 1}'))
  for (const text of ["null", "[]", "1", "secret", "{"]) expect(() => parseExtra(text)).toThrow(AirflowError)
})

// Airflow takes a URI apart with Python's urllib, once more where a second :// gives the host a protocol.
const PYTHON = `
import json, sys
from urllib.parse import parse_qsl, unquote, urlsplit

def fields(uri):
    marks = uri.count("://")
    scheme = urlsplit(uri).scheme
    rest = uri.replace(scheme + "://", "" if marks == 2 else "//")
    head = rest.partition("://")[0]
    if marks > 2 or marks == 2 and ("@" in head or ":" in head):
        raise ValueError
    parts = urlsplit(rest)
    parts.port, parts.hostname
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    return [scheme.replace("-", "_"), unquote(parts.username or ""), unquote(parts.password or ""), dict(pairs)]

def read(uri):
    try:
        return fields(uri)
    except ValueError:
        return None

print(json.dumps([read(uri) for uri in json.load(sys.stdin)]))
`

describeWithService("python", "Python's urllib", ({ command }) => {
  const noise = fc.constantFrom(
    ..."aws :// : @ / ? # %2F %40 %3a % %c3%a4 %ff + [ ] = & ; key b 1 65535 65536 é - _ . , ! * ' ~ | host".split(
      " ",
    ),
  )
  const anyUri = fc.array(noise, { maxLength: 12 }).map((pieces) => pieces.join(""))
  const word = fc.array(noise, { maxLength: 3 }).map((pieces) => pieces.join(""))
  const likelyUri = fc
    .tuple(word, word, word, word)
    .map(([user, password, host, query]) => `aws://${user}:${password}@${host}/?${query}`)

  test("takes every URI apart as we do, and refuses none that we take", () => {
    const uris = fc.sample(fc.oneof(anyUri, likelyUri, likelyUri), 4000)
    const theirs: unknown[] = JSON.parse(
      execFileSync(command, ["-c", PYTHON], { input: JSON.stringify(uris), encoding: "utf8" }),
    )
    let taken = 0
    for (const [index, uri] of uris.entries()) {
      const ours = readOrRefuse(uri)
      if (!ours) continue
      taken += 1
      expect([uri, ours]).toEqual([uri, theirs[index]] as [string, typeof ours])
    }
    expect(taken).toBeGreaterThan(400)
  })

  function readOrRefuse(uri: string) {
    try {
      const { connType, login, password, extra } = read(uri)
      return [connType, login, password, extra]
    } catch {
      return undefined
    }
  }
})
