// Replacing a file that others read and write: links, modes, and what others write without a lock.
import { afterEach, expect, spyOn, test } from "bun:test"
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
  testUnless,
  textIn,
  write,
} from "./support/files.ts"
import { calm } from "./support/sinks.ts"

afterEach(removeFiles)

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
  const bug = new Error("the edit failed")
  const fault = () => {
    throw bug
  }
  await expect(replaceFile(placeOf(file), fault, calm())).rejects.toBe(bug)
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

test("is on the disk before it is renamed, and the rename itself before it is reported", async () => {
  const file = newFile("old")
  const synced: unknown[] = []
  const { fsyncSync } = fs
  const watch = spyOn(fs, "fsyncSync").mockImplementation((fd) => {
    const stat = fs.fstatSync(fd)
    synced.push([stat.isDirectory() ? "folder" : stat.size, textIn(file)])
    return fsyncSync(fd)
  })
  await write(file, "newer").finally(() => watch.mockRestore())
  expect(synced).toEqual([
    ["newer".length, "old"],
    ["folder", "newer"],
  ])
})

test("a rename that may not be on the disk fails until it is, though the file holds what it should", async () => {
  const file = newFile("old")
  const { fsyncSync } = fs
  let synced = 0
  const watch = spyOn(fs, "fsyncSync").mockImplementation((fd) => {
    if (!fs.fstatSync(fd).isDirectory()) return fsyncSync(fd)
    synced += 1
    if (synced < 3) throw Object.assign(new Error("EIO"), { code: "EIO" })
  })
  const failed = { code: "file-system" }
  try {
    await expect(write(file, "new")).rejects.toMatchObject(failed)
    expect(textIn(file)).toBe("new")
    await expect(write(file, "new")).rejects.toMatchObject(failed)
    expect([await write(file, "new"), synced]).toEqual(["new", 3])
    expect([await write(file, "new"), synced]).toEqual(["new", 3])
    synced = 0
    await expect(write(file, "newer")).rejects.toMatchObject(failed)
  } finally {
    watch.mockRestore()
  }
  fs.rmSync(dirname(file), { recursive: true })
  expect([await write(file, "newest"), textIn(file)]).toEqual(["newest", "newest"])
})

test("in place, what is shorter than before is whole and blank below before its end is cut off", async () => {
  const file = newFile("something old")
  const seen: string[] = []
  const { ftruncateSync } = fs
  const watch = spyOn(fs, "ftruncateSync").mockImplementation((fd, length) => {
    seen.push(textIn(file))
    ftruncateSync(fd, length)
  })
  await write(file, "new", { inPlace: true }).finally(() => watch.mockRestore())
  expect(seen.map((text) => text.trimEnd())).toEqual(["new"])
  expect(textIn(file)).toBe("new")
})

test("a folder that cannot be made to last is let pass where file systems have no way, and no other fault is", async () => {
  const failing = (code: string) => {
    const { fsyncSync } = fs
    return spyOn(fs, "fsyncSync").mockImplementation((fd) => {
      if (fs.fstatSync(fd).isDirectory()) throw Object.assign(new Error(code), { code })
      return fsyncSync(fd)
    })
  }
  for (const code of ["EINVAL", "ENOTSUP"]) {
    const file = newFile("old")
    const watch = failing(code)
    await write(file, "new").finally(() => watch.mockRestore())
    expect(textIn(file)).toBe("new")
  }
  const watch = failing("EIO")
  const writing = write(newFile("old"), "new").finally(() => watch.mockRestore())
  await expect(writing).rejects.toMatchObject({ code: "file-system" })
})

testUnless(
  fs.existsSync("/proc/self/fd") ? undefined : "no /proc here",
  "leaves no file and no folder open",
  async () => {
    const open = () => fs.readdirSync("/proc/self/fd").length
    const file = newFile("old")
    await write(file, "new")
    const before = open()
    for (const access of [undefined, { mode: 0o644, owner: undefined }])
      for (const inPlace of [false, true])
        for (const name of ["file.json", `new-${inPlace}-${access?.mode}/file.json`])
          for (const text of ["one", "two"])
            await write(join(dirname(file), name), text, { inPlace, ...(access ? { access } : {}) })
    expect(open()).toBe(before)
  },
)

test("an abort changes nothing and leaves nothing, also while the lock is held", async () => {
  const file = newFile("old")
  const stop = new AbortController()
  const edit = () => {
    if (namesBeside(file).length > 1) stop.abort(new Error("stop"))
    return { bytes: Buffer.from("new"), result: 0 }
  }
  await expect(replaceFile(placeOf(file), edit, stop.signal)).rejects.toThrow("stop")
  expect(stop.signal.aborted).toBe(true)
  expect([textIn(file), namesBeside(file)]).toEqual(["old", ["file.json"]])
})

test("a signal that is aborted already makes not even a folder", async () => {
  const file = join(dirname(newFile()), "new/file.json")
  const edit = () => ({ bytes: Buffer.from("new"), result: 0 })
  await expect(replaceFile(placeOf(file), edit, AbortSignal.abort(new Error("stop")))).rejects.toThrow("stop")
  expect(namesBeside(dirname(file))).toEqual([])
})

// Others who write without a lock

test.each([
  ["renamed onto it", replaceAsDocker, false],
  ["written into it", fs.writeFileSync, false],
  ["written into it in place", fs.writeFileSync, true],
] as const)("keeps what was %s after it was read and before it is written", async (_, change, inPlace) => {
  const file = newFile("a, and more")
  let calls = 0
  const edit = (bytes: Buffer | undefined) => {
    calls += 1
    if (calls === 2) change(file, "b")
    const text = String(bytes)
    return { bytes: Buffer.from(text.includes("+") ? text : `${text}+`), result: undefined }
  }
  await replaceFile(placeOf(file, { inPlace }), edit, calm())
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

test("does not write again what somebody else has written meanwhile", async () => {
  const file = newFile("old")
  const inodes: number[] = []
  const edit = () => {
    if (textIn(file) === "old") replaceAsDocker(file, "new")
    inodes.push(fs.statSync(file).ino)
    return { bytes: Buffer.from("new"), result: undefined }
  }
  await replaceFile(placeOf(file), edit, calm())
  expect([new Set(inodes).size, fs.statSync(file).ino]).toEqual([1, inodes[0] as number])
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

test.each([
  ["replaced", (file: string) => replaceAsDocker(file, "bbb")],
  ["written", (file: string) => fs.writeFileSync(file, "bbbb")],
  ["removed", (file: string) => fs.rmSync(file)],
])("does not rename onto a file that was %s since it was looked at", (_, change) => {
  const file = newFile("aaa")
  const was = fs.statSync(file, { bigint: true })
  change(file)
  fs.writeFileSync(`${file}.new`, "new")
  expect([renameIfSame(`${file}.new`, file, was), textIn(`${file}.new`)]).toEqual([false, "new"])
  expect(fs.existsSync(file) && textIn(file)).not.toBe("new")
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
