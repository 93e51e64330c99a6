// MariaDB: the one that is installed, else Debian's, unpacked beside the system.
import { readFile, realpath } from "node:fs/promises"
import { dirname, join } from "node:path"
import { exists } from "./cache.ts"
import { run } from "./command.ts"
import { unpackPackages } from "./debian.ts"
import type { Ground } from "./ground.ts"
import { startMysqld } from "./mysqld.ts"

// What Debian's own installer feeds to a new server, but for help texts and time zones.
const SYSTEM_TABLES = [
  "mysql_system_tables.sql",
  "mysql_performance_tables.sql",
  "mysql_system_tables_data.sql",
] as const

/** Starts MariaDB; see `startMysqld` for what it tells. */
export async function startMariadb(ground: Ground) {
  const { program, share } = await provide(ground)
  const command = [
    ...program,
    ...["--no-defaults", `--lc-messages-dir=${share}`, `--character-sets-dir=${join(share, "charsets")}`],
  ]
  return startMysqld(ground, {
    name: "mariadb",
    command,
    async initialize(data) {
      const tables = SYSTEM_TABLES.map((name) => readFile(join(share, name), "utf8"))
      const opening = "create database mysql;\nuse mysql;\nset @skip_auth_anonymous=1;\n"
      const options = ["--bootstrap", `--datadir=${data}`, "--innodb-log-file-size=32M", "--skip-log-bin"]
      await run([...command, ...options], {
        signal: ground.signal,
        as: ground.account,
        input: opening + (await Promise.all(tables)).join("\n"),
      })
    },
  })
}

type Installation = {
  readonly program: readonly string[]
  /** The folder of its messages, character sets and system tables. */
  readonly share: string
}

async function provide(ground: Ground): Promise<Installation> {
  const installed = Bun.which("mariadbd", { PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` })
  if (installed) {
    const share = await findShare(dirname(dirname(await realpath(installed))))
    if (share) return { program: [installed], share }
  }
  const tree = await unpackPackages(ground, "own", ["mariadb-server-core"])
  const share = await findShare(join(tree.root, "usr"))
  if (!share) throw new Error(`${tree.root} has no system tables of MariaDB`)
  return { program: tree.program("usr/sbin/mariadbd"), share }
}

async function findShare(prefix: string): Promise<string | undefined> {
  for (const name of ["mariadb", "mysql"]) {
    const share = join(prefix, "share", name)
    if (await exists(join(share, SYSTEM_TABLES[0]))) return share
  }
  return undefined
}
