import { describe, expect, test } from "bun:test"
import { execFileSync } from "node:child_process"
import fc from "fast-check"
import { cfgValue, parseCfg } from "../../sinks/_airflow/cfg.ts"
import { AirflowError } from "../../sinks/_airflow/error.ts"
import { describeWithService } from "../support/services.ts"

const value = (text: string, section: string, key: string) => cfgValue(parseCfg(text, "/a.cfg"), section, key)

function refusalOf(text: string, section = "core", key = "k"): AirflowError {
  try {
    value(text, section, key)
  } catch (error) {
    if (error instanceof AirflowError) return error
  }
  throw new Error(`not refused: ${text}`)
}

describe("airflow.cfg", () => {
  test.each([
    ["[core]\nk = v", "v"],
    ["[core]\nk=v", "v"],
    ["[core]\nk: v", "v"],
    ["[core]\nK = v", "v"],
    ["[core]\nk =   v  \t", "v"],
    ["[core]\nk = a=b:c", "a=b:c"],
    ["[core]\nk =", ""],
    ["[core]\r\nk = v\r\n", "v"],
    ["# a comment\n; another\n[core]\n  # k = no\n; k = no\nk = v # not a comment", "v # not a comment"],
    ["[core]\n# k = v\n", undefined],
    ["[other]\nk = v", undefined],
    ["[Core]\nk = v", undefined],
    ["[core]\nk = a\n  b\n\tc\nl = d", "a\nb\nc"],
    ["[core]\nk = a\n# comment\n  b", "a\nb"],
    ["[core]\nk = a\n\n  b\n\nl = c", "a\n\nb"],
    ["[core]\n  k = v\n  l = w", "v"],
    ["[core]\nk = [not] a section\n", "[not] a section"],
    ["[core]\nk = 100%%", "100%"],
    ["[core]\nk = %%40 and %(L)s\nl = <%(m)s>\nm = %%", "%40 and <%>"],
    ["[DEFAULT]\nk = v\n[core]", "v"],
    ["[DEFAULT]\nk = v\n[core]\nk = w", "w"],
    ["[DEFAULT]\nk = v", undefined],
  ])("%j", (text, expected) => {
    expect(value(text, "core", "k")).toBe(expected as string)
  })

  test.each([
    ["k = sekrit", "line 1 comes before the first section"],
    ["[core]\nsekrit", "line 2 is neither a section nor an option"],
    ["[core]\n= sekrit", "line 2 is neither a section nor an option"],
    ["[core]\nk = sekrit\nK = sekrit", "line 3 sets an option a second time"],
    ["[core]\n[other]\n[core]", "line 3 begins a section a second time"],
    ["[core]\nk = sekrit%", "a % that begins neither"],
    ["[core]\nk = p%40sekrit", "a % that begins neither"],
    ["[core]\nk = %(missing)s sekrit", "a % that begins neither"],
    ["[core]\nk = %(k)s sekrit", "a % that begins neither"],
  ])("is refused by the line, never by what stands there: %j", (text, problem) => {
    const refusal = refusalOf(text)
    expect(refusal.code).toBe("airflow-config-invalid")
    expect(refusal.message).toStartWith("/a.cfg: ")
    expect(refusal.message).toContain(problem)
    expect(`${refusal.message} ${refusal.hint}`).not.toContain("sekrit")
  })

  test("says how a % is written", () => {
    expect(refusalOf("[core]\nk = p%40x").hint).toContain("%%")
  })

  test("with a % that is wrong elsewhere still gives the other options", () => {
    expect(value("[core]\nk = v\nl = 50%", "core", "k")).toBe("v")
  })

  test("gives back any value that was written as airflow.cfg wants it", () => {
    const word = fc.string({ unit: "grapheme-ascii", maxLength: 30 }).map((text) => text.trim())
    const lines = fc.array(
      word.filter((text) => text !== "" && !/^[#;]/.test(text)),
      { minLength: 1, maxLength: 4 },
    )
    fc.assert(
      fc.property(lines, (values) => {
        const text = `[core]\nk = ${values.join("\n  ").replaceAll("%", "%%")}\nl = after`
        expect(value(text, "core", "k")).toBe(values.join("\n"))
        expect(value(text, "core", "l")).toBe("after")
      }),
    )
  })
})

// Airflow's parser is Python's ConfigParser as it comes.
const PYTHON = `
import configparser, json, sys
def read(text):
    try:
        parser = configparser.ConfigParser()
        parser.read_string(text)
    except configparser.Error:
        return None
    found = {}
    for section in parser.sections():
        for key in parser.options(section):
            try:
                found[section + "/" + key] = parser.get(section, key)
            except configparser.InterpolationError:
                found[section + "/" + key] = None
    return found
print(json.dumps([read(text) for text in json.load(sys.stdin)]))
`

describeWithService("python", "Python's configparser", ({ command }) => {
  const anyLine = fc
    .array(
      fc.constantFrom(
        "[core]",
        "[a]",
        "[DEFAULT]",
        "k",
        "K",
        "l",
        " = ",
        ":",
        "=",
        "  ",
        "\t",
        "%",
        "%%",
        "%(k)s",
        "%(l)s",
        "#",
        ";",
        "v",
        "[",
        "]",
      ),
      { maxLength: 6 },
    )
    .map((pieces) => pieces.join(""))
  const soundLine = fc.constantFrom(
    "[core]",
    "[a]",
    "[DEFAULT]",
    "k = v",
    "l: %(k)s",
    "m = 1%%",
    "  more",
    "",
    "# no",
    "n =",
    "o = %x",
  )
  const anyFile = fc
    .array(fc.oneof(anyLine, soundLine, soundLine), { maxLength: 8 })
    .map((lines) => lines.join("\n"))

  test("reads any file as we do, and refuses the same", () => {
    const texts = fc.sample(anyFile, 1500).map((text) => `[core]\n${text}`)
    const theirs: (Record<string, string | null> | null)[] = JSON.parse(
      execFileSync(command, ["-c", PYTHON], { input: JSON.stringify(texts), encoding: "utf8" }),
    )
    const ours = texts.map((text, index) => {
      try {
        const cfg = parseCfg(text, "/a.cfg")
        const keys = Object.keys(theirs[index] ?? {})
        return Object.fromEntries(keys.map((name) => [name, interpolated(cfg, name)]))
      } catch {
        return null
      }
    })
    for (const [index, text] of texts.entries()) expect([text, ours[index]]).toEqual([text, theirs[index]])
    expect(theirs.filter(Boolean).length).toBeGreaterThan(100)
  })

  function interpolated(cfg: ReturnType<typeof parseCfg>, name: string): string | null {
    const [section = "", key = ""] = name.split("/")
    try {
      return cfgValue(cfg, section, key) ?? null
    } catch {
      return null
    }
  }
})
