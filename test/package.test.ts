// The .deb as dpkg takes it: installed, run from, upgraded, removed, purged, in a root of its own; and the tarball.
import { beforeAll, describe, expect, test } from "bun:test"
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { startAws } from "../scripts/aws.ts"
import { packageDebian, packagedUnits, packageTarball } from "../scripts/package.ts"
import { binary, ecrelay, standInEnvironment, temporaryFolder } from "./support/binary.ts"

const target = process.arch === "arm64" ? "linux-arm64" : "linux-x64"
const dpkg = process.platform === "linux" ? Bun.which("dpkg") : null
if (!dpkg) console.warn("skipped: the .deb: dpkg is not there")

let folder: string
const plan = async (version: string) =>
  ({ binary: await binary(), version, target, folder, effort: 0 }) as const

beforeAll(async () => {
  folder = await temporaryFolder()
  await binary()
}, 60_000)

describe.skipIf(!dpkg)("the .deb", () => {
  /** An empty root with dpkg's own files, and dpkg on it. */
  async function machine() {
    const root = await temporaryFolder()
    const admin = join(root, "var/lib/dpkg")
    for (const one of ["info", "updates", "triggers"]) await mkdir(join(admin, one), { recursive: true })
    // What it depends on is this machine's business, not the package's.
    const libc =
      "Package: libc6\nStatus: install ok installed\nArchitecture: all\nMulti-Arch: foreign\nVersion: 2.99\nMaintainer: nobody\nDescription: libc\n"
    await writeFile(join(admin, "status"), libc)
    await writeFile(join(admin, "available"), "")
    const run = (...argv: readonly string[]) => {
      const child = Bun.spawnSync(
        [
          dpkg as string,
          `--root=${root}`,
          "--force-not-root",
          "--force-script-chrootless",
          "--log=/dev/null",
          ...argv,
        ],
        { env: { PATH: `${process.env.PATH}:/usr/sbin:/sbin` } },
      )
      if (!child.success) throw new Error(child.stderr.toString())
      return child.stdout.toString()
    }
    const files = async () =>
      (await readdir(root, { recursive: true, withFileTypes: true }))
        .filter((entry) => !entry.isDirectory() && !entry.parentPath.startsWith(admin))
        .map((entry) => join(entry.parentPath, entry.name).slice(root.length))
        .sort()
    return { root, run, files }
  }

  test("is installed, runs, keeps a changed config through an upgrade, and leaves nothing but that", async () => {
    const { root, run, files } = await machine()
    run("--install", await packageDebian(await plan("0.1.0")))
    expect(await files()).toEqual([
      "/etc/ecrelay/config.toml",
      "/usr/bin/ecrelay",
      "/usr/lib/systemd/system/ecrelay-refresh.service",
      "/usr/lib/systemd/system/ecrelay-refresh.timer",
      "/usr/lib/systemd/system/ecrelay.service",
      "/usr/share/doc/ecrelay/CHANGELOG.md",
      "/usr/share/doc/ecrelay/README.md",
      "/usr/share/doc/ecrelay/copyright",
    ])
    expect((await stat(join(root, "etc/ecrelay/credentials"))).mode & 0o7777).toBe(0o700)
    const aws = startAws()
    const home = await temporaryFolder()
    const config = join(root, "etc/ecrelay/config.toml")
    const mine = (await readFile(config, "utf8")).replaceAll(/^# (?=\[\[|type|region)/gm, "")
    await writeFile(config, mine)
    const child = Bun.spawn([join(root, "usr/bin/ecrelay"), "refresh", "--config", config], {
      env: { HOME: home, ...standInEnvironment(aws.url) },
    })
    expect(await new Response(child.stdout).text()).toStartWith("delivered")
    await aws.stop()
    run("--install", await packageDebian(await plan("0.2.0")))
    expect(run("--status", "ecrelay")).toContain("Version: 0.2.0")
    expect(await readFile(config, "utf8")).toBe(mine)
    run("--remove", "ecrelay")
    expect(await files()).toEqual(["/etc/ecrelay/config.toml"])
    run("--purge", "ecrelay")
    expect(await files()).toEqual([])
  }, 120_000)

  test("holds what it says, to the byte", async () => {
    const { root, run } = await machine()
    run("--install", await packageDebian(await plan("0.1.0")))
    expect(run("--verify", "ecrelay")).toBe("")
    for (const { name, text } of packagedUnits())
      expect(await readFile(join(root, "usr/lib/systemd/system", name), "utf8")).toBe(text)
  }, 120_000)
})

test("the units of the package read the file of the package, whatever lies in root's home", () => {
  const starts = packagedUnits().flatMap(({ text }) => text.match(/^ExecStart=.*$/gm) ?? [])
  expect(starts).toEqual([
    expect.stringContaining("/usr/bin/ecrelay --config /etc/ecrelay/config.toml run"),
    expect.stringContaining("/usr/bin/ecrelay --config /etc/ecrelay/config.toml refresh"),
  ])
})

test("the config of the package, as it comes, is refused in words", async () => {
  const file = join(import.meta.dir, "../scripts/debian/config.toml")
  const { error, code } = await ecrelay(["refresh", "--config", file], { env: { AWS_REGION: "eu-west-1" } })
  expect({ error, code }).toEqual({
    error:
      "ecrelay: no sink: say where to deliver, such as --sink docker-config (`ecrelay sinks` lists them)\n",
    code: 2,
  })
})

test("the tarball holds the same, under one folder", async () => {
  const file = await packageTarball({ ...(await plan("0.1.0")), effort: 1 })
  const listed = Bun.spawnSync(["tar", "--list", "--verbose", "--file", file]).stdout.toString()
  expect(listed).toMatch(/^-rwxr-xr-x 0\/0 .* ecrelay-0\.1\.0-linux-\w+\/usr\/bin\/ecrelay$/m)
  expect(listed.split("\n").filter((line) => line && !line.includes(` ecrelay-0.1.0-${target}/`))).toEqual([])
}, 60_000)
