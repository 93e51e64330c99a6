// A Debian with systemd as its first process, in a folder of its own: made once by debootstrap, booted by systemd-nspawn.
// It shares loopback with the tests and nothing else. Only root can boot it, and not every machine lets root do so.
import { type ChildProcess, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { readFile, rm } from "node:fs/promises"
import { join } from "node:path"
import { cached } from "./cache.ts"
import { run, thrice, Unavailable } from "./command.ts"
import { unpackPackages } from "./debian.ts"
import type { Ground } from "./ground.ts"
import { sourcesOf } from "./sources.ts"

const PATIENCE_MS = 30_000

/** A Debian that boots here: its `root`, to be copied before it is booted, and the `nspawn` command that boots it. */
export async function provideSystemd(ground: Ground) {
  if (process.getuid?.() !== 0) throw new Unavailable("only root can boot it")
  const tree = await unpackPackages(ground, "own", ["systemd-container", "debootstrap"])
  const codename = /VERSION_CODENAME=(\w+)/.exec(await readFile("/etc/os-release", "utf8"))?.[1] ?? ""
  const archive = /^URIs: *(\S+)/m.exec(await sourcesOf("own", codename))?.[1] ?? ""
  const root = await cached(ground.cache, `debian-${codename}-${process.arch}-systemd`, (folder) =>
    thrice("a Debian with systemd", ground.signal, () =>
      run(
        [
          "sh",
          join(tree.root, "usr/sbin/debootstrap"),
          "--variant=minbase",
          "--include=systemd,dbus,libnss-systemd",
          codename,
          folder,
          archive,
        ],
        { ...ground, env: { ...process.env, DEBOOTSTRAP_DIR: join(tree.root, "usr/share/debootstrap") } },
      ).then(() => undefined),
    ),
  )
  const nspawn = withLibraries(tree.program("usr/bin/systemd-nspawn"), tree.root)
  // Whether this machine lets it boot shows only when it does.
  const trial = join(ground.folder, "systemd-trial")
  await run(["cp", "--archive", root, trial], ground)
  try {
    const machine = await bootMachine(trial, nspawn.join(" "))
    await machine.halt()
  } catch (error) {
    throw new Unavailable(`systemd does not boot here: ${(error as Error).message}`)
  } finally {
    await rm(trial, { recursive: true, force: true })
  }
  return { root, nspawn: nspawn.join(" ") }
}

// systemd's own library lies in a folder of its own.
function withLibraries(program: readonly string[], root: string): readonly string[] {
  const folders = ["lib", "usr/lib"].map((folder) => join(root, folder, "x86_64-linux-gnu/systemd"))
  return program.map((word, i) => (program[i - 1] === "--library-path" ? [word, ...folders].join(":") : word))
}

/** A booted system. */
export type BootedMachine = {
  /** The process id of its systemd, as this machine sees it. */
  readonly leader: number
  /** Ends it at once, as a power cut would. */
  halt(): Promise<void>
}

/** Boots the system in a folder and resolves when systemd says that it is up. */
export async function bootMachine(root: string, nspawn: string): Promise<BootedMachine> {
  // Of its own, so that two machines do not meet.
  const name = `ecrelay-${randomBytes(4).toString("hex")}`
  const options = [
    `--machine=${name}`,
    "--quiet",
    "--register=no",
    "--keep-unit",
    "--console=pipe",
    "--directory",
    root,
    "--boot",
  ]
  // A session of its own: it must not take the terminal that the tests run in.
  const command = ["-c", IN_ITS_OWN_CGROUP, "sh", name, ...nspawn.split(" "), ...options]
  const child = spawn("/bin/sh", command, { detached: true, stdio: ["ignore", "pipe", "pipe"] })
  let said = ""
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (chunk) => {
      said = (said + chunk).slice(-2000)
    })
  const machine = { leader: 0, halt: () => halt(child, name) }
  const end = Date.now() + PATIENCE_MS
  while (Date.now() < end && child.exitCode === null) {
    const leader = await leaderOf(child)
    if (leader !== undefined && (await isUp(leader))) {
      // Should nobody be left to end it.
      inside(
        leader,
        "systemd-run",
        "--quiet",
        "--on-active=15min",
        "systemctl",
        "--force",
        "--force",
        "poweroff",
      )
      return { ...machine, leader }
    }
    await Bun.sleep(200)
  }
  await machine.halt()
  throw new Error(said.trim().split("\n").at(-1) || "it said nothing")
}

async function leaderOf({ pid }: ChildProcess): Promise<number | undefined> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "")
  for (const child of children.trim().split(" ").filter(Boolean)) {
    const command = await readFile(`/proc/${child}/cmdline`, "utf8").catch(() => "")
    if (/systemd\0/.test(command) && !command.includes("nspawn")) return Number(child)
  }
  return undefined
}

function inside(leader: number, ...command: readonly string[]) {
  return Bun.spawn(["nsenter", "-t", String(leader), "-a", ...command], { stdout: "pipe", stderr: "ignore" })
}

async function isUp(leader: number): Promise<boolean> {
  const child = inside(leader, "systemctl", "is-system-running")
  // `degraded` is a machine of which a unit cannot work here.
  return /^(running|degraded)/.test(await new Response(child.stdout).text())
}

// Otherwise all machines would share the one that the tests run in, and disturb each other.
const HIERARCHIES = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"]
const IN_ITS_OWN_CGROUP = `
  for group in ${HIERARCHIES.join(" ")}; do
    [ ! -e $group/cgroup.procs ] || { mkdir $group/$1 && echo $$ > $group/$1/cgroup.procs; }
  done
  shift; exec "$@"`

async function halt(child: ChildProcess, name: string): Promise<void> {
  // Its first process outlives the one that booted it, and all others end with it.
  const leader = await leaderOf(child)
  if (leader !== undefined) process.kill(leader, "SIGKILL")
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    const ended = new Promise((resolve) => child.once("exit", resolve))
    const patience = setTimeout(() => process.kill(-(child.pid as number), "SIGKILL"), 5000)
    await ended
    clearTimeout(patience)
  }
  for (const group of HIERARCHIES)
    await run(["find", join(group, name), "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], {
      signal: AbortSignal.timeout(5000),
    }).catch(() => undefined)
}
