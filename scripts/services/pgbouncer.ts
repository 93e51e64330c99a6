// PgBouncer in transaction mode in front of our PostgreSQL: the one that is installed, else Debian's, unpacked beside
// the system. Statements prepared by name are not kept apart for its clients, as in every release before 1.21.
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { run } from "./command.ts"
import { unpackPackages } from "./debian.ts"
import { ADMIN, type Ground } from "./ground.ts"
import { query } from "./postgres.ts"
import { freePort, startServer } from "./server.ts"

/** Starts PgBouncer. `url` is that of the database at `postgresUrl`, through it; any other database is reached too. */
export async function startPgbouncer(ground: Ground, postgresUrl: string) {
  const installed = Bun.which("pgbouncer", { PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` })
  const program = installed
    ? [installed]
    : (await unpackPackages(ground, "own", ["pgbouncer"])).program("usr/sbin/pgbouncer")
  const version = (await run([...program, "--version"], ground)).match(/(\d+)\.(\d+)/)
  const remembersStatements = Number(version?.[1]) > 1 || Number(version?.[2]) >= 21
  const url = new URL(postgresUrl)
  const server = `host=${url.hostname} port=${url.port}`
  url.port = String(await freePort())
  const [home, users] = [await ground.makeFolder("pgbouncer"), join(ground.folder, "pgbouncer-users")]
  await writeFile(users, `"${ADMIN}" "${ADMIN}"\n`)
  const settings = [
    "[databases]",
    `* = ${server}`,
    "[pgbouncer]",
    "pool_mode = transaction",
    "listen_addr = 127.0.0.1",
    `listen_port = ${url.port}`,
    `unix_socket_dir = ${home}`,
    "auth_type = plain",
    `auth_file = ${users}`,
    "max_client_conn = 300",
    "server_tls_sslmode = disable",
    "client_tls_sslmode = allow",
    `client_tls_ca_file = ${ground.tls.ca}`,
    `client_tls_cert_file = ${ground.tls.serverCertificate}`,
    `client_tls_key_file = ${ground.tls.serverKey}`,
    ...(remembersStatements ? ["max_prepared_statements = 0"] : []),
  ]
  const file = join(ground.folder, "pgbouncer.ini")
  await writeFile(file, `${settings.join("\n")}\n`)
  await startServer(ground, {
    name: "pgbouncer",
    command: [...program, file],
    stopSignal: "SIGKILL",
    as: ground.account,
    answers: () => query(url.href, "select 1"),
  })
  return { url: url.href }
}
