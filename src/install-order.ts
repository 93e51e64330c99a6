// An order to install a service, as flags, variables and the machine say it: under which name, for whom, by whose manager.
// What keeps it from being carried out is found here, all at once.
import { basename } from "node:path"
import { ConfigError } from "./errors.ts"
import { readSettings, readSwitch } from "./reading.ts"
import type { World } from "./session.ts"
import { type Given, settingsFromEnvironment } from "./settings.ts"
import type { UnitOptions } from "./units.ts"
import { loadUnixUser, type UnixUser } from "./unix-user.ts"

/** What is to be installed. */
export type InstallOrder = {
  readonly name: string
  readonly timer: boolean
  readonly force: boolean
  readonly dryRun: boolean
  readonly manager: UnitOptions["manager"]
  /** Whom the unit runs as. */
  readonly user: UnixUser
}

/** Reads the order. Throws a ConfigError. */
export async function readOrder(given: Given, { env, uid, home, program }: World): Promise<InstallOrder> {
  const reading = readSettings(given, settingsFromEnvironment(env), undefined)
  const own = readSwitch(reading, "user")
  const dryRun = readSwitch(reading, "dry_run")
  const timer = readSwitch(reading, "timer")
  const force = readSwitch(reading, "force")
  const name = reading.texts("name")?.texts[0]?.replace(/\.service$/, "") ?? "ecrelay"
  const serviceUser = reading.texts("service_user")?.texts[0]
  const { issues } = reading
  if (!/^[\w:.@-]{1,200}$/.test(name))
    issues.push({ path: "--name", message: "a unit's name may hold only letters, digits and :_.@-" })
  if (own && serviceUser !== undefined)
    issues.push({ path: "--service-user", message: "user units run as yourself; leave --user out" })
  if (!own && uid !== 0 && !dryRun)
    issues.push({
      path: "install systemd",
      message: "writes the system's units and needs root: use sudo, or --user for user units",
    })
  if (/^(bun|deno|node)/.test(basename(program)))
    issues.push({
      path: "install systemd",
      message: "a unit starts the ecrelay binary: install with that, not from source",
    })
  const known = await loadUnixUser(serviceUser ?? String(own ? uid : 0))
  // One's own manager starts units with the home that one has now.
  const user = known && own && home ? { ...known, home } : known
  if (!user)
    issues.push(
      serviceUser === undefined
        ? {
            path: own ? "--user" : "install systemd",
            message: `this machine's user database does not know user ${own ? uid : 0}, whom the units would run as`,
          }
        : {
            path: "--service-user",
            message: `there is no user ${serviceUser}; \`useradd --system ${serviceUser}\` creates one`,
          },
    )
  if (issues.length > 0 || !user) throw new ConfigError(issues)
  return {
    name,
    timer,
    force,
    dryRun,
    manager: own ? { kind: "user" } : { kind: "system", user: user.name },
    user,
  }
}

/** Where the units and the config file of an order belong. */
export function folderOf({ manager, user }: InstallOrder): {
  readonly units: string
  readonly config: string
} {
  return manager.kind === "system"
    ? { units: "/etc/systemd/system", config: "/etc/ecrelay" }
    : { units: `${user.home}/.config/systemd/user`, config: `${user.home}/.config/ecrelay` }
}
