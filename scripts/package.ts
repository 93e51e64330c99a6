// Packages: a .deb with the binary, its units and an example config, and a tarball of the same for everybody else.
// `bun run package [TARGET…]`; checksums beside them. Nothing is built that the binary's own build does not give.
import { createHash } from "node:crypto"
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { formatUnits, type UnitOptions } from "../src/units.ts"
import { build, type Target, writeChecksums } from "./build.ts"

const ROOT = join(import.meta.dir, "..")

// dpkg's words for the processors that a package is for.
const ARCHITECTURES = { "linux-x64": "amd64", "linux-arm64": "arm64" } as const
type PackagedTarget = keyof typeof ARCHITECTURES

const CONFIG = "/etc/ecrelay/config.toml"

/** What goes into a package. */
export type PackagePlan = {
  readonly binary: string
  /** Such as `0.1.0`. */
  readonly version: string
  readonly target: PackagedTarget
  /** The folder to put it into. */
  readonly folder: string
  /** How hard to compress, from 0, not at all, to 9. */
  readonly effort: number
}

/** The units of a package: where they write is up to a configuration that is yet to come. */
export function packagedUnits(): ReturnType<typeof formatUnits> {
  const options: Omit<UnitOptions, "name" | "timer"> = {
    program: ["/usr/bin/ecrelay", "--config", CONFIG],
    settled: [],
    manager: { kind: "system", user: "root" },
    // No LoadCredential=: of a whole folder systemd 249 and before take none, later ones only one that is there, and they
    // put a name before each file's.
    environment: { HOME: "/root", CREDENTIALS_DIRECTORY: "/etc/ecrelay/credentials" },
    environmentFile: "/etc/ecrelay/environment",
    credentials: [],
    writable: "unknown",
  }
  return [
    ...formatUnits({ ...options, name: "ecrelay", timer: false }),
    ...formatUnits({ ...options, name: "ecrelay-refresh", timer: true }),
  ]
}

/** Makes the .deb and returns its path. */
export async function packageDebian(plan: PackagePlan): Promise<string> {
  const architecture = ARCHITECTURES[plan.target]
  const file = join(plan.folder, `ecrelay_${plan.version}_${architecture}.deb`)
  await inTemporaryFolder(async (tree) => {
    await layOut(tree, plan)
    const control = join(tree, "DEBIAN")
    await put(join(control, "control"), controlOf(plan.version, architecture, await sizeOf(tree)))
    await put(join(control, "conffiles"), `${CONFIG}\n`)
    await put(join(control, "md5sums"), await md5sums(tree))
    for (const [name, text] of Object.entries(SCRIPTS))
      await put(join(control, name), `#!/bin/sh\nset -e\n${text}`, 0o755)
    const compress = plan.effort === 0 ? ["-Znone"] : ["-Zxz", `-z${plan.effort}`]
    await run(["dpkg-deb", "--root-owner-group", ...compress, "--build", tree, file])
  })
  return file
}

/** Makes the tarball and returns its path. */
export async function packageTarball(plan: PackagePlan): Promise<string> {
  const name = `ecrelay-${plan.version}-${plan.target}`
  const file = join(plan.folder, `${name}.tar.gz`)
  await inTemporaryFolder(async (folder) => {
    await layOut(join(folder, name), plan)
    const owner = ["--owner=0", "--group=0", "--numeric-owner", "--sort=name"]
    await run([
      "tar",
      "--create",
      `--use-compress-program=gzip -${plan.effort || 1}`,
      ...owner,
      "--file",
      file,
      "-C",
      folder,
      name,
    ])
  })
  return file
}

async function layOut(tree: string, { binary }: PackagePlan): Promise<void> {
  await mkdir(join(tree, "usr/bin"), { recursive: true })
  await cp(binary, join(tree, "usr/bin/ecrelay"))
  await chmod(join(tree, "usr/bin/ecrelay"), 0o755)
  for (const { name, text } of packagedUnits()) await put(join(tree, "usr/lib/systemd/system", name), text)
  await put(join(tree, CONFIG), await readFile(join(ROOT, "scripts/debian/config.toml"), "utf8"))
  await mkdir(join(tree, "etc/ecrelay/credentials"), { mode: 0o700 })
  const documents = join(tree, "usr/share/doc/ecrelay")
  await put(join(documents, "copyright"), await readFile(join(ROOT, "LICENSE"), "utf8"))
  for (const name of ["README.md", "CHANGELOG.md"])
    await put(join(documents, name), await readFile(join(ROOT, name), "utf8"))
}

function controlOf(version: string, architecture: string, installedKib: number): string {
  return [
    "Package: ecrelay",
    `Version: ${version}`,
    `Architecture: ${architecture}`,
    "Maintainer: The ecrelay project <ecrelay@localhost>",
    `Installed-Size: ${installedKib}`,
    "Depends: libc6 (>= 2.28)",
    "Recommends: ca-certificates",
    "Section: admin",
    "Priority: optional",
    "Description: keeps Amazon ECR logins fresh wherever something pulls images",
    " One call to AWS per identity and region, and the decoded login goes to docker's",
    " config, Airflow's connections and other places, before the old one expires.",
    "",
  ].join("\n")
}

// A package that is unpacked into another root, as for an image, has no running systemd to tell.
const WITH_SYSTEMD = '[ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]'

const SCRIPTS = {
  // A new binary takes over where the old one was running; what was not running is not started.
  postinst: `if [ "$1" = configure ] && ${WITH_SYSTEMD}; then
  systemctl daemon-reload
  [ -z "$2" ] || systemctl try-restart ecrelay.service || true
fi
`,
  prerm: `if [ "$1" = remove ] && ${WITH_SYSTEMD}; then
  systemctl disable --now ecrelay.service ecrelay-refresh.timer || true
fi
`,
  postrm: `if [ "$1" != upgrade ] && ${WITH_SYSTEMD}; then
  systemctl daemon-reload
fi
`,
}

async function put(path: string, text: string, mode = 0o644): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
  await chmod(path, mode)
}

async function filesIn(tree: string): Promise<readonly string[]> {
  const entries = await readdir(tree, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(tree.length + 1))
    .filter((path) => !path.startsWith("DEBIAN/"))
    .sort()
}

async function sizeOf(tree: string): Promise<number> {
  const sizes = (await filesIn(tree)).map((path) => Bun.file(join(tree, path)).size)
  return Math.ceil(sizes.reduce((sum, size) => sum + size, 0) / 1024)
}

async function md5sums(tree: string): Promise<string> {
  const lines = (await filesIn(tree)).map(async (path) => {
    const sum = createHash("md5")
      .update(await readFile(join(tree, path)))
      .digest("hex")
    return `${sum}  ${path}\n`
  })
  return (await Promise.all(lines)).join("")
}

async function inTemporaryFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "ecrelay-package-"))
  try {
    // What is packed keeps the mode of its folder.
    await chmod(folder, 0o755)
    await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function run(command: readonly string[]): Promise<void> {
  const child = Bun.spawn([...command], { stdin: "ignore", stdout: "ignore", stderr: "pipe" })
  const said = await new Response(child.stderr).text()
  if ((await child.exited) !== 0) throw new Error(`${command[0]} failed: ${said.trim()}`)
}

async function main(words: readonly string[]): Promise<void> {
  const known = Object.keys(ARCHITECTURES)
  const unknown = words.filter((word) => !known.includes(word))
  if (unknown.length > 0) {
    console.error(`no package for ${unknown.join(", ")} (packages: ${known.join(", ")})`)
    process.exit(2)
  }
  const targets = (words.length > 0 ? words : [`linux-${process.arch}`]) as readonly PackagedTarget[]
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"))
  const folder = join(ROOT, "dist")
  await mkdir(folder, { recursive: true })
  for (const target of targets) {
    const binary = await build(target satisfies Target, join(folder, `ecrelay-${target}`))
    const plan = { binary, version, target, folder, effort: 6 }
    console.log((await packageTarball(plan)).slice(ROOT.length + 1))
    if (Bun.which("dpkg-deb")) console.log((await packageDebian(plan)).slice(ROOT.length + 1))
    else console.log("no .deb: dpkg-deb is not there (Debian, Ubuntu: package dpkg)")
  }
  await writeChecksums(folder)
}

if (import.meta.main) await main(process.argv.slice(2))
