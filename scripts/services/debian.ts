// Debian's packages, downloaded and unpacked into the cache beside the system: nothing is installed, no file of the
// machine's apt or dpkg is written, no root is needed. Uses the archive that the machine's own apt is set up for.
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { cached, exists } from "./cache.ts"
import { run, thrice, Unavailable } from "./command.ts"
import type { Ground } from "./ground.ts"
import { sourcesOf } from "./sources.ts"

// Only the scripts that install a package use these, and none of those is run here.
const NOT_NEEDED =
  "adduser debconf dpkg init-system-helpers lsb-base media-types mysql-common netbase openssl passwd perl perl-base postgresql-common sensible-utils tar ucf"

/** Unpacked packages, and how to run what is in them. */
export type Tree = {
  /** The folder that stands for `/`. */
  readonly root: string
  /** The command that runs a program of the tree on the tree's own C library, by its path below `root`. */
  program(path: string): readonly string[]
}

/** The release to take packages from: the machine's own, or `unstable` from the same archive. */
type Release = "own" | "unstable"

/** Downloads packages with all that they depend on, and unpacks them; from the cache where it has them. */
export async function unpackPackages(
  ground: Ground,
  release: Release,
  packages: readonly string[],
): Promise<Tree> {
  const system = await readSystem()
  const suite = release === "own" ? system.codename : release
  const name = `${system.id}-${suite}-${process.arch}-${packages.join("+")}`
  const root = await cached(ground.cache, name, async (folder) => {
    const apt = await prepareApt(ground, folder, release, system)
    await thrice(`${packages.join(" and ")} from Debian ${suite}`, ground.signal, () =>
      apt.download(packages),
    )
    for (const file of await readdir(apt.archives)) {
      if (file.endsWith(".deb")) await run(["dpkg-deb", "-x", join(apt.archives, file), folder], ground)
    }
    await rm(apt.folder, { recursive: true })
  })
  return openTree(root)
}

async function openTree(root: string): Promise<Tree> {
  const libraries: string[] = []
  let loader: string | undefined
  for (const folder of ["lib", "usr/lib"]) {
    for (const entry of await readdir(join(root, folder)).catch(() => [])) {
      if (!entry.includes("-linux-gnu")) continue
      const path = join(root, folder, entry)
      libraries.push(path)
      const found = (await readdir(path)).find((file) => /^ld-linux.*\.so\.\d$/.test(file))
      if (found) loader = join(path, found)
    }
  }
  const start = loader && [loader, "--library-path", libraries.join(":")]
  return {
    root,
    program(path) {
      if (!start) throw new Error(`${root} has no program loader`)
      return [...start, join(root, path)]
    },
  }
}

type System = { readonly id: string; readonly codename: string }

async function readSystem(): Promise<System> {
  const text = await readFile("/etc/os-release", "utf8").catch(() => "")
  const field = (name: string) => text.match(new RegExp(`^${name}="?([^"\n]*)`, "m"))?.[1]
  const [id, codename] = [field("ID"), field("VERSION_CODENAME")]
  if (!id || !codename || !(await exists("/usr/bin/apt-get"))) throw new Unavailable("this is no Debian")
  return { id, codename }
}

type Apt = {
  readonly folder: string
  readonly archives: string
  download(packages: readonly string[]): Promise<void>
}

/** An apt with a state of its own. What the machine's administrator set for downloads (proxies, logins) is kept. */
async function prepareApt(ground: Ground, parent: string, release: Release, system: System): Promise<Apt> {
  const folder = join(parent, ".apt")
  const archives = join(folder, "archives")
  for (const needed of ["sources", "lists/partial", "archives/partial"]) {
    await mkdir(join(folder, needed), { recursive: true })
  }
  await writeFile(join(folder, "sources", "debian.sources"), await sourcesOf(release, system.codename))
  await writeFile(join(folder, "status"), NOT_NEEDED.split(" ").map(present).join("\n"))
  const env = { ...process.env, APT_CONFIG: join(folder, "apt.conf"), DEBIAN_FRONTEND: "noninteractive" }
  const machine = await run(["apt-config", "dump", "Acquire"], ground)
  const downloads = machine.split("\n").filter((line) => /^Acquire::(https?|Retries|ForceIPv.)\b/.test(line))
  await writeFile(env.APT_CONFIG, [...downloads, ...settingsIn(folder, release)].join("\n"))
  const apt = (...args: string[]) => run(["apt-get", "--quiet", "--yes", ...args], { ...ground, env })
  return {
    folder,
    archives,
    async download(packages) {
      await apt("--error-on=any", "update")
      await apt("--no-install-recommends", "--download-only", "install", ...packages)
    },
  }
}

function settingsIn(folder: string, release: Release): readonly string[] {
  const settings = {
    "Dir::Etc::Main": "/dev/null",
    "Dir::Etc::Parts": "/dev/null",
    "Dir::Etc::Preferences": "/dev/null",
    "Dir::Etc::PreferencesParts": "/dev/null",
    "Dir::Etc::SourceList": "/dev/null",
    "Dir::Etc::SourceParts": join(folder, "sources"),
    "Dir::State": folder,
    "Dir::State::Lists": join(folder, "lists"),
    "Dir::State::status": join(folder, "status"),
    "Dir::Cache": folder,
    "Dir::Log": folder,
    // As root, apt would download as an account that cannot write here.
    "APT::Sandbox::User": "root",
    "Acquire::Languages": "none",
    // Mirrors hold an unstable that is weeks old; its signature is checked all the same.
    "Acquire::Check-Valid-Until": release === "unstable" ? "false" : "true",
  }
  return Object.entries(settings).map(([key, value]) => `${key} "${value}";`)
}

function present(name: string): string {
  const lines = [
    `Package: ${name}`,
    "Status: install ok installed",
    "Architecture: all",
    "Multi-Arch: allowed",
  ]
  return `${lines.join("\n")}\nVersion: 999\nMaintainer: nobody\nDescription: not needed here\n`
}
