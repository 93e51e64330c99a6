// Files of an installation: which are replaced, and that what is refused is told without what stands in it.
import { expect, test } from "bun:test"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { installFiles, sealed } from "../src/installed-file.ts"
import { temporaryFolder } from "./support/binary.ts"

const UNIT = "[Service]\nUser=root\n"

async function put(present: string, text: string, force = false) {
  const path = join(await temporaryFolder(), "file")
  await writeFile(path, present)
  const done = await installFiles([{ path, text }], force).then(
    ([one]) => one?.done,
    (error: Error) => error.message.replace(`${path}: `, ""),
  )
  return { done, left: await readFile(path, "utf8") }
}

test("what is as it was written is replaced, and what is the same is kept", async () => {
  const next = sealed(UNIT.replace("root", "me"))
  expect(await put(sealed(UNIT), next)).toEqual({ done: "replaced", left: next })
  expect(await put(next, next)).toEqual({ done: "kept", left: next })
})

test.each([
  ["a line before the sum", sealed(UNIT).replace("root", "us"), "line 2 \\(User\\)"],
  ["a line after the sum", `${sealed(UNIT)}Nice=5\n`, "line 2 \\(User\\)"],
  ["no sum", UNIT, "line 2 \\(User\\)"],
  ["no key", `# hunter2\n${UNIT}`, "line 1"],
  ["less than there was", "[Service]\n", "line 2 \\(User\\)"],
])("a file with %s is refused, and where it differs is said", async (_, present, where) => {
  const next = sealed(UNIT.replace("root", "hunter2"))
  const { done, left } = await put(present, next)
  expect(left).toBe(present)
  expect(done).toMatch(
    new RegExp(`differs at ${where} from what would be written now; --dry-run shows the new file`),
  )
  expect(done).not.toContain("hunter2")
  expect(await put(present, next, true)).toEqual({ done: "replaced", left: next })
})
