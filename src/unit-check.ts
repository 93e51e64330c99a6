// `ecrelay check` as a unit would run it: by its user, with its variables, and by systemd itself where that runs.
import { spawn } from "node:child_process"
import { access, readFile } from "node:fs/promises"
import { dirname } from "node:path"
import type { Environment } from "./environment.ts"
import { INSTALLING } from "./settings.ts"
import type { UnitOptions } from "./units.ts"
import type { UnixUser } from "./unix-user.ts"

/** What the unit is given. */
export type UnitToCheck = {
  readonly program: string
  /** The text of its service. */
  readonly service: string
  /** The config file. */
  readonly config: string
  readonly carried: Environment
  readonly environmentFile: string
  readonly user: UnixUser
  readonly manager: UnitOptions["manager"]
}

/** Runs it with this process's own output; returns its exit code. */
export async function checkAsUnit(unit: UnitToCheck, ownUid: number | undefined): Promise<number> {
  const argv = [unit.program, "check", "--config", unit.config]
  const { user, manager, carried } = unit
  const own = { HOME: user.home, USER: user.name, LOGNAME: user.name, PATH: SYSTEM_PATH }
  const env = { ...own, ...carried, [INSTALLING]: "1" }
  const booted = await access("/run/systemd/system").then(
    () => true,
    () => false,
  )
  if (booted && manager.kind === "system") return run([...transientUnit(unit, env), ...argv], {})
  const credentials = { CREDENTIALS_DIRECTORY: `${dirname(unit.environmentFile)}/credentials` }
  const whole = { ...env, ...credentials, ...(await variablesIn(unit.environmentFile)) }
  const asUser = user.uid === ownUid ? [] : ["runuser", "-u", user.name, "--"]
  return run([...asUser, ...argv], whole)
}

const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Lines about how the process is started and kept; all others hold for the check as well.
const NOT_FOR_A_CHECK = /^(Type|Exec\w+|Restart\w*|WatchdogSec|SuccessExitStatus|Environment)=/

function transientUnit({ service }: UnitToCheck, env: Environment): readonly string[] {
  const [, section = ""] = /^\[Service\]$(.*?)(?:^\[|$(?![\s\S]))/ms.exec(service) ?? []
  const properties = section.split("\n").filter((line) => /^\w+=/.test(line) && !NOT_FOR_A_CHECK.test(line))
  return [
    "systemd-run",
    "--quiet",
    "--pipe",
    "--wait",
    "--collect",
    // A percent sign is doubled in unit files alone.
    ...properties.map((property) => `--property=${property.replaceAll("%%", "%")}`),
    ...Object.entries(env).map(([name, value]) => `--setenv=${name}=${value}`),
    "--",
  ]
}

async function variablesIn(path: string): Promise<Environment> {
  const text = await readFile(path, "utf8").catch(() => "")
  const lines = text.matchAll(/^([A-Za-z_]\w*)=(["']?)(.*)\2$/gm)
  return Object.fromEntries([...lines].map(([, name, , value]) => [name, value]))
}

function run([command = "", ...argv]: readonly string[], env: Environment): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, argv, {
      env: { PATH: SYSTEM_PATH, ...env },
      stdio: ["ignore", "inherit", "inherit"],
    })
    child.on("error", reject)
    child.on("close", (code) => resolve(code ?? 1))
  })
}
