// `ecrelay install systemd`: writes the units of a service, says what they will not see of the person who installs
// them, and tries the configuration as the unit will see it. Nothing is written over that was not written here.
import { access } from "node:fs/promises"
import { resolve } from "node:path"
import type { Config } from "../config.ts"
import { loadConfigFile } from "../config-file.ts"
import type { Environment } from "../environment.ts"
import { ConfigError } from "../errors.ts"
import { folderOf, type InstallOrder, readOrder } from "../install-order.ts"
import { type InstalledFile, installFiles, sealed } from "../installed-file.ts"
import { namesBehind } from "../reference.ts"
import { loadConfig, type World } from "../session.ts"
import { type Given, settingsFromEnvironment } from "../settings.ts"
import { refuseStdout, UNREAD_STDOUT } from "../stdout.ts"
import { checkAsUnit, type UnitToCheck } from "../unit-check.ts"
import { carriedEnvironment, credentialNotes, profileNotes, variableNotes } from "../unit-environment.ts"
import { unitFolders } from "../unit-folders.ts"
import { formatUnits } from "../units.ts"
import type { UnixUser } from "../unix-user.ts"
import { formatConfig } from "./config.ts"

// Flags that say how to install; the others say what the unit is to do.
const HOW = ["timer", "user", "service_user", "name", "force", "dry_run", "config"]

/** What an installation comes to, before anything is written. */
type Installation = {
  readonly files: readonly InstalledFile[]
  readonly unit: UnitToCheck
  /** The unit to enable: the timer, or the service. */
  readonly enabled: string
  /** What the unit will not see of the person who installs it, or lacks: a line each. */
  readonly notes: readonly string[]
  /** Whether credentials are missing, without which systemd does not start the unit. */
  readonly lacksCredentials: boolean
}

/** Returns the exit code. Throws a ConfigError. */
export async function install(given: Given, [what]: readonly string[], world: World): Promise<number> {
  if (what !== "systemd")
    throw new ConfigError([{ path: "install", message: "say what to install: `ecrelay install systemd`" }])
  const order = await readOrder(given, world)
  const { files, unit, enabled, notes, lacksCredentials } = await planInstallation(given, order, world)
  if (order.dryRun) {
    for (const { path, text } of files) world.print(`# ${path}\n${text}`)
    // On standard error, so that standard output holds the files alone.
    for (const line of notes) world.printError(line)
    return 0
  }
  for (const { path, done } of await installFiles(files, order.force)) world.print(`${done} ${path}`)
  for (const line of [...notes, ...(await lingerNotes(order))]) world.print(line)
  // Without its credentials systemd would not start the check either, and say so in its journal alone.
  const code = lacksCredentials ? 1 : await checkAsUnit(unit, world.uid)
  world.print(whatNext(order, enabled, code))
  return code
}

async function planInstallation(given: Given, order: InstallOrder, world: World): Promise<Installation> {
  const { name, timer, user, manager } = order
  const { carried, withheld: own } = carriedEnvironment(world.env)
  const unitWorld = asTheUnitSees(world, user, carried)
  const config = await loadConfig(given, unitWorld)
  refuseStdout(config.sinks, UNREAD_STDOUT)
  refuseRelative(config)
  const said = await whatIsSaid(given, unitWorld)
  const configFile = await configFileOf(said, config, order, unitWorld)
  const { config: folder, units: unitFolder } = folderOf(order)
  const environmentFile = `${folder}/environment`
  const credentials = namesBehind("credential", textsOf(config))
  const { unknown, ...folders } = await unitFolders(config, order, world.stop)
  const units = formatUnits({
    name,
    // Named even where it is the usual one: what its user has in their home comes before that.
    program: [world.program, "--config", configFile.path],
    timer,
    settled: said.settled,
    manager,
    environment: { HOME: user.home, ...carried },
    environmentFile,
    credentials,
    ...folders,
  })
  const referred = namesBehind("env", textsOf(config)).filter((variable) => world.env[variable])
  const withheld = [...new Set([...own, ...referred])]
  const absent = credentialNotes(credentials, `${folder}/credentials`, manager.kind === "system")
  return {
    files: [
      ...(configFile.text === undefined ? [] : [{ path: configFile.path, text: configFile.text }]),
      ...units.map((unit) => ({ path: `${unitFolder}/${unit.name}`, text: sealed(unit.text) })),
    ],
    unit: {
      program: world.program,
      service: units.find((unit) => unit.name.endsWith(".service"))?.text ?? "",
      config: configFile.path,
      carried,
      environmentFile,
      user,
      manager,
    },
    enabled: units[0]?.name ?? "",
    notes: [
      ...unknown,
      ...absent,
      ...variableNotes({ carried, withheld }, environmentFile),
      ...(await profileNotes(config.principal.profile, world, { env: unitWorld.env, home: user.home })),
    ],
    lacksCredentials: absent.length > 0,
  }
}

// Of ecrelay's own variables too, since what they say goes into the config file.
function asTheUnitSees(world: World, user: UnixUser, carried: Environment): World {
  const ours = Object.entries(world.env).filter(([name]) => name.startsWith("ECRELAY_"))
  const env = { PATH: world.env.PATH, ...Object.fromEntries(ours), HOME: user.home, ...carried }
  return { ...world, env, home: user.home, uid: user.uid }
}

/** What a person says of the work, and not of how to install it. */
type Said = {
  /** Whether flags or variables say anything. */
  readonly byFlag: boolean
  /** The config file that is there. */
  readonly file: string | undefined
  /** The settings that any of the three give. */
  readonly settled: readonly string[]
}

async function whatIsSaid(given: Given, { env, stop }: World): Promise<Said> {
  const variables = settingsFromEnvironment(env)
  const named = (given.get("config") ?? variables.get("config"))?.texts[0]
  const file = await loadConfigFile(named, env, stop)
  const keys = [...given.keys(), ...variables.keys()].filter((key) => !HOW.includes(key))
  return {
    byFlag: keys.length > 0,
    file: file && resolve(file.path),
    settled: [...keys, ...Object.keys(file?.tables ?? {})],
  }
}

/** The file that the unit is to read, and its text where it is yet to be written. */
async function configFileOf(
  { byFlag, file: existing, settled }: Said,
  config: Config,
  order: InstallOrder,
  world: World,
): Promise<{ readonly path: string; readonly text?: string }> {
  if (!byFlag && existing) return { path: existing }
  // A default that was written down would count as given the next time.
  const timeoutMs = settled.includes("timeout") ? config.timeoutMs : undefined
  const { text, notes } = await formatConfig({ ...config, timeoutMs }, world)
  const folder = folderOf(order).config
  if (notes.length > 0)
    throw new ConfigError(
      notes.map(({ path, variable }) => ({
        path: "install systemd",
        message: `${path} may hold a secret and is not written into a file that others can read: write env:${variable} instead and put the variable into ${folder}/environment, or write file:PATH, or credential:NAME, which the unit loads from ${folder}/credentials/NAME`,
      })),
    )
  const file = order.name === "ecrelay" ? "config.toml" : `${order.name}.toml`
  return { path: `${folder}/${file}`, text }
}

// A unit starts in /, and not where its file was written.
function refuseRelative({ sinks }: Config): void {
  const issues = sinks.flatMap(({ origin, options: { path } }) =>
    typeof path === "string" && !/^(\/|~)/.test(path)
      ? [{ path: `${origin}, path`, message: `a unit runs in /, so give the full path: ${resolve(path)}` }]
      : [],
  )
  if (issues.length > 0) throw new ConfigError(issues)
}

// All that may refer to a secret.
function textsOf({ sinks, airflow }: Config): readonly string[] {
  return [...sinks.flatMap(({ options }) => Object.values(options)), ...Object.values(airflow)]
    .flat()
    .map(String)
}

// A person's manager comes and goes with them.
async function lingerNotes({ manager, user }: InstallOrder): Promise<readonly string[]> {
  if (manager.kind === "system") return []
  return access(`/var/lib/systemd/linger/${user.name}`).then(
    () => [],
    () => [
      `user units run only while you are logged in; \`sudo loginctl enable-linger ${user.name}\` keeps them running from boot on`,
    ],
  )
}

function whatNext({ manager }: InstallOrder, enabled: string, code: number): string {
  const systemctl = manager.kind === "system" ? "systemctl" : "systemctl --user"
  const enable = `${systemctl} daemon-reload && ${systemctl} enable --now ${enabled}`
  return code === 0 ? `next: ${enable}` : `fix what is wrong above, then: ${enable}`
}
