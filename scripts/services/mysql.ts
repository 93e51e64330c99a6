// MySQL 9 from Debian unstable, unpacked beside the system. Unstable moves on, so nothing may depend on having it.
import { join } from "node:path"
import { run } from "./command.ts"
import { unpackPackages } from "./debian.ts"
import type { Ground } from "./ground.ts"
import { startMysqld } from "./mysqld.ts"

/** Starts MySQL; see `startMysqld` for what it tells. */
export async function startMysql(ground: Ground) {
  const tree = await unpackPackages(ground, "unstable", ["mysql-server-core"])
  const share = join(tree.root, "usr/share/mysql")
  const command = [
    ...tree.program("usr/sbin/mysqld"),
    ...[
      "--no-defaults",
      `--tmpdir=${ground.temporary}`,
      `--lc-messages-dir=${share}`,
      `--character-sets-dir=${join(share, "charsets")}`,
    ],
    ...[
      `--plugin-dir=${join(tree.root, "usr/lib/mysql/plugin")}`,
      "--secure-file-priv=",
      ...(ground.durable ? [] : ["--innodb-redo-log-capacity=32M"]),
    ],
  ]
  return startMysqld(ground, {
    name: "mysql",
    command: [...command, "--mysqlx=OFF"],
    initialize: (data) =>
      run([...command, "--initialize-insecure", `--datadir=${data}`], {
        signal: ground.signal,
        as: ground.account,
      }),
  })
}
