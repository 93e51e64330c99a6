// MariaDB: the one that is installed, else Debian's, unpacked beside the system.
import { readFile, realpath } from "node:fs/promises"
import { dirname, join } from "node:path"
import { exists } from "./cache.ts"
import { run } from "./command.ts"
import { unpackPackages } from "./debian.ts"
import type { Ground } from "./ground.ts"
import { startMysqld } from "./mysqld.ts"

// What MariaDB's own installer feeds to a new server, but for help texts; their names begin with `mariadb` since 11.
const SYSTEM_TABLES = ["system_tables.sql", "performance_tables.sql", "system_tables_data.sql"] as const

/** Starts MariaDB; see `startMysqld` for what it tells. */
export async function startMariadb(ground: Ground) {
  const { program, share, family } = await provide(ground)
  const command = [
    ...program,
    ...[
      "--no-defaults",
      `--tmpdir=${ground.temporary}`,
      `--lc-messages-dir=${share}`,
      `--character-sets-dir=${join(share, "charsets")}`,
    ],
  ]
  return startMysqld(ground, {
    name: "mariadb",
    command,
    async initialize(data) {
      const tables = SYSTEM_TABLES.map((name) => readFile(join(share, `${family}_${name}`), "utf8"))
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

type Share = {
  /** The folder of messages, character sets and system tables. */
  readonly share: string
  /** What the names of the system tables' files begin with. */
  readonly family: string
}

type Installation = Share & { readonly program: readonly string[] }

async function provide(ground: Ground): Promise<Installation> {
  const installed = Bun.which("mariadbd", { PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` })
  if (installed) {
    const share = await findShare(dirname(dirname(await realpath(installed))))
    if (share) return { program: [installed], ...share }
  }
  const tree = await unpackPackages(ground, "own", ["mariadb-server-core"])
  const share = await findShare(join(tree.root, "usr"))
  if (!share) throw new Error(`${tree.root} has no system tables of MariaDB`)
  return { program: tree.program("usr/sbin/mariadbd"), ...share }
}

async function findShare(prefix: string): Promise<Share | undefined> {
  for (const family of ["mariadb", "mysql"]) {
    const share = join(prefix, "share", family)
    if (await exists(join(share, `${family}_${SYSTEM_TABLES[0]}`))) return { share, family }
  }
  return undefined
}
