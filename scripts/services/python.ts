// Python with the packages of requirements.txt, which lie in the cache: the machine's own, or, where it has none with
// pip, Debian's, unpacked beside the system. And moto on top, an AWS that nobody here wrote.
import { createHash } from "node:crypto"
import { readdir, readFile, writeFile } from "node:fs/promises"
import { get } from "node:http"
import { join } from "node:path"
import { cached, exists } from "./cache.ts"
import { run, succeeds, thrice, Unavailable, writeLauncher } from "./command.ts"
import { unpackPackages } from "./debian.ts"
import type { Ground } from "./ground.ts"
import { freePort, startServer } from "./server.ts"

const REQUIREMENTS = join(import.meta.dir, "requirements.txt")
// The oldest that the pinned packages are built for.
const RECENT_WITH_PIP = "import sys, pip; sys.exit(sys.version_info < (3, 10))"

/**
 * Provides Python. `command` is a program that takes Python's arguments and finds the packages; `pip` and `uv` are those
 * themselves.
 */
export async function providePython(ground: Ground) {
  const python = await findPython(ground)
  const hash = createHash("sha256")
    .update(await readFile(REQUIREMENTS))
    .update(await run([...python.command, "-VV"], { ...ground, env: { ...process.env, ...python.settings } }))
    .digest("hex")
  const pip = await writeLauncher(join(ground.folder, "pip"), python.pip, {
    ...python.pipSettings,
    ...{ PIP_USER: "0", PIP_ROOT_USER_ACTION: "ignore", PIP_DISABLE_PIP_VERSION_CHECK: "1" },
  })
  const packages = await cached(ground.cache, `python-packages-${hash.slice(0, 12)}`, async (folder) => {
    const install = ["install", "--quiet", "--no-input", "--only-binary=:all:", `--target=${folder}`]
    await thrice("moto, cryptography and uv from PyPI", ground.signal, () =>
      run([pip, ...install, `--requirement=${REQUIREMENTS}`], ground),
    )
  })
  const settings = { ...python.settings, PYTHONNOUSERSITE: "1", PYTHONPATH: packages }
  const command = await writeLauncher(join(ground.folder, "python"), python.command, settings)
  return { command, pip, uv: join(packages, "bin/uv") }
}

/** Starts moto's server. `url` is the endpoint of all its services. */
export async function startMoto(ground: Ground, python: string) {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  await startServer(ground, {
    name: "moto",
    command: [python, "-m", "moto.server", "-H", "127.0.0.1", "-p", String(port)],
    stopSignal: "SIGKILL",
    answers: () => new Promise((resolve, reject) => get(`${url}/moto-api/`, resolve).on("error", reject)),
  })
  return { url }
}

type Python = {
  readonly command: readonly string[]
  readonly pip: readonly string[]
  /** Variables that it needs to find its own files, and pip its own. */
  readonly settings: Readonly<Record<string, string>>
  readonly pipSettings: Readonly<Record<string, string>>
}

async function findPython(ground: Ground): Promise<Python> {
  if (await succeeds(["python3", "-c", RECENT_WITH_PIP], ground)) {
    // The program itself, not a shim that may choose another one in another folder.
    const path = await run(["python3", "-c", "import sys; print(sys.executable)"], ground)
    const command = [path.trim()]
    return { command, pip: [...command, "-m", "pip"], settings: {}, pipSettings: {} }
  }
  const { root, program } = await unpackPackages(ground, "own", ["python3-pip"]).catch((error: unknown) => {
    if (!(error instanceof Unavailable)) throw error
    throw new Unavailable(`no python3 of at least 3.10 with pip, and ${error.message}`)
  })
  const name = (await readdir(join(root, "usr/bin"))).find((file) => /^python3\.\d+$/.test(file))
  if (!name) throw new Error(`${root} has no python3`)
  const command = program(`usr/bin/${name}`)
  const settings = { PYTHONHOME: join(root, "usr") }
  return {
    command,
    pip: [...command, "-c", TRUSTING_PIP, await findAuthorities(ground, root)],
    settings,
    pipSettings: { ...settings, PYTHONPATH: join(root, "usr/lib/python3/dist-packages") },
  }
}

// Debian's pip does not even start without the file of authorities that installing `ca-certificates` would have made.
const TRUSTING_PIP = `import runpy, sys
from pip._vendor import certifi
authorities = sys.argv.pop(1)
certifi.where = lambda: authorities
runpy.run_module("pip", run_name="__main__")`

async function findAuthorities(ground: Ground, root: string): Promise<string> {
  const installed = "/etc/ssl/certs/ca-certificates.crt"
  if (await exists(installed)) return installed
  const folder = join(root, "usr/share/ca-certificates/mozilla")
  const files = (await readdir(folder)).map((name) => readFile(join(folder, name), "utf8"))
  const bundle = join(ground.folder, "public-authorities.pem")
  await writeFile(bundle, (await Promise.all(files)).join("\n"))
  return bundle
}
