// `ecrelay install systemd`: writes the units of a service, says what they will not see of the person who installs
// them, and tries the configuration as the unit will see it. Nothing is written over that was not written here.
import { access } from "node:fs/promises"
import { basename, resolve } from "node:path"
import type { Environment } from "../aws.ts"
import type { Config } from "../config.ts"
import { loadConfigFile } from "../config-file.ts"
import { ConfigError } from "../errors.ts"
import { type InstalledFile, installFiles, sealed } from "../installed-file.ts"
import { readSettings, readSwitch } from "../reading.ts"
import { namesBehind } from "../reference.ts"
import { loadConfig, type World } from "../session.ts"
import { type Given, settingsFromEnvironment } from "../settings.ts"
import { refuseStdout, UNREAD_STDOUT } from "../stdout.ts"
import { checkAsUnit } from "../unit-check.ts"
import { carriedEnvironment, credentialNotes, profileNotes, variableNotes } from "../unit-environment.ts"
import { unitFolders } from "../unit-folders.ts"
import { formatUnits, type UnitOptions } from "../units.ts"
import { loadUnixUser, type UnixUser } from "../unix-user.ts"
import { formatConfig } from "./config.ts"

/** What is to be installed. */
type Order = {
  readonly name: string
  readonly timer: boolean
  readonly force: boolean
  readonly dryRun: boolean
  readonly manager: UnitOptions["manager"]
  /** Whom the unit runs as. */
  readonly user: UnixUser
}

// Flags that say how to install; the others say what the unit is to do.
const HOW = ["timer", "user", "service_user", "name", "force", "dry_run", "config"]

/** Returns the exit code. Throws a ConfigError. */
export async function install(given: Given, [what]: readonly string[], world: World): Promise<number> {
  if (what !== "systemd")
    throw new ConfigError([
      { path: "install", message: "say what to install; there is `ecrelay install systemd`" },
    ])
  const order = await readOrder(given, world)
  const { user, manager } = order
  const { carried, withheld: own } = carriedEnvironment(world.env)
  const unitWorld = asTheUnitSees(world, user, carried)
  const config = await loadConfig(given, unitWorld)
  refuseStdout(config.sinks, UNREAD_STDOUT)
  refuseRelative(config)
  const withheld = [
    ...new Set([...own, ...namesBehind("env", textsOf(config)).filter((name) => world.env[name])]),
  ]
  const said = await whatIsSaid(given, unitWorld)
  const configFile = await configFileOf(said, config, order, unitWorld)
  const folder = folderOf(order).config
  const environmentFile = `${folder}/environment`
  const credentials = namesBehind("credential", textsOf(config))
  const { unknown, ...folders } = await unitFolders(config, order, world.stop)
  const units = formatUnits({
    name: order.name,
    // Named even where it is the usual one: what its user has in their home comes before that.
    program: [world.program, "--config", configFile.path],
    timer: order.timer,
    settled: said.settled,
    manager,
    environment: { HOME: user.home, ...carried },
    environmentFile,
    credentials,
    ...folders,
  })
  const files: readonly InstalledFile[] = [
    ...(configFile.text === undefined ? [] : [{ path: configFile.path, text: configFile.text }]),
    ...units.map(({ name, text }) => ({ path: `${folderOf(order).units}/${name}`, text: sealed(text) })),
  ]
  const seen = { env: unitWorld.env, home: user.home }
  const absent = credentialNotes(credentials, `${folder}/credentials`, manager.kind === "system")
  const missing = [
    ...unknown,
    ...absent,
    ...variableNotes({ carried, withheld }, environmentFile),
    ...(await profileNotes(config.principal.profile, world, seen)),
  ]
  if (order.dryRun) {
    for (const { path, text } of files) world.print(`# ${path}\n${text}`)
    // Aside, so that what stands on standard output is the files alone.
    for (const line of missing) world.printError(line)
    return 0
  }
  for (const { path, done } of await installFiles(files, order.force)) world.print(`${done} ${path}`)
  for (const line of missing) world.print(line)
  for (const line of await lingerNotes(order)) world.print(line)
  const unit = {
    program: world.program,
    config: configFile.path,
    environmentFile,
    carried,
    user,
    manager,
    service: units.find(({ name }) => name.endsWith(".service"))?.text ?? "",
  }
  // Without its credentials systemd would not start the check either, and say so in its journal alone.
  const code = absent.length > 0 ? 1 : await checkAsUnit(unit, world.uid)
  world.print(whatNext(order, units[0]?.name ?? "", code))
  return code
}

async function readOrder(given: Given, { env, uid, home, program }: World): Promise<Order> {
  const reading = readSettings(given, settingsFromEnvironment(env), undefined)
  const own = readSwitch(reading, "user")
  const dryRun = readSwitch(reading, "dry_run")
  const name = reading.texts("name")?.texts[0]?.replace(/\.service$/, "") ?? "ecrelay"
  const serviceUser = reading.texts("service_user")?.texts[0]
  const { issues } = reading
  if (!/^[\w:.@-]{1,200}$/.test(name))
    issues.push({ path: "--name", message: "a unit's name holds letters, digits and :_.@- only" })
  if (own && serviceUser !== undefined)
    issues.push({ path: "--service-user", message: "units of your own run as yourself; leave --user out" })
  if (!own && uid !== 0 && !dryRun)
    issues.push({
      path: "install systemd",
      message: "writes the system's units and needs root: use sudo, or --user for units of your own",
    })
  if (/^(bun|deno|node)/.test(basename(program)))
    issues.push({
      path: "install systemd",
      message: "a unit starts the binary: install with that, not from the source",
    })
  const known = await loadUnixUser(serviceUser ?? String(own ? uid : 0))
  // One's own manager starts units with the home that one has now.
  const user = known && own && home ? { ...known, home } : known
  if (!user)
    issues.push({
      path: "--service-user",
      message: `there is no user ${serviceUser}; \`useradd --system ${serviceUser}\` makes one`,
    })
  if (issues.length > 0 || !user) throw new ConfigError(issues)
  return {
    name,
    timer: readSwitch(reading, "timer"),
    force: readSwitch(reading, "force"),
    dryRun,
    manager: own ? { kind: "user" } : { kind: "system", user: user.name },
    user,
  }
}

function folderOf({ manager, user }: Order): { readonly units: string; readonly config: string } {
  return manager.kind === "system"
    ? { units: "/etc/systemd/system", config: "/etc/ecrelay" }
    : { units: `${user.home}/.config/systemd/user`, config: `${user.home}/.config/ecrelay` }
}

// Our own variables count here, since what they say goes into the config file.
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
  order: Order,
  world: World,
): Promise<{ readonly path: string; readonly text?: string }> {
  if (!byFlag && existing) return { path: existing }
  // Written down, its default would be somebody's word the next time.
  const timeoutMs = settled.includes("timeout") ? config.timeoutMs : undefined
  const { text, notes } = await formatConfig({ ...config, timeoutMs }, world)
  const folder = folderOf(order).config
  if (notes.length > 0)
    throw new ConfigError(
      notes.map(({ path, variable }) => ({
        path: "install systemd",
        message: `${path} may hold a secret and is not written into a file that others read: give env:${variable} in its place and put the variable into ${folder}/environment, or give file:PATH, or credential:NAME, which the unit takes from ${folder}/credentials/NAME`,
      })),
    )
  const file = order.name === "ecrelay" ? "config.toml" : `${order.name}.toml`
  return { path: `${folder}/${file}`, text }
}

// A unit starts in /, and not where its file was written.
function refuseRelative({ sinks }: Config): void {
  const issues = sinks.flatMap(({ origin, options: { path } }) =>
    typeof path === "string" && !/^(\/|~)/.test(path)
      ? [{ path: `${origin}, path`, message: `a unit runs in /: write ${resolve(path)}` }]
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
async function lingerNotes({ manager, user }: Order): Promise<readonly string[]> {
  if (manager.kind === "system") return []
  return access(`/var/lib/systemd/linger/${user.name}`).then(
    () => [],
    () => [
      `units of your own run only while you are logged in; \`sudo loginctl enable-linger ${user.name}\` has them run from boot on`,
    ],
  )
}

function whatNext({ manager }: Order, unit: string, code: number): string {
  const systemctl = manager.kind === "system" ? "systemctl" : "systemctl --user"
  const enable = `${systemctl} daemon-reload && ${systemctl} enable --now ${unit}`
  return code === 0 ? `next: ${enable}` : `mend what is wrong above; then: ${enable}`
}
