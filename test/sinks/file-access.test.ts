// Who may use a login file: mode and owner as they are configured, on real files, as root and without root's powers.
import { afterEach, expect, spyOn, test } from "bun:test"
import * as fs from "node:fs"
import { dirname, join } from "node:path"
import kind from "../../sinks/file.ts"
import type { SinkDeps } from "../../src/sink.ts"
import { makeCredential } from "../support/credentials.ts"
import { LACKS, namesBeside, newFile, removeFiles, testUnless, textIn } from "../support/files.ts"
import { calm, deliveriesOf, hours, makeSink, NOW, REGISTRY, testDeps } from "../support/sinks.ts"

afterEach(removeFiles)

const LOGIN = makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(12), size: 300 })
const NEWER = makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(12.5), size: 300 })

const sinkFor = (path: string, options: object = {}, deps: Partial<SinkDeps> = {}) =>
  makeSink(kind, { path, ...options }, testDeps(deps))

async function deliver(path: string, options: object = {}, login = LOGIN, deps: Partial<SinkDeps> = {}) {
  const sink = sinkFor(path, options, deps)
  return (await sink.deliver(deliveriesOf(sink, [login]), calm()))[0]
}

async function check(path: string, options: object = {}, deps: Partial<SinkDeps> = {}) {
  const sink = sinkFor(path, options, deps)
  return sink.check?.(sink.targets(REGISTRY), calm())
}

async function differenceOf(path: string, options: object = {}) {
  const sink = sinkFor(path, options)
  const [held] = (await sink.read?.(sink.targets(REGISTRY), calm())) ?? []
  return held?.state === "held" ? held.differs : held
}

const modeOf = (path: string) => (fs.statSync(path).mode & 0o7777).toString(8).padStart(4, "0")
const ownerOf = (path: string) => `${fs.statSync(path).uid}:${fs.statSync(path).gid}`

// Mode

test.each([
  [undefined, "0600", "0700"],
  ["0640", "0640", "0711"],
  ["444", "0444", "0711"],
])("mode %p makes a new file %s in a new folder %s, whatever the umask", async (mode, ofFile, ofFolder) => {
  const file = join(dirname(newFile()), "new/ecr")
  for (const umask of [0, 0o077]) {
    const before = process.umask(umask)
    await deliver(file, mode === undefined ? {} : { mode }).finally(() => process.umask(before))
    expect([modeOf(file), modeOf(dirname(file))]).toEqual([ofFile, ofFolder])
    fs.rmSync(dirname(file), { recursive: true })
  }
})

test("a new folder has its mode from the first, and is made anew where the rest of it failed", async () => {
  const file = join(dirname(newFile()), "new/ecr")
  const modes: string[] = []
  const watch = spyOn(fs, "fchmodSync").mockImplementationOnce(() => {
    modes.push(modeOf(dirname(file)))
    throw Object.assign(new Error("EIO"), { code: "EIO" })
  })
  expect(await deliver(file, { mode: "0640" }).finally(() => watch.mockRestore())).toMatchObject({
    outcome: "failed",
    error: { code: "file-system" },
  })
  expect([modes, fs.existsSync(dirname(file))]).toEqual([["0711"], false])
  await deliver(file, { mode: "0640" })
  expect([modeOf(file), modeOf(dirname(file))]).toEqual(["0640", "0711"])
})

test.each([false, true])("an existing file is given the mode, in_place=%p", async (in_place) => {
  const file = newFile("")
  fs.chmodSync(file, 0o666)
  const inode = fs.statSync(file).ino
  await deliver(file, { in_place, mode: "0640" })
  expect([modeOf(file), fs.statSync(file).ino === inode]).toEqual(["0640", in_place])
  await deliver(file, { in_place })
  expect(modeOf(file)).toBe("0600")
})

test("a mode that somebody changed is told, and mended though the login stays", async () => {
  const file = newFile()
  await deliver(file)
  fs.chmodSync(file, 0o644)
  expect(await differenceOf(file)).toBe("its mode is 0644, not 0600")
  expect(await deliver(file)).toMatchObject({ outcome: "unchanged" })
  expect([modeOf(file), await differenceOf(file)]).toEqual(["0600", undefined])
  fs.chmodSync(file, 0o644)
  await deliver(file, {}, NEWER)
  fs.chmodSync(file, 0o644)
  expect(await deliver(file)).toMatchObject({ outcome: "unchanged", expiresAt: NEWER.expiresAt })
  expect([modeOf(file), textIn(file)]).toEqual(["0600", NEWER.password.reveal()])
})

test("writes nothing where mode and login are as they should be", async () => {
  const file = newFile()
  await deliver(file, { mode: "0640" })
  const before = fs.statSync(file, { bigint: true })
  expect(await deliver(file, { mode: "640" })).toMatchObject({ outcome: "unchanged" })
  const after = fs.statSync(file, { bigint: true })
  expect([after.ino, after.ctimeNs, namesBeside(file)]).toEqual([before.ino, before.ctimeNs, ["file.json"]])
})

test("a file whose mode says read-only is replaced all the same, for that is our own saying", async () => {
  const file = newFile()
  await deliver(file, { mode: "0400" })
  expect(await check(file, { mode: "0400" })).toMatchObject([{ level: "ok" }])
  expect(await deliver(file, { mode: "0400" }, NEWER)).toMatchObject({ outcome: "delivered" })
  expect([modeOf(file), textIn(file)]).toEqual(["0400", NEWER.password.reveal()])
})

test.each([
  ["0640", []],
  ["0644", [`mode 0644 lets everybody on this machine read the login`]],
  ["0666", [`mode 0666 lets everybody on this machine read and change the login`]],
])("check warns where mode %s lets everybody in", async (mode, says) => {
  const warnings = (await check(newFile(), { mode }))?.filter(({ level }) => level === "warning")
  expect(warnings?.map(({ message }) => message)).toEqual(says)
})

test("a link is followed, and stays", async () => {
  const file = newFile("")
  fs.symlinkSync(file, `${file}.link`)
  await deliver(`${file}.link`, { mode: "0640" })
  expect([fs.lstatSync(`${file}.link`).isSymbolicLink(), modeOf(file), textIn(file)]).toEqual([
    true,
    "0640",
    LOGIN.password.reveal(),
  ])
})

// Owner

testUnless(LACKS.root, "gives a new file, one that is there and one in place to its owner", async () => {
  for (const in_place of [false, true]) {
    const file = newFile()
    await deliver(file, { owner: "12345:12346", mode: "0640", in_place })
    expect([ownerOf(file), modeOf(file)]).toEqual(["12345:12346", "0640"])
    fs.chownSync(file, 1, 1)
    expect(await differenceOf(file, { owner: "12345:12346", mode: "0640" })).toBe(
      "it belongs to user 1, not 12345",
    )
    await deliver(file, { owner: "12345:12346", mode: "0640", in_place })
    expect([ownerOf(file), modeOf(file)]).toEqual(["12345:12346", "0640"])
    await deliver(file, { owner: ":12347", mode: "0640", in_place })
    expect([ownerOf(file), modeOf(file)]).toEqual(["12345:12347", "0640"])
    await deliver(file, { in_place })
    expect([ownerOf(file), modeOf(file)]).toEqual(["12345:12347", "0600"])
    await deliver(file, { owner: "12344", in_place }, NEWER)
    expect([ownerOf(file), modeOf(file)]).toEqual(["12344:12347", "0600"])
  }
})

testUnless(LACKS.root, "knows owners by their names", async () => {
  const file = newFile()
  await deliver(file, { owner: "daemon:nogroup" })
  const numberOf = (database: string, name: string) =>
    Bun.spawnSync(["getent", database, name]).stdout.toString().split(":")[2]
  expect(ownerOf(file)).toBe(`${numberOf("passwd", "daemon")}:${numberOf("group", "nogroup")}`)
})

test.each([
  ["nobody-here", {}, "knows no user nobody-here", "getent passwd"],
  ["0:nobody-here", {}, "knows no group nobody-here", "getent group"],
  ["daemon", { env: { PATH: "/nowhere" } }, "could not be run to look up daemon", "owner=1000:1000"],
])("says of an owner %s that cannot be found what to do", async (owner, deps, says, hint) => {
  const file = newFile()
  const result = await deliver(file, { owner }, LOGIN, deps)
  const error = result?.outcome === "failed" ? result.error : undefined
  expect(error).toMatchObject({ code: "unknown-owner", retryable: false, target: file })
  expect(error?.message).toContain(says)
  expect(error?.hint).toContain(hint)
  expect(await check(file, { owner }, deps)).toMatchObject([{ level: "error", fix: error?.hint }])
  expect(namesBeside(file)).toEqual([])
})

testUnless(LACKS.root, "gives no file away where others can change the way to it", async () => {
  const file = newFile()
  const folder = dirname(file)
  const refused = async (path: string, part: string) => {
    const before = fs.readdirSync(folder)
    const result = await deliver(path, { owner: "12345" })
    const error = result?.outcome === "failed" ? result.error : undefined
    expect(error).toMatchObject({ code: "owner", retryable: false })
    expect(error?.message).toEndWith(`where others can change the way to it: ${part}`)
    expect(await check(path, { owner: "12345" })).toMatchObject([{ level: "error" }])
    expect(fs.readdirSync(folder)).toEqual(before)
  }
  fs.mkdirSync(join(folder, "theirs"))
  fs.chownSync(join(folder, "theirs"), 12345, 12345)
  await refused(join(folder, "theirs", "ecr"), join(folder, "theirs"))
  await refused(join(folder, "theirs", "new", "ecr"), join(folder, "theirs"))
  fs.symlinkSync(join(folder, "theirs"), join(folder, "link"))
  await refused(join(folder, "link", "ecr"), join(folder, "theirs"))
  fs.symlinkSync(join(folder, "theirs", "ecr"), join(folder, "out"))
  await refused(join(folder, "out"), join(folder, "theirs"))
  fs.symlinkSync(join(folder, "ecr"), join(folder, "theirs", "in"))
  await refused(join(folder, "theirs", "in"), join(folder, "theirs"))
  // As in /tmp: whoever was first with the name says where it leads.
  fs.chmodSync(folder, 0o1777)
  fs.symlinkSync(join(folder, "elsewhere"), join(folder, "trap"))
  fs.lchownSync(join(folder, "trap"), 12345, 12345)
  await refused(join(folder, "trap"), join(folder, "trap"))
  expect(await deliver(file, { owner: "12345" })).toMatchObject({ outcome: "delivered" })
})

test("says who may give a file away where this user may not", async () => {
  const uid = 4242
  const [finding] = (await check(newFile(), { owner: "4243" }, { uid })) ?? []
  expect(finding).toMatchObject({ level: "error", fix: expect.stringContaining("run as root") })
  expect(await check(newFile(), { owner: "4242" }, { uid })).toMatchObject([{ level: "ok" }])
})

// What cannot be

test("says that a file cannot be given to the owner who is configured, and leaves the login unwritten", async () => {
  const file = newFile()
  const refusing = spyOn(fs, "fchownSync").mockImplementation(() => {
    throw Object.assign(new Error("EPERM"), { code: "EPERM" })
  })
  const result = await deliver(file, { owner: ":12346" }).finally(() => refusing.mockRestore())
  expect(result).toMatchObject({
    outcome: "failed",
    error: { code: "owner", hint: expect.stringContaining("name only a group that the user is in") },
  })
  expect(namesBeside(file)).toEqual([])
})

test("says that in place only the owner can set a mode, where that must be done", async () => {
  const file = newFile("")
  fs.chmodSync(file, 0o666)
  const in_place = true
  const [finding] = (await check(file, { in_place }, { uid: 4242 })) ?? []
  expect(finding).toMatchObject({ level: "error", code: "mode", subject: file })
  expect(await check(file, { in_place, mode: "0666" }, { uid: 4242 })).not.toContainEqual(
    expect.objectContaining({ level: "error" }),
  )
})

test("says that a file system keeps no modes, and leaves the login unwritten", async () => {
  const file = newFile()
  const forgetful = spyOn(fs, "fchmodSync").mockImplementation(() => {})
  const result = await deliver(file, { mode: "0640" }).finally(() => forgetful.mockRestore())
  expect(result).toMatchObject({
    outcome: "failed",
    error: { code: "mode", retryable: false, message: `${file}: its mode cannot be made 0640` },
  })
  expect(namesBeside(file)).toEqual([])
})

test.each([
  ["EDQUOT", "no-space", true],
  ["EMFILE", "file-system", true],
  ["EROFS", "read-only", false],
  ["EPERM", "mode", false],
])("says %s as what it is where a mode is set", async (code, said, retryable) => {
  const file = newFile()
  const fault = Object.assign(new Error(code), { code })
  const watch = spyOn(fs, "fchmodSync").mockImplementation(() => {
    throw fault
  })
  const result = await deliver(file, { mode: "0640" }).finally(() => watch.mockRestore())
  expect(result).toMatchObject({ outcome: "failed", error: { code: said, retryable } })
  expect(namesBeside(file)).toEqual([])
})

testUnless(LACKS.root, "says a full disk as what it is where a file is given away", async () => {
  const file = newFile()
  const watch = spyOn(fs, "fchownSync").mockImplementation(() => {
    throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" })
  })
  const result = await deliver(file, { owner: "12345" }).finally(() => watch.mockRestore())
  expect(result).toMatchObject({ outcome: "failed", error: { code: "no-space", retryable: true } })
})
