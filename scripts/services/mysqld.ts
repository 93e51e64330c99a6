// What MariaDB and MySQL have in common here: how they are started, the users they get, and a first question.
// Each run starts on a copy of an empty database that the cache keeps. TLS on, nothing synced to disk but
// where durability is measured.
import { chown, mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import mysql from "mysql2/promise"
import { cached } from "./cache.ts"
import { run } from "./command.ts"
import { ADMIN, CERTIFIED_USER, type Ground, TLS_ONLY_USER } from "./ground.ts"
import { freePort, LISTEN_ADDRESSES, startServer, WRONG_NAME_HOST } from "./server.ts"

const USERS = `
create user '${ADMIN}'@'%' identified by '${ADMIN}';
create user '${TLS_ONLY_USER}'@'%' identified by '${ADMIN}' require ssl;
create user '${CERTIFIED_USER}'@'%' identified by '${ADMIN}' require x509;
grant all on *.* to '${ADMIN}'@'%' with grant option;
grant all on *.* to '${TLS_ONLY_USER}'@'%';
grant all on *.* to '${CERTIFIED_USER}'@'%';
`

/** One of the two servers. */
export type Mysqld = {
  readonly name: "mariadb" | "mysql"
  /** The server's program and the options that it always needs. */
  readonly command: readonly string[]
  /** Makes an empty database in a folder that the servers' account owns. */
  initialize(data: string): Promise<unknown>
}

const CARELESS = [
  "--skip-log-bin",
  "--innodb-flush-log-at-trx-commit=0",
  "--innodb-flush-method=nosync",
] as const

/** Starts it. `url` is a superuser's on the database `mysql`, `socket` the path of its unix socket. */
export async function startMysqld(ground: Ground, server: Mysqld) {
  const template = await provideTemplate(ground, server)
  const home = await ground.makeFolder(server.name)
  const data = join(home, "data")
  await run(["cp", "-R", template, data], { ...ground, as: ground.account })
  const users = join(ground.folder, `${server.name}-users.sql`)
  await writeFile(users, USERS)
  const [port, socket] = [await freePort(), join(home, "socket")]
  const url = `mysql://${ADMIN}:${ADMIN}@127.0.0.1:${port}/mysql`
  await startServer(ground, {
    name: server.name,
    command: [
      ...server.command,
      ...[
        `--datadir=${data}`,
        `--socket=${socket}`,
        `--pid-file=${join(home, "pid")}`,
        `--init-file=${users}`,
      ],
      ...[`--port=${port}`, `--bind-address=${LISTEN_ADDRESSES}`, "--max-connections=300"],
      ...[`--ssl-ca=${ground.tls.ca}`, `--ssl-cert=${ground.tls.serverCertificate}`],
      ...[`--ssl-key=${ground.tls.serverKey}`, "--skip-name-resolve"],
      ...(ground.durable ? [] : CARELESS),
    ],
    stopSignal: "SIGKILL",
    as: ground.account,
    answers: () => queryMysql(url, "select 1"),
  })
  return { url, socket, wrongNameHost: WRONG_NAME_HOST }
}

/** Runs one statement on a connection of its own. */
export async function queryMysql(url: string, statement: string): Promise<void> {
  const connection = await mysql.createConnection({ uri: url, connectTimeout: 5000 })
  try {
    await connection.query(statement)
  } finally {
    connection.destroy()
  }
}

async function provideTemplate(ground: Ground, server: Mysqld): Promise<string> {
  const printed = await run([...server.command, "--version"], ground)
  const version = printed.match(/Ver ([^\s/]+)/)?.[1] ?? "unknown"
  const folder = await cached(ground.cache, `${server.name}-data-${version}`, async (unfinished) => {
    const data = join(unfinished, "data")
    await mkdir(data)
    if (ground.account) await chown(data, ground.account.uid, ground.account.gid)
    await server.initialize(data)
  })
  return join(folder, "data")
}
