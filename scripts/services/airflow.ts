// Airflow from PyPI, each release in a virtual environment of its own that uv makes in the cache, with the database file
// that it makes for itself: a test that needs one copies it. Nothing of it runs here; see airflow-server.ts.
import { createHash } from "node:crypto"
import { mkdir, readdir, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import {
  AIRFLOW_FERNET_KEY,
  AIRFLOW_ROLES,
  type AirflowRelease,
  airflowEnvironment,
  passwordOfRole,
} from "./airflow-releases.ts"
import { cached } from "./cache.ts"
import { run, thrice } from "./command.ts"
import type { Ground } from "./ground.ts"

/**
 * Installs a release. `python` is its interpreter, `airflow` its command line (a file for that interpreter), `database`
 * the SQLite file of a fresh installation, without rows in `connection` but for those that it puts there itself.
 */
export async function provideAirflow(ground: Ground, uv: string, release: AirflowRelease) {
  const env = await uvEnvironment(ground)
  const base = await findPython(ground, uv, release.python, env)
  const hash = createHash("sha256")
    .update(JSON.stringify([release, base, CREATE_USERS]))
    .digest("hex")
  const folder = await cached(ground.cache, `airflow-${release.version}-${hash.slice(0, 12)}`, (unfinished) =>
    install(ground, uv, release, { base, env, folder: unfinished }),
  )
  return {
    version: release.version,
    python: join(folder, "bin/python"),
    airflow: join(folder, "bin/airflow"),
    migrate: release.migrate,
    database: join(folder, "home/airflow.db"),
  }
}

type Environment = Readonly<Record<string, string | undefined>>

/** Our environment, with a cache for uv beside ours, and the Pythons that pyenv keeps to itself. */
async function uvEnvironment(ground: Ground): Promise<Environment> {
  const root = await run(["pyenv", "root"], ground).catch(() => "")
  const versions = root && join(root.trim(), "versions")
  const names = versions ? await readdir(versions).catch(() => []) : []
  const path = [...names.map((name) => join(versions, name, "bin")), process.env.PATH].join(":")
  return { ...process.env, PATH: path, UV_CACHE_DIR: join(ground.cache, "uv"), PYTHONPATH: undefined }
}

/** The machine's own interpreter, else one that uv downloads. */
async function findPython(ground: Ground, uv: string, version: string, env: Environment): Promise<string> {
  const find = () => run([uv, "python", "find", "--system", version], { ...ground, env })
  const own = await find().catch(() => undefined)
  if (own) return own.trim()
  return thrice(`Python ${version} by uv`, ground.signal, async () => {
    await run([uv, "python", "install", version], { ...ground, env })
    return (await find()).trim()
  })
}

type Installation = { readonly base: string; readonly env: Environment; readonly folder: string }

async function install(ground: Ground, uv: string, release: AirflowRelease, to: Installation): Promise<void> {
  const { base, folder, env } = to
  const python = join(folder, "bin/python")
  const wishes = ["--quiet", "--exclude-newer", release.asOf, "--python", python]
  await thrice(`Airflow ${release.version} from PyPI`, ground.signal, async () => {
    // Relocatable: the folder gets its name when it is whole.
    await run([uv, "venv", "--quiet", "--clear", "--relocatable", "--python", base, folder], {
      ...ground,
      env,
    })
    // 1.10 asks which of two libraries may be used, one of which is under the GPL.
    const choice = { SLUGIFY_USES_TEXT_UNIDECODE: "yes" }
    await run([uv, "pip", "install", ...wishes, ...release.packages], {
      ...ground,
      env: { ...env, ...choice },
    })
  })
  await replaceMysqlclient(folder)
  await makeDatabase(ground, release, folder)
}

/**
 * Airflow 3 does not start on MySQL without mysqlclient, which has to be compiled, even where the URL names another
 * driver; all that it wants there is to register a type.
 */
async function replaceMysqlclient(folder: string): Promise<void> {
  const [version = ""] = await readdir(join(folder, "lib"))
  const module = join(folder, "lib", version, "site-packages/MySQLdb")
  await mkdir(module)
  await writeFile(join(module, "__init__.py"), "")
  await writeFile(join(module, "converters.py"), "conversions = {}\nDateTime2literal = None\n")
}

async function makeDatabase(ground: Ground, release: AirflowRelease, folder: string): Promise<void> {
  const home = join(folder, "home")
  await mkdir(home)
  const url = `sqlite:///${join(home, "airflow.db")}`
  const env = airflowEnvironment({ ...release, home, url, fernetKey: AIRFLOW_FERNET_KEY })
  const python = join(folder, "bin/python")
  await run([python, join(folder, "bin/airflow"), ...release.migrate.split(" ")], { ...ground, env })
  if (release.keepsUsers) {
    const users = AIRFLOW_ROLES.map((role) => [role, passwordOfRole(role)])
    await run([python, "-c", CREATE_USERS, JSON.stringify(users)], { ...ground, env })
  }
  for (const name of await readdir(home))
    if (!name.startsWith("airflow.db")) await rm(join(home, name), { recursive: true })
}

// The command line makes one user a call, after some seconds of imports, and none of a role that no server has made yet.
const CREATE_USERS = `import json, sys
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
with get_application_builder() as builder:
    builder.add_permissions(update_perms=True)
    builder.sm.sync_roles()
    for name, password in json.loads(sys.argv[1]):
        role = builder.sm.find_role(name.capitalize())
        if not builder.sm.add_user(name, name, name, name + "@example.com", role, password=password):
            sys.exit("no user " + name)
`
