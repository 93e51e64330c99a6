import { describe, expect, test } from "bun:test"
import { execFileSync } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { inspect } from "node:util"
import fc from "fast-check"
import { runCommand, splitCommand } from "../../sinks/_airflow/command.ts"
import { AirflowError } from "../../sinks/_airflow/error.ts"
import { isTransient } from "../../src/errors.ts"
import { describeWithService } from "../support/services.ts"
import { temporaryFolder } from "./folder.ts"

const FROM = "AIRFLOW__CORE__FERNET_KEY_CMD"

type Surroundings = Partial<Parameters<typeof runCommand>[1]>

async function outputOf(text: string, surroundings: Surroundings = {}): Promise<string> {
  const { signal } = new AbortController()
  return (
    await runCommand({ text, from: FROM }, { env: { PATH: "/usr/bin:/bin" }, signal, ...surroundings })
  ).reveal()
}

async function refusalOf(text: string, surroundings: Surroundings = {}): Promise<AirflowError> {
  const error = await outputOf(text, surroundings).catch((caught: unknown) => caught)
  if (error instanceof AirflowError) return error
  throw new Error(`not refused: ${text}: ${error}`)
}

describe("a command", () => {
  test("gives what it prints, without the end of the line", async () => {
    expect(await outputOf("printf ' a b \\n\\n'")).toBe("a b")
  })

  test("meets no shell", async () => {
    expect(await outputOf("echo $HOME `id` $(id) ; id > x | cat *")).toBe("$HOME `id` $(id) ; id > x | cat *")
  })

  test("has our environment and no other", async () => {
    expect(await outputOf("sh -c 'echo $A$HOME'", { env: { PATH: "/usr/bin:/bin", A: "a" } })).toBe("a")
  })

  test("runs nothing from the current directory", async () => {
    await using folder = await temporaryFolder()
    await writeFile(join(folder.path, "give-key"), "#!/bin/sh\necho stolen\n", { mode: 0o755 })
    const before = process.cwd()
    try {
      process.chdir(folder.path)
      expect(await outputOf("pwd")).toBe("/")
      expect((await refusalOf("./give-key")).message).toContain("ENOENT")
    } finally {
      process.chdir(before)
    }
  })

  test.each([
    ["sh -c 'echo sekrit; echo sekrit >&2; exit 3'", "exit code 3"],
    ["/nowhere/sekrit", "ENOENT"],
    ["/dev/null sekrit", "EACCES"],
    ["true sekrit", "printed nothing"],
    ["sh -c 'echo sekrit; kill -9 $$'", "SIGKILL"],
    ["yes sekrit", "printed too much"],
    ["echo 'sekrit", "an unclosed quote"],
    ["echo sekrit\\", "an unclosed quote"],
    ["", "is empty"],
    [" ", "is empty"],
    ["'' sekrit", "is empty"],
  ])("that fails is told by where it is configured, never by what it said: %s", async (text, problem) => {
    const refusal = await refusalOf(text)
    expect(refusal.code).toBe("airflow-config-command")
    expect(refusal.message).toStartWith(`${FROM}: `)
    expect(refusal.message).toContain(problem)
    expect(`${inspect(refusal, { depth: 9 })} ${refusal.hint}`.replace(/^ +at .*$/gm, "")).not.toContain(
      "sekrit",
    )
  })

  test("that does not end is ended, with what it started holding the line, and may be tried again", async () => {
    const refusal = await refusalOf("sh -c 'sleep 5 & echo x; sleep 5'", { timeLimitMs: 100 })
    expect(refusal.message).toContain("did not end within 0.1 s")
    expect(isTransient(refusal.cause)).toBe(true)
  })

  test("is left when the signal says so", async () => {
    const leaving = new AbortController()
    const running = outputOf("sleep 60", { signal: leaving.signal })
    leaving.abort(new Error("enough"))
    expect(await running.catch((error: Error) => error.message)).toBe("enough")
  })
})

const wordsOf = (text: string) => splitCommand({ text, from: FROM })

describe("words of a command", () => {
  test.each([
    ["cat /run/key", ["cat", "/run/key"]],
    ["  a\t b \n c  ", ["a", "b", "c"]],
    [`a 'b c' "d e"`, ["a", "b c", "d e"]],
    [`a'b'"c"d`, ["abcd"]],
    [`a "" ''`, ["a", "", ""]],
    ["a b\\ c", ["a", "b c"]],
    [`a "b\\"c\\\\d\\ne"`, ["a", `b"c\\d\\ne`]],
    [`a 'b\\c"d'`, ["a", `b\\c"d`]],
    ["a # b", ["a", "#", "b"]],
  ])("%j", (text, words) => {
    expect([...wordsOf(text)]).toEqual(words)
  })

  test("come back from any quoting", () => {
    const quote = (word: string) => `'${word.replaceAll("'", `'"'"'`)}'`
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.array(fc.string()), (file, args) => {
        expect([...wordsOf([file, ...args].map(quote).join(" "))]).toEqual([file, ...args])
      }),
    )
  })
})

const PYTHON = `
import json, shlex, sys
def split(text):
    try:
        return shlex.split(text)
    except ValueError:
        return None
print(json.dumps([split(text) for text in json.load(sys.stdin)]))
`

describeWithService("python", "Python's shlex", ({ command }) => {
  test("splits any command as we do", () => {
    const pieces = fc.constantFrom(
      "a",
      "b c",
      " ",
      "\t",
      "\n",
      "'",
      '"',
      "\\",
      "\\\\",
      '\\"',
      "$A",
      "#",
      ";",
      "\u00a0",
      "\v",
      "é",
    )
    const texts = fc.sample(
      fc.array(pieces, { maxLength: 8 }).map((each) => `x${each.join("")}`),
      1500,
    )
    const theirs = JSON.parse(
      execFileSync(command, ["-c", PYTHON], { input: JSON.stringify(texts), encoding: "utf8" }),
    )
    const ours = texts.map((text) => {
      try {
        return [...wordsOf(text)]
      } catch {
        return null
      }
    })
    for (const [index, text] of texts.entries()) expect([text, ours[index]]).toEqual([text, theirs[index]])
  })
})
