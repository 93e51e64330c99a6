// What a file system refuses, said in words by sinks/_file.ts: each refusal is a real one, and leaves the file alone.
import { afterEach, expect, test } from "bun:test"
import * as fs from "node:fs"
import { dirname, join } from "node:path"
import { type FilePlace, mountPointError } from "../sinks/_file-errors.ts"
import { systemClock } from "../src/clock.ts"
import {
  LACKS,
  namesBeside,
  newFile,
  POWERLESS,
  placeOf,
  removeFiles,
  runChild,
  testUnless,
  textIn,
  UNSHARE,
  write,
} from "./support/files.ts"

afterEach(removeFiles)

test.each([
  ["not-a-folder", (file: string) => join(file, "config.json"), () => {}],
  ["not-a-file", (file: string) => dirname(file), () => {}],
  ["not-a-file", (file: string) => `${file}.pipe`, (path: string) => Bun.spawnSync(["mkfifo", path])],
  ["file-system", (file: string) => join(dirname(file), "n".repeat(300)), () => {}],
  ...(process.platform === "linux"
    ? [["no-new-files", () => "/proc/self/config.json", () => {}] as const]
    : []),
])("says %s in words", async (code, pathOf, prepare) => {
  const path = pathOf(newFile("old"))
  prepare(path)
  await expect(write(path, "new")).rejects.toMatchObject({
    code,
    retryable: false,
    sink: "test",
    target: path,
    hint: expect.any(String),
  })
})

test("offers in_place only for a sink that has it", () => {
  const { sink, path, deps } = placeOf("/etc/config.json")
  const words = (place: FilePlace) => mountPointError(place).hint
  expect(words({ sink, path, deps })).toBe("mount its folder instead of the file")
  expect(words({ sink, path, deps, inPlace: false })).toStartWith(
    "mount its folder instead of the file, or add in_place=true (",
  )
})

test("says that too many files are open, and where to allow more", () => {
  const file = newFile("old")
  const answer = runChild([], "ulimit -n 200; $RUN write-with-no-file-left $F 9", file)
  expect(answer).toMatchObject({
    code: "file-system",
    retryable: true,
    message: expect.stringContaining("too many files are open"),
    hint: expect.stringContaining("ulimit -n"),
  })
  expect([textIn(file), namesBeside(file)]).toEqual(["old", ["file.json"]])
})

test("keeps the old file where none may grow that large, in place too, and says where to allow more", () => {
  for (const task of ["write", "write-in-place"]) {
    const file = newFile("old")
    const answer = runChild([], `ulimit -f 8; $RUN ${task} "$F" 200000`, file)
    expect({ task, ...answer }).toMatchObject({
      task,
      code: "file-system",
      hint: expect.stringContaining("ulimit -f"),
    })
    expect([textIn(file), namesBeside(file)]).toEqual(["old", ["file.json"]])
  }
})

testUnless(LACKS.powerless, "says who may write where permission is missing", () => {
  const file = newFile("old")
  fs.chmodSync(dirname(file), 0o500)
  for (const path of ["$F", "$D/new/file.json"])
    expect(runChild(POWERLESS, `$RUN write ${path} 9`, file)).toMatchObject({
      code: "permission",
      retryable: false,
      hint: expect.stringContaining("run as the user"),
    })
  fs.chmodSync(dirname(file), 0o700)
  fs.chmodSync(file, 0o000)
  expect(runChild(POWERLESS, "$RUN write $F 9", file)).toMatchObject({ code: "permission", retryable: false })
})

testUnless(LACKS.powerless, "leaves a file alone that its owner made read-only", () => {
  const file = newFile("old")
  fs.chmodSync(file, 0o400)
  expect(runChild(POWERLESS, "$RUN write $F 9", file)).toMatchObject({ code: "permission", retryable: false })
  expect([textIn(file), namesBeside(file)]).toEqual(["old", ["file.json"]])
})

testUnless(
  LACKS.root ?? LACKS.powerless,
  "refuses to take a file from its owner, but writes into it in place",
  () => {
    const file = newFile("old")
    fs.chmodSync(file, 0o666)
    fs.chownSync(file, 12345, 12346)
    expect(runChild(POWERLESS, "$RUN write $F 9", file)).toMatchObject({ code: "owner", retryable: false })
    expect([textIn(file), namesBeside(file)]).toEqual(["old", ["file.json"]])
    expect(runChild(POWERLESS, "$RUN write-in-place $F 9", file)).toEqual({ code: "ok" })
    expect([textIn(file), fs.statSync(file).uid]).toEqual(["x".repeat(9), 12345])
  },
)

testUnless(LACKS.root, "keeps the owner of an existing file", async () => {
  const file = newFile("old")
  fs.chownSync(file, 12345, 12346)
  fs.chmodSync(file, 0o640)
  await write(file, "new")
  const { uid, gid, mode } = fs.statSync(file)
  expect([uid, gid, mode & 0o7777]).toEqual([12345, 12346, 0o640])
})

testUnless(
  LACKS.root,
  "gives new files and folders to the owner of the folder they are made in, under sudo alone",
  async () => {
    const folder = dirname(newFile())
    fs.chownSync(folder, 12345, 12346)
    const owners = async (name: string, env: Record<string, string>) => {
      const file = join(folder, name, "a/file.json")
      await write(file, "new", { deps: { clock: systemClock, env, uid: 0 } })
      return [file, dirname(file), dirname(dirname(file))]
        .map((path) => fs.statSync(path))
        .map(({ uid, gid }) => `${uid}:${gid}`)
    }
    expect(await owners("sudo", { SUDO_UID: "1" })).toEqual(["12345:12346", "12345:12346", "12345:12346"])
    expect(await owners("root", {})).toEqual(["0:0", "0:0", "0:0"])
  },
)

testUnless(
  LACKS.mounts,
  "says that a bind-mounted file cannot be renamed onto, and writes into it in place",
  () => {
    const file = newFile("old")
    fs.writeFileSync(`${file}.outside`, "outside")
    const mount = 'mount --bind "$F.outside" "$F"; $RUN'
    const refused = runChild(UNSHARE, `${mount} write $F 9`, file)
    expect(refused).toMatchObject({
      code: "mount-point",
      retryable: false,
      hint: expect.stringContaining("in_place=true"),
    })
    expect(textIn(`${file}.outside`)).toBe("outside")
    expect(runChild(UNSHARE, `${mount} write-in-place $F 9`, file)).toEqual({ code: "ok" })
    expect([textIn(`${file}.outside`), textIn(file)]).toEqual(["x".repeat(9), "old"])
    expect(namesBeside(file)).toEqual(["file.json", "file.json.outside"])
  },
)

testUnless(LACKS.mounts, "says that a file system is read-only", () => {
  const file = newFile("old")
  const folder = 'mount --bind "$D" "$D"; mount -o remount,bind,ro "$D"; $RUN'
  expect(runChild(UNSHARE, `${folder} write $F 9`, file)).toMatchObject({
    code: "read-only",
    retryable: false,
  })
})

testUnless(LACKS.mounts, "keeps the old file on a full disk, in place too, and says that it may pass", () => {
  const disk = 'mount -t tmpfs -o size=64k none "$D"; printf old > "$F"; $RUN'
  const isAsItWas = 'test "$(cat "$F")" = old; test "$(ls -A "$D")" = file.json'
  for (const task of ["write", "write-in-place"]) {
    const answer = runChild(UNSHARE, `${disk} ${task} "$F" 200000; ${isAsItWas}`, newFile())
    expect({ task, ...answer }).toMatchObject({ task, code: "no-space", retryable: true })
  }
})
