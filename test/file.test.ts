// Replacing a file that others read and write: links, modes, and what others write without a lock.
import { afterEach, expect, test } from "bun:test"
import * as fs from "node:fs"
import { dirname, join } from "node:path"
import { renameIfSame, replaceFile } from "../sinks/_file.ts"
import { systemClock } from "../src/clock.ts"
import {
  namesBeside,
  newFile,
  placeOf,
  removeFiles,
  replaceAsDocker,
  textIn,
  write,
} from "./support/files.ts"
import { calm } from "./support/sinks.ts"

afterEach(removeFiles)

// Links

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

// What is written, and what is not

test("makes a new file 0600 in new folders 0700, whatever the umask", async () => {
  const file = join(dirname(newFile()), "a/b/file.json")
  const umask = process.umask(0)
  await write(file, "new").finally(() => process.umask(umask))
  const modes = [file, dirname(file), dirname(dirname(file))].map((path) => fs.statSync(path).mode & 0o7777)
  expect(modes).toEqual([0o600, 0o700, 0o700])
})

test.each([0o600, 0o640, 0o644, 0o660, 0o666])("keeps the mode %o", async (mode) => {
  const file = newFile("old")
  fs.chmodSync(file, mode)
  await write(file, "new")
  expect([fs.statSync(file).mode & 0o7777, textIn(file)]).toEqual([mode, "new"])
})

test("writes nothing and makes no folder when there is nothing to do", async () => {
  const file = newFile("same")
  const marks = () =>
    [file, dirname(file)].map((path) => fs.statSync(path)).map(({ ino, ctimeMs }) => [ino, ctimeMs])
  const before = marks()
  expect(await write(file, "same")).toBe("same")
  expect(marks()).toEqual(before)
  const nothing = () => ({ bytes: undefined, result: "nothing" })
  const missing = join(dirname(file), "new/file.json")
  expect(await replaceFile(placeOf(missing), nothing, calm())).toBe("nothing")
  expect(namesBeside(file)).toEqual(["file.json"])
})

test("leaves nothing beside the file", async () => {
  const file = newFile("old")
  await write(file, "new")
  const fault = () => {
    throw new Error("the edit failed")
  }
  await expect(replaceFile(placeOf(file), fault, calm())).rejects.toThrow("the edit failed")
  expect(namesBeside(file)).toEqual(["file.json"])
})

test("a reader sees the old or the new, never half", async () => {
  const [old, fresh] = ["a".repeat(1_000_000), "b".repeat(900_000)]
  const file = newFile(old)
  let reading = true
  const seen = new Set<string>()
  const reader = (async () => {
    while (reading) {
      seen.add(textIn(file))
      await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  for (let round = 0; round < 5; round++) {
    await write(file, fresh)
    await write(file, old)
  }
  reading = false
  await reader
  expect([...seen].filter((text) => text !== old && text !== fresh)).toEqual([])
})

test("an abort before the rename changes nothing and leaves nothing", async () => {
  const file = newFile("old")
  const stop = new AbortController()
  let calls = 0
  const edit = () => {
    calls += 1
    // The second call is under the lock: the last moment that a test can get hold of.
    if (calls === 2) stop.abort(new Error("stop"))
    return { bytes: Buffer.from("new"), result: undefined }
  }
  await expect(replaceFile(placeOf(file), edit, stop.signal)).rejects.toThrow("stop")
  expect([textIn(file), namesBeside(file)]).toEqual(["old", ["file.json"]])
})

// Others who write without a lock

test.each([
  ["renamed onto it", replaceAsDocker],
  ["written into it", fs.writeFileSync],
] as const)("keeps what was %s after it was read and before the rename", async (_, change) => {
  const file = newFile("a")
  let calls = 0
  const edit = (bytes: Buffer | undefined) => {
    calls += 1
    if (calls === 2) change(file, "b")
    const text = String(bytes)
    return { bytes: Buffer.from(text.includes("+") ? text : `${text}+`), result: undefined }
  }
  await replaceFile(placeOf(file), edit, calm())
  expect(textIn(file)).toBe("b+")
})

test("keeps a file that came to be after there was none", async () => {
  const file = newFile()
  let calls = 0
  const edit = (bytes: Buffer | undefined) => {
    calls += 1
    if (calls === 2) replaceAsDocker(file, "b")
    const text = String(bytes ?? "")
    return { bytes: Buffer.from(text.includes("+") ? text : `${text}+`), result: undefined }
  }
  await replaceFile(placeOf(file), edit, calm())
  expect(textIn(file)).toBe("b+")
})

test("looks once more after the rename, and writes again what a login undid", async () => {
  const file = newFile("a")
  let undone = 0
  // Somebody who read the file long ago writes it as soon as ours is there.
  const undo = () => {
    if (textIn(file) !== "a+") return
    undone += 1
    replaceAsDocker(file, "a, b")
  }
  // The lock's heart sleeps by the clock until the lock is given back: the moment between rename and second look.
  const sleep: typeof systemClock.sleep = (durationMs, signal) => {
    signal?.addEventListener("abort", undo)
    return systemClock.sleep(durationMs, signal)
  }
  const deps = { clock: { ...systemClock, sleep }, env: {}, uid: undefined }
  const edit = (bytes: Buffer | undefined) => {
    const text = String(bytes)
    return { bytes: Buffer.from(text.includes("+") ? text : `${text}+`), result: undefined }
  }
  await replaceFile(placeOf(file, { deps }), edit, calm())
  expect([textIn(file), undone]).toEqual(["a, b+", 1])
})

test("leaves a file that changes without end to the next attempt", async () => {
  const file = newFile("0")
  let calls = 0
  const edit = () => {
    calls += 1
    if (calls > 1) replaceAsDocker(file, String(calls))
    return { bytes: Buffer.from("mine"), result: undefined }
  }
  await expect(replaceFile(placeOf(file), edit, calm())).rejects.toMatchObject({
    code: "contended",
    retryable: true,
  })
  expect(namesBeside(file)).toEqual(["file.json"])
})

test("the window in which a login without a lock is lost is measured", () => {
  const file = newFile("x".repeat(4000))
  const times: number[] = []
  for (let round = 0; round < 1000; round++) {
    fs.writeFileSync(`${file}.new`, "x".repeat(4000), { flush: true })
    const was = fs.statSync(file, { bigint: true })
    const start = performance.now()
    expect(renameIfSame(`${file}.new`, file, was)).toBe(true)
    times.push((performance.now() - start) * 1000)
  }
  times.sort((a, b) => a - b)
  const [median, last] = [times[500] ?? 0, times[990] ?? 0]
  console.info(
    `window from the last look to the rename: median ${median.toFixed(0)} µs, 99 % ${last.toFixed(0)} µs`,
  )
})
