// What makes and runs binaries for other machines than this one: the runtime that goes into them, and, unpacked beside the
// system, an emulator for arm64 and musl's loader with a C++ library that was built on musl. `command` takes a binary and its
// arguments.
import { readdir, rm, symlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import type { Target } from "../build.ts"
import { cached } from "./cache.ts"
import { run, thrice, Unavailable, writeLauncher } from "./command.ts"
import { unpackPackages } from "./debian.ts"
import type { Ground } from "./ground.ts"

/** Provides Debian's emulator of arm64 with arm64's own C and C++ libraries. */
export async function provideArm64(ground: Ground) {
  refuseOtherMachines()
  await fetchRuntime(ground, "linux-arm64")
  const tree = await unpackPackages(ground, "own", [
    "qemu-user",
    "libc6-arm64-cross",
    "libstdc++6-arm64-cross",
  ])
  const command = [...tree.program("usr/bin/qemu-aarch64"), "-L", join(tree.root, "usr/aarch64-linux-gnu")]
  return { command: await writeLauncher(join(ground.folder, "arm64"), command) }
}

// A package for musl brings its C++ library along: one of the smallest that does.
const WITH_CXX_LIBRARY = "greenlet==3.5.6"

/** Provides musl from Debian unstable, the stable one being too old for the runtime; `pip` fetches from PyPI. */
export async function provideMusl(ground: Ground, pip: string) {
  refuseOtherMachines()
  await fetchRuntime(ground, "linux-x64-musl")
  const { root } = await unpackPackages(ground, "unstable", ["musl"])
  const libraries = await cached(ground.cache, `musl-cxx-${WITH_CXX_LIBRARY}`, async (folder) => {
    const packages = join(folder, "packages")
    const platform = ["--platform=musllinux_1_2_x86_64", "--implementation=cp", "--python-version=3.12"]
    const install = ["install", "--quiet", "--only-binary=:all:", "--no-deps", ...platform]
    await thrice(`${WITH_CXX_LIBRARY} from PyPI`, ground.signal, () =>
      run([pip, ...install, `--target=${packages}`, WITH_CXX_LIBRARY], ground),
    )
    // Under the names by which they ask for each other, and under those by which everybody else does.
    for (const path of await readdir(packages, { recursive: true })) {
      const [name, stem, version] = /[^/]+$/.exec(path)?.[0].match(/^(.+)-[0-9a-f]+(\.so\.\d+)[\d.]*$/) ?? []
      for (const link of name ? [name, `${stem}${version}`] : [])
        await symlink(join("packages", path), join(folder, link))
    }
  })
  const loader = join(root, "usr/lib/x86_64-linux-musl/libc.so")
  return {
    command: await writeLauncher(join(ground.folder, "musl"), [loader, "--library-path", libraries]),
  }
}

function refuseOtherMachines(): void {
  const machine = `${process.platform} ${process.arch}`
  if (machine !== "linux x64") throw new Unavailable(`what is for linux x64 does not run on ${machine}`)
}

// A build fetches it by itself, once, and keeps it: with a program in which nothing else can fail.
async function fetchRuntime(ground: Ground, target: Target): Promise<void> {
  const source = join(ground.folder, `${target}.ts`)
  const outfile = join(ground.folder, target)
  await writeFile(source, "")
  await thrice(`Bun for ${target} from npm`, ground.signal, async () => {
    const { success, logs } = await Bun.build({
      entrypoints: [source],
      compile: { target: `bun-${target}`, outfile },
    })
    if (!success) throw new AggregateError(logs, logs.join("\n"))
  })
  await rm(outfile)
}
