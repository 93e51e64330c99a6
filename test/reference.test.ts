// References: a secret read from where a text points to, at the moment it is asked for, and none in a message.
import { expect, test } from "bun:test"
import { mkdtemp, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { isReference, loadSecret } from "../src/reference.ts"

const folder = await mkdtemp(join(tmpdir(), "ecrelay-reference-"))

async function fileWith(text: string, name = "secret"): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, text)
  return path
}

const revealed = async (text: string, env = {}) => (await loadSecret(text, env)).reveal()
const refusal = (text: string, env = {}) =>
  loadSecret(text, env).then(
    () => "",
    (error: Error) => error.message,
  )

test("a text that refers to nothing is the secret itself", async () => {
  for (const text of ["plain", "postgres://u:p@h/db", "environment:x", "", "sqlite:////var/x.db"])
    expect(await revealed(text)).toBe(text)
  expect([isReference("env:X"), isReference("file:/x"), isReference("credential:x")]).toEqual([
    true,
    true,
    true,
  ])
  expect([isReference("environment:x"), isReference("ENV:X"), isReference(" env:X")]).toEqual([
    false,
    false,
    false,
  ])
})

test("env: is the variable", async () => {
  expect(await revealed("env:PASSWORD", { PASSWORD: "p:w=%\n" })).toBe("p:w=%\n")
})

test("file: is what stands in the file, but for its last line break", async () => {
  expect(await revealed(`file:${await fileWith("secret\n")}`)).toBe("secret")
  expect(await revealed(`file:${await fileWith("secret\r\n")}`)).toBe("secret")
  expect(await revealed(`file:${await fileWith(" two\nlines\n\n")}`)).toBe(" two\nlines\n")
})

test("credential: is the file of that name in systemd's directory", async () => {
  await fileWith("from systemd", "db")
  expect(await revealed("credential:db", { CREDENTIALS_DIRECTORY: folder })).toBe("from systemd")
})

test("a secret that changes is read anew each time", async () => {
  const path = await fileWith("first", "rotated")
  expect(await revealed(`file:${path}`)).toBe("first")
  await fileWith("second", "rotated")
  expect(await revealed(`file:${path}`)).toBe("second")
})

test("what is missing is said in words", async () => {
  expect(await refusal("env:NOPE")).toBe("the variable NOPE is not set")
  expect(await refusal("env:EMPTY", { EMPTY: "" })).toBe("the variable EMPTY is not set")
  expect(await refusal("env:")).toBe("env: names no variable")
  expect(await refusal(`file:${folder}/nope`)).toBe(`${folder}/nope cannot be read (ENOENT)`)
  expect(await refusal(`file:${folder}`)).toBe(`${folder} cannot be read (EISDIR)`)
  expect(await refusal("file:")).toBe("file: names no file")
  expect(await refusal(`file:${await fileWith("\n", "empty")}`)).toBe(`${folder}/empty is empty`)
  expect(await refusal("credential:db")).toContain("LoadCredential=")
})

test.each(["../etc/passwd", "..", ".", "a/b", ""])(
  "credential:%s does not leave systemd's directory",
  async (name) => {
    expect(await refusal(`credential:${name}`, { CREDENTIALS_DIRECTORY: folder })).toBe(
      "a credential's name is the name of a file, without a slash",
    )
  },
)
