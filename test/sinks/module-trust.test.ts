// Whose hands a module's file may have passed through: nobody's but root's and the running user's, on the whole way to it.
import { afterEach, describe, expect, test } from "bun:test"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { findTrusted } from "../../sinks/_trust.ts"
import { LACKS, testUnless } from "../support/files.ts"

const UID = process.getuid?.() ?? 0
const STRANGER = 54321
const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) fs.rmSync(folder, { recursive: true, force: true })
})

/** A folder of ours with `sinks/vault.ts` in it. */
function place() {
  const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "trust-")))
  folders.push(folder)
  const sinks = join(folder, "sinks")
  fs.mkdirSync(sinks, { mode: 0o755 })
  const file = join(sinks, "vault.ts")
  fs.writeFileSync(file, "", { mode: 0o644 })
  return { folder, sinks, file }
}

const modeOf = (path: string, mode: number) => fs.chmodSync(path, mode)

/** The part of the way that is not trusted, undefined where all of it is. */
async function faultAt(path: string, uid = UID): Promise<string | undefined> {
  const found = await findTrusted(path, uid)
  return "fault" in found ? found.part : undefined
}

test("trusts a file that only its owner can write, in the tmp folder too", async () => {
  const { file } = place()
  expect(await findTrusted(file, UID)).toEqual({ file })
})

test.each([0o664, 0o646, 0o620, 0o602, 0o777])("does not trust a file of mode %o", async (mode) => {
  const { file } = place()
  modeOf(file, mode)
  const found = await findTrusted(file, UID)
  expect(found).toMatchObject({ part: file, hint: `\`chmod go-w ${file}\`` })
  expect("fault" in found && found.fault).toMatch(
    mode & 0o002 ? /everybody \(mode 0\d+\)/ : /group \d+ \(mode 0\d+\)/,
  )
})

test.each([0o775, 0o757, 0o777])("does not trust what lies in a folder of mode %o", async (mode) => {
  const { sinks, folder, file } = place()
  modeOf(sinks, mode)
  expect(await faultAt(file)).toBe(sinks)
  modeOf(sinks, 0o755)
  modeOf(folder, mode)
  expect(await faultAt(file)).toBe(folder)
})

test.each([0o1777, 0o1775])("trusts what is ours in a sticky folder of mode %o", async (mode) => {
  const { sinks, file } = place()
  modeOf(sinks, mode)
  expect(await faultAt(file)).toBeUndefined()
  modeOf(file, 0o666)
  expect(await faultAt(file)).toBe(file)
})

describe("a link", () => {
  test("is followed, and the file that it means is what is loaded", async () => {
    const { folder, file } = place()
    fs.symlinkSync("../sinks/./vault.ts", join(folder, "sinks", "relative.ts"))
    fs.symlinkSync(join(folder, "sinks"), join(folder, "linked"))
    expect(await findTrusted(join(folder, "linked", "relative.ts"), UID)).toEqual({ file })
  })

  test("is not followed out of a folder that others can write", async () => {
    const { folder, file } = place()
    const open = join(folder, "open")
    fs.mkdirSync(open)
    fs.symlinkSync(file, join(open, "vault.ts"))
    modeOf(open, 0o777)
    expect(await faultAt(join(open, "vault.ts"))).toBe(open)
  })

  test("is not followed into a folder that others can write", async () => {
    const { folder, sinks, file } = place()
    fs.symlinkSync(file, join(folder, "vault.ts"))
    modeOf(sinks, 0o777)
    expect(await faultAt(join(folder, "vault.ts"))).toBe(sinks)
  })

  test("that goes round in a circle is an error, and no way without an end", async () => {
    const { folder } = place()
    fs.symlinkSync("b.ts", join(folder, "a.ts"))
    fs.symlinkSync("a.ts", join(folder, "b.ts"))
    expect(await findTrusted(join(folder, "a.ts"), UID).catch((error) => error.code)).toBe("ELOOP")
  })
})

testUnless(LACKS.root, "does not trust what belongs to somebody else: file, folder or link", async () => {
  const { folder, sinks, file } = place()
  const link = join(folder, "vault.ts")
  fs.symlinkSync(file, link)
  fs.chownSync(file, STRANGER, STRANGER)
  expect(await faultAt(file)).toBe(file)
  fs.chownSync(file, UID, UID)
  fs.chownSync(sinks, STRANGER, STRANGER)
  expect(await faultAt(file)).toBe(sinks)
  fs.chownSync(sinks, UID, UID)
  expect(await faultAt(link)).toBeUndefined()
  fs.lchownSync(link, STRANGER, STRANGER)
  expect(await faultAt(link)).toBe(link)
})

testUnless(LACKS.root, "trusts root and the user who runs, and no third one", async () => {
  const { folder, file } = place()
  modeOf(folder, 0o755)
  expect(await faultAt(file, STRANGER)).toBeUndefined()
  fs.chownSync(file, STRANGER, STRANGER)
  expect(await faultAt(file, STRANGER)).toBeUndefined()
  expect(await faultAt(file, STRANGER + 1)).toBe(file)
})

testUnless(LACKS.root, "does not load below a sticky folder into which a stranger put packages", async () => {
  const { folder, sinks, file } = place()
  modeOf(folder, 0o1777)
  for (const name of ["node_modules", "tsconfig.json", "package.json"]) {
    const planted = join(folder, name)
    fs.mkdirSync(planted)
    expect(await faultAt(file)).toBeUndefined()
    fs.chownSync(planted, STRANGER, STRANGER)
    expect(await faultAt(file)).toBe(planted)
    fs.rmdirSync(planted)
  }
  expect(sinks).toStartWith(folder)
})
