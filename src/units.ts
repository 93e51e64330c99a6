// systemd units for ecrelay: values in, the texts of the files out.
import { dirname } from "node:path"
import { hardening, type UnitNeeds } from "./unit-hardening.ts"
import { quoted, specifierFree } from "./unit-quoting.ts"

/** What the units are for. Paths are absolute. */
export type UnitOptions = UnitNeeds & {
  /** The units' name, such as `ecrelay`. */
  readonly name: string
  /** The program and its common arguments. */
  readonly program: readonly string[]
  /** The settings that the person gave, by their keys: flags of the unit would beat them. */
  readonly settled: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  /** Variables that are kept out of the unit; need not exist. */
  readonly environmentFile: string
  /** Names of `credential:` references. */
  readonly credentials: readonly string[]
}

/** One file: its name and its text. */
export type UnitFile = { readonly name: string; readonly text: string }

// The first line of every unit.
const UNIT_MARK = "# Written by `ecrelay install systemd`"

/** How long `refresh` of a timer's service may take, and what it leaves alone. */
const TIMER_SETTINGS = { min_remaining: ["--min-remaining", "6h"], timeout: ["--timeout", "5m"] }

/** The units, the one to enable first. */
export function formatUnits(options: UnitOptions): readonly UnitFile[] {
  const service = { name: `${options.name}.service`, text: formatService(options) }
  if (!options.timer) return [service]
  return [{ name: `${options.name}.timer`, text: formatTimer(options) }, service]
}

function formatTimer({ name }: UnitOptions): string {
  return [
    `${UNIT_MARK}: checks every hour, and soon after boot, whether a login needs a refresh.`,
    "[Unit]",
    "Description=Refreshes Amazon ECR logins before they expire",
    "",
    "[Timer]",
    `Unit=${name}.service`,
    "OnBootSec=1min",
    "OnCalendar=hourly",
    "# Keeps many machines from asking in the same second.",
    "RandomizedDelaySec=5min",
    "# Makes up for what was missed while the machine was off.",
    "Persistent=true",
    "",
    "[Install]",
    "WantedBy=timers.target",
    "",
  ].join("\n")
}

function formatService(options: UnitOptions): string {
  const { timer, manager } = options
  const sections = [
    unitSection(options),
    ["[Service]", ...(timer ? oneShot(options) : staying(options))],
    ["# What it is given", ...given(options)],
    hardening(options),
    timer
      ? []
      : ["[Install]", `WantedBy=${manager.kind === "system" ? "multi-user.target" : "default.target"}`],
  ]
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")}\n`
}

function unitSection({ timer, manager, settled }: UnitOptions): readonly string[] {
  const due = settled.includes("min_remaining") ? "is due" : "has less than six hours left"
  const what = timer ? `one refresh of what ${due}` : "keeps ECR logins fresh as a service"
  // A user's manager knows nothing of the network.
  const network = ["Wants=network-online.target", "After=network-online.target"]
  return [
    `${UNIT_MARK}: ${what}.`,
    "[Unit]",
    `Description=${timer ? "Refreshes Amazon ECR logins" : "Keeps Amazon ECR logins fresh"}`,
    ...(manager.kind === "system" ? network : []),
  ]
}

function oneShot({ program, settled }: UnitOptions): readonly string[] {
  const own = Object.entries(TIMER_SETTINGS).filter(([key]) => !settled.includes(key))
  const argv = [...program, "refresh", ...own.flatMap(([, flag]) => flag)]
  return ["Type=oneshot", `ExecStart=${commandLine(argv)}`]
}

function staying({ program }: UnitOptions): readonly string[] {
  return [
    "# Ready once every sink that is not optional holds a fresh login. While identity, network or a database are not",
    "# there yet, the start is extended, for at most 15 minutes.",
    "Type=notify",
    `ExecStart=${commandLine([...program, "run"])}`,
    "# Reloads the configuration; a broken one is reported and the old one kept. SIGUSR1 refreshes at once.",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: systemd's own words, which it fills in.
    "ExecReload=/bin/sh -c 'kill -HUP ${MAINPID}'",
    "Restart=on-failure",
    "RestartSec=30",
    "# Trying again does not fix a wrong configuration.",
    "RestartPreventExitStatus=2",
    "# A second SIGTERM ends it at once, and is no failure either.",
    "SuccessExitStatus=143",
    "WatchdogSec=10min",
  ]
}

function given({ manager, environment, environmentFile, credentials }: UnitOptions): readonly string[] {
  const user = manager.kind === "system" ? [`User=${manager.user}`] : []
  return [
    ...user,
    ...Object.entries(environment).map(([name, value]) => `Environment=${quoted(`${name}=${value}`)}`),
    "# Variables that nobody else should see, one NAME=value per line; mode 0600.",
    `EnvironmentFile=-${specifierFree(environmentFile)}`,
    ...credentials.map(
      (name) => `LoadCredential=${name}:${specifierFree(dirname(environmentFile))}/credentials/${name}`,
    ),
  ]
}

/** An ExecStart line: every argument as it is, whatever stands in it. */
function commandLine(argv: readonly string[]): string {
  return argv.map((one) => quoted(one.replaceAll("$", "$$$$"))).join(" ")
}
