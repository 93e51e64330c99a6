// What a unit forbids. Every line that could be there and is not is named with its reason, so that whoever hardens
// further knows what would break.
import { quoted } from "./unit-quoting.ts"

/** What a unit needs to be let do. */
export type UnitNeeds = {
  /** A timer that refreshes what is due, instead of a service that stays. */
  readonly timer: boolean
  /** The system's manager, with the account to run as; or the caller's own manager. */
  readonly manager: { readonly kind: "system"; readonly user: string } | { readonly kind: "user" }
  /** Folders to write in; `anywhere` where a sink runs what only its owner knows; `unknown` before a configuration. */
  readonly writable: readonly string[] | "anywhere" | "unknown"
  /** Folders right below /run that systemd is to make, by their names, and their mode. */
  readonly runtime?: { readonly names: readonly string[]; readonly mode: number }
}

/** The lines of the section [Service] that say what the unit may not do. */
export function hardening(options: UnitNeeds): readonly string[] {
  return options.manager.kind === "system" ? systemHardening(options) : userHardening(options)
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

function writableMemory({ timer, writable }: UnitNeeds): string {
  // Tried under the real systemd: the messages do not come through, and the start never ends.
  if (!timer)
    return "# MemoryDenyWriteExecute= is left out: ecrelay compiles its way to systemd's socket while it runs."
  // Every program that a sink runs inherits it, and node dies of it (SIGTRAP).
  return typeof writable === "string"
    ? "# MemoryDenyWriteExecute= is left out: a sink may run a program that compiles code while it runs, as node does."
    : "MemoryDenyWriteExecute=yes"
}

function userHardening(options: UnitNeeds): readonly string[] {
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

function systemHardening(options: UnitNeeds): readonly string[] {
  const { manager, writable } = options
  const root = manager.kind === "system" && manager.user === "root"
  return [
    "# What it may not do",
    ...EVERYWHERE,
    ...capabilities(root),
    ...fileSystem(writable),
    ...runtimeFolders(options),
    ...(root
      ? ["# PrivateUsers= is left out: as root, ecrelay preserves the owners of other people's files."]
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

function fileSystem(writable: UnitNeeds["writable"]): readonly string[] {
  if (typeof writable === "string") return [WHY_WRITABLE[writable], "ProtectSystem=full"]
  return [
    "ProtectSystem=strict",
    // Of two lines about one folder, the stricter holds.
    writable.some((folder) => /^\/(root|home)$/.test(folder))
      ? "# ProtectHome= is left out: the folder that it would have to exempt is not there yet."
      : "ProtectHome=read-only",
    ...writable.map((folder) => `ReadWritePaths=${quoted(folder)}`),
  ]
}

function runtimeFolders({ runtime }: UnitNeeds): readonly string[] {
  if (!runtime) return []
  return [
    "# /run is empty after a boot: created at every start and kept at a stop, since others read what is in it.",
    `RuntimeDirectory=${runtime.names.join(" ")}`,
    `RuntimeDirectoryMode=${runtime.mode.toString(8).padStart(4, "0")}`,
    "RuntimeDirectoryPreserve=yes",
  ]
}
