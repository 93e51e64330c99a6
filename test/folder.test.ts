// The way to a file: links are followed wherever they lead, and stay links.
import { afterEach, expect, test } from "bun:test"
import * as fs from "node:fs"
import { dirname, join } from "node:path"
import { newFile, removeFiles, textIn, write } from "./support/files.ts"

afterEach(removeFiles)

test("follows a link and leaves it a link", async () => {
  const file = newFile("old")
  const link = join(dirname(file), "link.json")
  fs.symlinkSync("file.json", link)
  await write(link, "new")
  expect([fs.readlinkSync(link), textIn(file)]).toEqual(["file.json", "new"])
})

test("follows a dangling link and makes the file that it means", async () => {
  const file = newFile()
  const link = join(dirname(file), "link.json")
  fs.symlinkSync("there/real.json", link)
  await write(link, "new")
  expect([fs.readlinkSync(link), textIn(join(dirname(file), "there/real.json"))]).toEqual([
    "there/real.json",
    "new",
  ])
})

test("follows links of folders, links of links, and what `..` means behind a link", async () => {
  const top = dirname(newFile())
  fs.mkdirSync(join(top, "a/b"), { recursive: true })
  fs.mkdirSync(join(top, "home"))
  fs.symlinkSync(join(top, "a/b"), join(top, "home/dir"))
  fs.symlinkSync("../up.json", join(top, "a/b/one.json"))
  fs.symlinkSync("one.json", join(top, "a/b/two.json"))
  await write(join(top, "home/dir/two.json"), "new")
  expect(textIn(join(top, "a/up.json"))).toBe("new")
  fs.symlinkSync(join(top, "gone"), join(top, "home/dangling"))
  await write(join(top, "home/dangling/x/c.json"), "new")
  expect(textIn(join(top, "gone/x/c.json"))).toBe("new")
})

test("says that links go round in a circle", async () => {
  const file = newFile()
  fs.symlinkSync("file.json", `${file}2`)
  fs.symlinkSync("file.json2", file)
  await expect(write(file, "new")).rejects.toMatchObject({
    code: "link-loop",
    retryable: false,
    target: file,
  })
})
