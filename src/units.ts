// systemd units for ecrelay: values in, the texts of the files out. Every line that could be there and is not is named
// with its reason, so that whoever hardens further knows what would break.

import { dirname } from "node:path"

/** What the units are for. Paths are absolute. */
export type UnitOptions = {
  /** The units' name, such as `ecrelay`. */
  readonly name: string
  /** The program and its common arguments. */
  readonly program: readonly string[]
  /** A timer that refreshes what is due, instead of a service that stays. */
  readonly timer: boolean
  /** The system's manager, with the account to run as; or the caller's own manager. */
  readonly manager: { readonly kind: "system"; readonly user: string } | { readonly kind: "user" }
  readonly environment: Readonly<Record<string, string>>
  /** Variables that are kept out of the unit; need not exist. */
  readonly environmentFile: string
  /** Names of `credential:` references. */
  readonly credentials: readonly string[]
  /** Folders to write in; `anywhere` where a sink runs what only its owner knows; `unknown` before a configuration. */
  readonly writable: readonly string[] | "anywhere" | "unknown"
}

/** One file: its name and its text. */
export type UnitFile = { readonly name: string; readonly text: string }

// The first line of every unit.
const UNIT_MARK = "# Written by `ecrelay install systemd`"

/** How long `refresh` of a timer's service may take, and what it leaves alone. */
const TIMER_ARGUMENTS = ["refresh", "--min-remaining", "6h", "--timeout", "5m"]

/** The units, the one to enable first. */
export function formatUnits(options: UnitOptions): readonly UnitFile[] {
  const service = { name: `${options.name}.service`, text: formatService(options) }
  if (!options.timer) return [service]
  return [{ name: `${options.name}.timer`, text: formatTimer(options) }, service]
}

function formatTimer({ name }: UnitOptions): string {
  return [
    `${UNIT_MARK}: looks every hour, and soon after boot, whether a login needs a refresh.`,
    "[Unit]",
    "Description=Refreshes Amazon ECR logins before they expire",
    "",
    "[Timer]",
    `Unit=${name}.service`,
    "OnBootSec=1min",
    "OnCalendar=hourly",
    "# Many machines do not ask in the same second.",
    "RandomizedDelaySec=5min",
    "# What was missed while the machine was off is made up for.",
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
    manager.kind === "system" ? systemHardening(options) : userHardening(options),
    timer
      ? []
      : ["[Install]", `WantedBy=${manager.kind === "system" ? "multi-user.target" : "default.target"}`],
  ]
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")}\n`
}

function unitSection({ timer, manager }: UnitOptions): readonly string[] {
  const what = timer
    ? "one refresh of what has less than six hours left"
    : "keeps ECR logins fresh as a service"
  // A user's manager knows nothing of the network.
  const network = ["Wants=network-online.target", "After=network-online.target"]
  return [
    `${UNIT_MARK}: ${what}.`,
    "[Unit]",
    `Description=${timer ? "Refreshes Amazon ECR logins" : "Keeps Amazon ECR logins fresh"}`,
    ...(manager.kind === "system" ? network : []),
  ]
}

function oneShot({ program }: UnitOptions): readonly string[] {
  return ["Type=oneshot", `ExecStart=${commandLine([...program, ...TIMER_ARGUMENTS])}`]
}

function staying({ program }: UnitOptions): readonly string[] {
  return [
    "# Ready once every sink that is not optional holds a fresh login. While identity, network or a database are not",
    "# there yet, the start is extended, for at most 15 minutes.",
    "Type=notify",
    `ExecStart=${commandLine([...program, "run"])}`,
    "# Reads the configuration again; a broken one is said and the old one kept. SIGUSR1 refreshes at once.",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: systemd's own words, which it fills in.
    "ExecReload=/bin/sh -c 'kill -HUP ${MAINPID}'",
    "Restart=on-failure",
    "RestartSec=30",
    "# A wrong configuration does not get right by trying again.",
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
    "# Variables that are nobody else's business, one NAME=value a line; 0600.",
    `EnvironmentFile=-${specifierFree(environmentFile)}`,
    ...credentials.map(
      (name) => `LoadCredential=${name}:${specifierFree(dirname(environmentFile))}/credentials/${name}`,
    ),
  ]
}

// Each tried under the real systemd with the binary and its sinks.
const EVERYWHERE = [
  "NoNewPrivileges=yes",
  "LockPersonality=yes",
  "RestrictRealtime=yes",
  "RestrictSUIDSGID=yes",
  "RestrictNamespaces=yes",
  "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
  "SystemCallArchitectures=native",
  "LimitCORE=0",
  "UMask=0077",
  "KeyringMode=private",
]

const CALLS = ["SystemCallFilter=@system-service", "SystemCallFilter=~@privileged @resources"]
const REFUSAL = "SystemCallErrorNumber=EPERM"

function writableMemory({ timer }: UnitOptions): string {
  // Tried under the real systemd: the messages do not come through, and the start never ends.
  return timer
    ? "MemoryDenyWriteExecute=yes"
    : "# MemoryDenyWriteExecute= is left out: the way to systemd's socket is compiled while it runs."
}

function userHardening(options: UnitOptions): readonly string[] {
  return [
    "# What it may not do",
    ...EVERYWHERE,
    ...CALLS,
    REFUSAL,
    "# ProtectSystem=, PrivateTmp= and the like are left out: a user's own manager cannot set them up everywhere.",
    "# CapabilityBoundingSet= is left out: a user's own manager may not set it, and has no capabilities to give.",
    writableMemory(options),
  ]
}

function systemHardening(options: UnitOptions): readonly string[] {
  const { manager, writable } = options
  const root = manager.kind === "system" && manager.user === "root"
  return [
    "# What it may not do",
    ...EVERYWHERE,
    ...capabilities(root),
    ...fileSystem(writable),
    ...(root
      ? ["# PrivateUsers= is left out: as root it keeps the owners of other people's files."]
      : ["PrivateUsers=yes"]),
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "DevicePolicy=closed",
    "PrivateIPC=yes",
    "RemoveIPC=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectProc=invisible",
    "ProcSubset=pid",
    "# IPAddressDeny= is left out: the addresses of AWS, proxies and databases are not known here.",
    writableMemory(options),
  ]
}

function capabilities(root: boolean): readonly string[] {
  if (!root) return ["CapabilityBoundingSet=", "AmbientCapabilities=", ...CALLS, REFUSAL]
  return [
    "# Root writes into other people's folders and leaves them the owner of their files.",
    "CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER",
    ...CALLS,
    "SystemCallFilter=@chown",
    REFUSAL,
  ]
}

const WHY_WRITABLE = {
  anywhere:
    "# ProtectSystem=strict and ProtectHome= are left out: a sink runs a program that may write anywhere.",
  unknown:
    "# ProtectSystem=strict and ProtectHome= are left out: the configuration says where; `ecrelay install systemd` reads it.",
}

function fileSystem(writable: UnitOptions["writable"]): readonly string[] {
  if (typeof writable === "string") return [WHY_WRITABLE[writable], "ProtectSystem=full"]
  return [
    "ProtectSystem=strict",
    // Of two lines about one folder, the stricter holds.
    writable.some((folder) => /^\/(root|home)$/.test(folder))
      ? "# ProtectHome= is left out: a home has no folder yet that could be excepted from it."
      : "ProtectHome=read-only",
    ...writable.map((folder) => `ReadWritePaths=${quoted(folder)}`),
  ]
}

/** An ExecStart line: every argument as it is, whatever stands in it. */
function commandLine(argv: readonly string[]): string {
  return argv.map((one) => quoted(one.replaceAll("$", "$$$$"))).join(" ")
}

// Only what needs quotes gets them: units are read by people.
function quoted(text: string): string {
  const plain = specifierFree(text)
  if (/^[\w@%+=:,./$-]+$/.test(plain)) return plain
  return `"${plain.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`
}

function specifierFree(text: string): string {
  return text.replaceAll("%", "%%")
}
