import { describe, expect, test } from "bun:test"
import { execFileSync } from "node:child_process"
import { createCipheriv, createHmac, randomBytes } from "node:crypto"
import { inspect } from "node:util"
import fc from "fast-check"
import { AirflowError } from "../../sinks/_airflow/error.ts"
import {
  ciphertextLength,
  decrypt,
  encrypt,
  encryptedAt,
  type FernetKeys,
  parseFernetKeys,
} from "../../sinks/_airflow/fernet.ts"
import { describeWithService } from "../support/services.ts"

// generate.json, verify.json and invalid.json of github.com/fernet/spec, whose vectors all have this key.
const KEY = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
const IV = Uint8Array.from({ length: 16 }, (_, index) => index)
const GENERATED = {
  token:
    "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==",
  now: Date.parse("1985-10-26T01:20:00-07:00"),
  text: "hello",
}
const INVALID = {
  "incorrect mac":
    "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFBQQ==",
  "too short": "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA==",
  "invalid base64":
    "%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
  "payload size not multiple of block size":
    "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm",
  "payload padding error":
    "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbkuKNqOhw==",
  "incorrect IV (causes padding error)":
    "gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2AUEZ1TIvcZjK1zQ==",
}
// Invalid only where a time limit is set, which Airflow does not do. Both hold the empty text.
const INVALID_BY_TIME_ALONE = {
  "far-future TS (unacceptable clock skew)":
    "gAAAAAAdwStRAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAnja1xKYyhd-Y6mSkTOyTGJmw2Xc2a6kBd-iX9b_qXQcw==",
  "expired TTL":
    "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
}

const OTHER_KEY = "1g5ZtqYKNqAkNuqf1B5cVTsnm4hZ0cv1Q7oQbEQSmVE="

function keysOf(text: string): FernetKeys {
  const keys = parseFernetKeys(text)
  if (!keys) throw new Error("no keys")
  return keys
}

function refusalOf(text: string): AirflowError {
  try {
    parseFernetKeys(text, "AIRFLOW__CORE__FERNET_KEY")
  } catch (error) {
    if (error instanceof AirflowError) return error
  }
  throw new Error(`not refused: ${text}`)
}

describe("the specification's vectors", () => {
  test("generates the specification's token", () => {
    expect(encrypt(keysOf(KEY), GENERATED.text, GENERATED.now, IV)).toBe(GENERATED.token)
  })

  test("reads the specification's token and its time", () => {
    expect(decrypt(keysOf(KEY), GENERATED.token)).toBe(GENERATED.text)
    expect(encryptedAt(GENERATED.token)).toBe(GENERATED.now)
  })

  test.each(Object.entries(INVALID))("refuses: %s", (_, token) => {
    expect(decrypt(keysOf(KEY), token)).toBeUndefined()
  })

  test.each(Object.entries(INVALID_BY_TIME_ALONE))(
    "opens as Airflow does, without a time limit: %s",
    (_, token) => {
      expect(decrypt(keysOf(KEY), token)).toBe("")
    },
  )

  test("refuses a well-signed token of another version", () => {
    const bytes = Buffer.from(KEY, "base64")
    const head = Buffer.concat([Buffer.from([0x81]), Buffer.alloc(8), IV])
    const cipher = createCipheriv("aes-128-cbc", bytes.subarray(16), IV)
    const signed = Buffer.concat([head, cipher.update("hello"), cipher.final()])
    const mac = createHmac("sha256", bytes.subarray(0, 16)).update(signed).digest()
    expect(decrypt(keysOf(KEY), Buffer.concat([signed, mac]).toString("base64"))).toBeUndefined()
  })
})

const anyKey = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString("base64"))
const anyTime = fc.integer({ min: 0, max: 4_102_444_800_000 })

describe("tokens", () => {
  test("give back any text and the second of their making", () => {
    fc.assert(
      fc.property(anyKey, fc.string({ unit: "binary", maxLength: 5000 }), anyTime, (key, text, at) => {
        const token = encrypt(keysOf(key), text, at)
        expect(decrypt(keysOf(key), token)).toBe(text)
        expect(encryptedAt(token)).toBe(Math.floor(at / 1000) * 1000)
        expect(token).toMatch(/^[A-Za-z0-9_-]+={0,2}$/)
        expect(token).toHaveLength(ciphertextLength(Buffer.byteLength(text)))
      }),
    )
  })

  test("are opened by no other key", () => {
    fc.assert(
      fc.property(anyKey, anyKey, fc.string(), (key, other, text) => {
        fc.pre(key !== other)
        expect(decrypt(keysOf(other), encrypt(keysOf(key), text, 0))).toBeUndefined()
      }),
    )
  })

  test("are opened no more once any byte of them is changed", () => {
    const token = Buffer.from(encrypt(keysOf(KEY), "a login", 0), "base64")
    fc.assert(
      fc.property(fc.nat({ max: token.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const altered = Buffer.from(token)
        altered[at] = (altered[at] ?? 0) ^ change
        expect(decrypt(keysOf(KEY), altered.toString("base64"))).toBeUndefined()
      }),
    )
  })

  test("differ for the same text", () => {
    expect(encrypt(keysOf(KEY), "same", 0)).not.toBe(encrypt(keysOf(KEY), "same", 0))
  })

  test.each([
    [1868, 2572],
    [2668, 3640],
    [3100, 4216],
    [3679, 4984],
    [3680, 5004],
    [4000, 5432],
  ])("of %d bytes have %d characters, as in Airflow", (bytes, characters) => {
    expect(ciphertextLength(bytes)).toBe(characters)
    expect(encrypt(keysOf(KEY), "x".repeat(bytes), 0)).toHaveLength(characters)
  })

  test.each(["", "gAAAAA", "a plain password", "gAAAAAAdwJ6", "hAAAAAAdwJ6wAAECAwQF", "gP//////////"])(
    "are not what this is: %p",
    (text) => {
      expect(encryptedAt(text)).toBeUndefined()
      expect(decrypt(keysOf(KEY), text)).toBeUndefined()
    },
  )
})

describe("key lists", () => {
  test("encrypt with the first key and decrypt with all", () => {
    const both = keysOf(`${OTHER_KEY}, ${KEY}`)
    const token = encrypt(both, "text", 0)
    expect(decrypt(keysOf(OTHER_KEY), token)).toBe("text")
    expect(decrypt(keysOf(KEY), token)).toBeUndefined()
    expect(decrypt(both, encrypt(keysOf(KEY), "old", 0))).toBe("old")
  })

  test("may have blanks around keys, and either base64 alphabet", () => {
    const standard = KEY.replaceAll("_", "/").replaceAll("-", "+")
    expect(decrypt(keysOf(`  ${standard} ,\t${OTHER_KEY}\n`), GENERATED.token)).toBe("hello")
  })

  test("of no characters are Airflow's way to say plaintext", () => {
    expect(parseFernetKeys("")).toBeUndefined()
  })

  test.each([
    " ",
    "secret",
    KEY.slice(0, -1),
    `${KEY.slice(0, 20)}=`,
    `A${KEY}`,
    `${KEY},`,
    `${KEY},${OTHER_KEY.slice(1)}`,
  ])("are refused without a word of the key: %p", (text) => {
    const refusal = refusalOf(text)
    expect(refusal.code).toBe("fernet-key-invalid")
    expect(refusal.message).toStartWith("AIRFLOW__CORE__FERNET_KEY: ")
    for (const part of text.split(",").filter((each) => each.trim() !== ""))
      expect(inspect(refusal)).not.toContain(part.trim())
  })

  test("say which key is wrong", () => {
    expect(refusalOf(`${KEY},wrong`).message).toContain("key 2 of 2")
  })

  test("show the same whatever the key, however they are printed", () => {
    const show = (keys: FernetKeys) =>
      inspect(keys, { depth: null, showHidden: true }) +
      Bun.inspect(keys, { depth: 9 }) +
      JSON.stringify(keys)
    expect(show(keysOf(KEY))).toBe(show(keysOf(OTHER_KEY)))
  })
})

// One process for all cases: a JSON list in, a JSON list out.
const PYTHON = `
import base64, json, sys
from cryptography.fernet import Fernet, MultiFernet
asked = json.load(sys.stdin)
def usable(key):
    try:
        Fernet(key.encode().strip())
        return True
    except Exception:
        return False
def multi(keys):
    return MultiFernet([Fernet(key.encode().strip()) for key in keys.split(",")])
print(json.dumps({
    "texts": [multi(each["keys"]).decrypt(each["token"].encode()).decode() for each in asked["tokens"]],
    "times": [Fernet(each["keys"].split(",")[0].encode()).extract_timestamp(each["token"].encode()) for each in asked["tokens"]],
    "tokens": [multi(each["keys"]).encrypt(each["text"].encode()).decode() for each in asked["tokens"]],
    "usable": [usable(key) for key in asked["keys"]],
}))
`

type Answer = { texts: string[]; times: number[]; tokens: string[]; usable: boolean[] }

describeWithService("python", "Python's cryptography", ({ command }) => {
  const ask = (question: object): Answer =>
    JSON.parse(execFileSync(command, ["-c", PYTHON], { input: JSON.stringify(question), encoding: "utf8" }))
  const texts = ["", "AWS", "päss:wörd%$'\"", "🐳".repeat(16), "x".repeat(16), "y".repeat(4096)]
  const cases = texts.map((text, index) => {
    const keys = `${randomBytes(32).toString("base64url")}=,${KEY}`
    return { keys, text, token: encrypt(keysOf(keys), text, 1_700_000_000_999 + index * 1000) }
  })

  test("opens our tokens, and we open its own", () => {
    const answer = ask({ tokens: cases, keys: [] })
    expect(answer.texts).toEqual(texts)
    expect(answer.times).toEqual(texts.map((_, index) => 1_700_000_000 + index))
    expect(answer.tokens.map((token, index) => decrypt(keysOf(cases[index]?.keys ?? ""), token))).toEqual(
      texts,
    )
  })

  test("takes the same keys as we do", () => {
    const usable = (key: string) => {
      try {
        return parseFernetKeys(key) !== undefined
      } catch {
        return false
      }
    }
    const spoilt = fc.sample(
      fc.tuple(anyKey, fc.nat({ max: 44 }), fc.constantFrom("", "A", " ", "=", "\n", "-", "*", "\t!")),
      200,
    )
    const keys = spoilt.flatMap(([key, at, insert]) => [
      key.slice(0, at) + insert + key.slice(at),
      key.slice(0, at) + insert + key.slice(at + 1),
    ])
    // A padding character in the middle is skipped by Python and refused by us: nothing makes such a key.
    const sound = keys.filter((key) => !/=.*[\w+/-]/s.test(key))
    expect(sound.map(usable)).toEqual(ask({ tokens: [], keys: sound }).usable)
  })
})
