// What all services of one run stand on: a temporary folder, the cache, the account they run as, certificates.
// Whatever was started on it is stopped when it is closed, and by a watching shell if we die before that.
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { isReachableByAll, openCache } from "./cache.ts"
import { createAuthority } from "./certificate.ts"
import { type Account, lastLines } from "./command.ts"

/** Files for tests of TLS. The servers' certificate names `localhost` and `127.0.0.1`, and no other host. */
export type TlsFiles = {
  readonly ca: string
  /** An authority that signed none of the servers' certificates. */
  readonly otherCa: string
  readonly serverCertificate: string
  readonly serverKey: string
  /** The client certificate that `CERTIFIED_USER` must show. */
  readonly clientCertificate: string
  readonly clientKey: string
}

/** The user who must show the client certificate: PostgreSQL takes it for the password, MariaDB and MySQL want both. */
export const CERTIFIED_USER = "certified"
/** A user who is let in over TLS only. */
export const TLS_ONLY_USER = "tls_only"
/** The administrator's name and password in every database server, and the password of the other users. */
export const ADMIN = "airflow"

/** The ground of one run. */
export type Ground = {
  /** Ends whatever is under way. */
  readonly signal: AbortSignal
  /** Databases keep their own defaults, and so wait for the disk at every commit; tests have no use for that. */
  readonly durable: boolean
  /** The folder of what was downloaded, which outlives the run. */
  readonly cache: string
  /** The folder of the servers' data, which does not. */
  readonly folder: string
  /** For temporary files of servers and tests: TMPDIR may be a folder of ours alone. */
  readonly temporary: string
  /** Undefined where we are not root: servers then run as we do. */
  readonly account: Account | undefined
  readonly tls: TlsFiles
  /** Makes a folder below `folder` that belongs to the servers' account. */
  makeFolder(name: string): Promise<string>
  /**
   * Hands over a process, leader of its own process group, to be ended with `signal` at the latest on `close`. One that
   * ends before that is told with the end of its log: the tests that fail then say no more than that nobody answers.
   */
  watch(server: ChildProcess, signal: NodeJS.Signals, log: string): void
  /** Stops all servers and removes the folder. */
  close(): Promise<void>
}

type Watched = { readonly child: ChildProcess; readonly signal: NodeJS.Signals }

/** Lays the ground for one run; `signal` ends whatever is under way on it. */
export async function openGround(signal: AbortSignal, durable = false): Promise<Ground> {
  const account = process.getuid?.() === 0 ? nobody() : undefined
  const cache = await openCache()
  const parent = account && !(await isReachableByAll(tmpdir())) ? "/tmp" : tmpdir()
  const folder = await mkdtemp(join(parent, "ecrelay-test-"))
  await chmod(folder, 0o755)
  const temporary = join(folder, "tmp")
  await mkdir(temporary)
  await chmod(temporary, 0o1777)
  const watcher = startWatcher(folder)
  const servers: Watched[] = []
  let closing = false
  return {
    signal,
    durable,
    cache,
    folder,
    temporary,
    account,
    tls: await writeTlsFiles(folder, account),
    async makeFolder(name) {
      const made = join(folder, name)
      await mkdir(made)
      if (account) await chown(made, account.uid, account.gid)
      return made
    },
    watch(child, stopSignal, log) {
      child.once("exit", async (code, endedBy) => {
        if (closing || signal.aborted) return
        const end = await readFile(log, "utf8").catch(String)
        console.error(
          `${child.spawnfile} ended with ${code ?? endedBy} while it was needed\n${lastLines(end)}`,
        )
      })
      servers.push({ child, signal: stopSignal })
      watcher.stdin?.write(`${child.pid}\n`)
    },
    async close() {
      closing = true
      await Promise.all(servers.map(stop))
      watcher.kill("SIGKILL")
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/**
 * A shell in a session of its own that reads process ids. Its input ends when we end, however that comes about; it then
 * kills what is left and removes the folder. `close` ends it first.
 */
function startWatcher(folder: string): ChildProcess {
  const script = `groups=; while read -r id; do groups="$groups -$id"; done
    kill -s QUIT -- $groups; sleep 1; kill -s KILL -- $groups; rm -rf -- "$1"`
  const watcher = spawn("/bin/sh", ["-c", script, "sh", folder], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    cwd: "/",
  })
  watcher.unref()
  return watcher
}

async function stop({ child, signal }: Watched): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const group = -child.pid
  const ended = new Promise((resolve) => child.once("exit", resolve))
  process.kill(group, signal)
  const patience = setTimeout(() => process.kill(group, "SIGKILL"), 5000)
  await ended
  clearTimeout(patience)
}

function nobody(): Account {
  const ask = (flag: string) => Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" }))
  return { uid: ask("-u"), gid: ask("-g") }
}

async function writeTlsFiles(folder: string, account: Account | undefined): Promise<TlsFiles> {
  const authority = createAuthority("ecrelay test authority")
  const server = authority.issue("localhost", ["localhost", "127.0.0.1"])
  const client = authority.issue(CERTIFIED_USER, [])
  const write = async (name: string, text: string, owner?: Account) => {
    const path = join(folder, name)
    await writeFile(path, text, { mode: name.endsWith(".key") ? 0o600 : 0o644 })
    if (owner) await chown(path, owner.uid, owner.gid)
    return path
  }
  return {
    ca: await write("ca.pem", authority.certificate),
    otherCa: await write("other-ca.pem", createAuthority("another test authority").certificate),
    serverCertificate: await write("server.pem", server.certificate),
    // PostgreSQL refuses a key that others may read, and so must own it.
    serverKey: await write("server.key", server.key, account),
    clientCertificate: await write("client.pem", client.certificate),
    clientKey: await write("client.key", client.key),
  }
}
