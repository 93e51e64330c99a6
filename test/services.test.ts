// The servers that all other tests stand on: each answers the way its users will ask it.
import { expect, test } from "bun:test"
import { ECRClient, GetAuthorizationTokenCommand } from "@aws-sdk/client-ecr"
import mysql from "mysql2/promise"
import postgres from "postgres"
import { ADMIN, CERTIFIED_USER, TLS_ONLY_USER } from "../scripts/services/ground.ts"
import { type DatabaseService, describeWithService, freshDatabase, tlsFiles } from "./support/services.ts"

type PostgresOptions = postgres.Options<Record<string, never>>

async function askPostgres(url: string, options: PostgresOptions = {}): Promise<string> {
  const sql = postgres(url, { max: 1, connect_timeout: 10, prepare: false, ...options })
  try {
    const [row] = await sql`select current_database() || ' as ' || current_user as answer`
    return row?.answer
  } finally {
    await sql.end({ timeout: 1 })
  }
}

async function askMysql(url: string, options: mysql.ConnectionOptions = {}): Promise<string> {
  const connection = await mysql.createConnection({ uri: url, ...options })
  try {
    const statement = "select concat(database(), ' as ', substring_index(user(), '@', 1)) as answer"
    const [rows] = await connection.query<mysql.RowDataPacket[]>(statement)
    return rows[0]?.answer
  } finally {
    connection.destroy()
  }
}

function changed(url: string, change: { readonly username?: string; readonly hostname?: string }): string {
  return Object.assign(new URL(url), change).href
}

async function trusted() {
  return { ca: await Bun.file(tlsFiles().ca).text() }
}

async function distrusted() {
  return { ca: await Bun.file(tlsFiles().otherCa).text() }
}

async function certified() {
  const { clientCertificate, clientKey } = tlsFiles()
  const [cert, key] = [await Bun.file(clientCertificate).text(), await Bun.file(clientKey).text()]
  return { ...(await trusted()), cert, key }
}

async function expectOwnDatabases(name: DatabaseService, ask: (url: string) => Promise<string>) {
  const [one, other] = [await freshDatabase(name, "mine"), await freshDatabase(name, "mine")]
  expect(one).not.toBe(other)
  expect(await ask(one)).toBe(`${new URL(one).pathname.slice(1)} as airflow`)
}

describeWithService("postgres", "PostgreSQL", ({ url, socket, wrongNameHost }) => {
  test("gives each test file a database of its own", () => expectOwnDatabases("postgres", askPostgres))

  test("refuses a wrong password", async () => {
    await expect(askPostgres(url, { password: "wrong" })).rejects.toMatchObject({ code: "28P01" })
  })

  test("answers on its unix socket", async () => {
    const port = Number(new URL(url).port)
    const options = { host: socket, port, user: ADMIN, password: ADMIN, database: "postgres" }
    expect(await askPostgres("", options)).toBe("postgres as airflow")
  })

  test("shows a certificate that its authority vouches for, and no other", async () => {
    expect(await askPostgres(url, { ssl: await trusted() })).toBe("postgres as airflow")
    await expect(askPostgres(url, { ssl: await distrusted() })).rejects.toMatchObject({
      code: "SELF_SIGNED_CERT_IN_CHAIN",
    })
  })

  test.skipIf(!wrongNameHost)("listens where its certificate has the wrong name", async () => {
    const elsewhere = changed(url, { hostname: wrongNameHost ?? "" })
    expect(await askPostgres(elsewhere)).toBe("postgres as airflow")
    await expect(askPostgres(elsewhere, { ssl: await trusted() })).rejects.toMatchObject({
      code: "ERR_TLS_CERT_ALTNAME_INVALID",
    })
  })

  test("lets a user in over TLS only, and another by certificate", async () => {
    const tlsOnly = changed(url, { username: TLS_ONLY_USER })
    await expect(askPostgres(tlsOnly)).rejects.toMatchObject({ code: "28000" })
    expect(await askPostgres(tlsOnly, { ssl: "require" })).toBe("postgres as tls_only")
    const byCertificate = changed(url, { username: CERTIFIED_USER })
    expect(await askPostgres(byCertificate, { ssl: await certified() })).toBe("postgres as certified")
    await expect(askPostgres(byCertificate, { ssl: await trusted() })).rejects.toMatchObject({
      code: "28000",
    })
  })
})

describeWithService("pgbouncer", "PgBouncer", ({ url }) => {
  test("reaches a fresh database", () => expectOwnDatabases("pgbouncer", askPostgres))

  test("gives a transaction, not a session, to its client", async () => {
    const sql = postgres(url, { max: 1, prepare: false })
    const other = postgres(url, { max: 1, prepare: false })
    try {
      const [mine] = await sql`select pg_backend_pid() as id`
      const taken = await other.begin(async (transaction) => {
        const [theirs] = await transaction`select pg_backend_pid() as id`
        const [next] = await sql`select pg_backend_pid() as id`
        return { theirs: theirs?.id, next: next?.id }
      })
      expect(taken.theirs).toBe(mine?.id)
      expect(taken.next).not.toBe(mine?.id)
    } finally {
      await Promise.all([sql.end({ timeout: 1 }), other.end({ timeout: 1 })])
    }
  })
})

for (const [name, title] of [["mariadb", "MariaDB"] as const, ["mysql", "MySQL"] as const]) {
  describeWithService(name, title, ({ url, socket, wrongNameHost }) => {
    test("gives each test file a database of its own", () => expectOwnDatabases(name, askMysql))

    test("refuses a wrong password", async () => {
      await expect(askMysql(url, { password: "wrong" })).rejects.toMatchObject({
        code: "ER_ACCESS_DENIED_ERROR",
      })
    })

    test("answers on its unix socket", async () => {
      expect(await askMysql(url, { socketPath: socket })).toBe("mysql as airflow")
    })

    test("shows a certificate that its authority vouches for, and no other", async () => {
      expect(await askMysql(url, { ssl: { ...(await trusted()), verifyIdentity: true } })).toBe(
        "mysql as airflow",
      )
      await expect(askMysql(url, { ssl: await distrusted() })).rejects.toMatchObject({
        code: "HANDSHAKE_SSL_ERROR",
      })
    })

    test.skipIf(!wrongNameHost)("listens where its certificate has the wrong name", async () => {
      const elsewhere = changed(url, { hostname: wrongNameHost ?? "" })
      expect(await askMysql(elsewhere)).toBe("mysql as airflow")
      const verified = { ...(await trusted()), verifyIdentity: true }
      await expect(askMysql(elsewhere, { ssl: verified })).rejects.toMatchObject({
        code: "HANDSHAKE_SSL_ERROR",
        host: wrongNameHost,
      })
    })

    test("lets a user in over TLS only, and another by certificate", async () => {
      const tlsOnly = changed(url, { username: TLS_ONLY_USER })
      await expect(askMysql(tlsOnly)).rejects.toMatchObject({ code: "ER_ACCESS_DENIED_ERROR" })
      expect(await askMysql(tlsOnly, { ssl: await trusted() })).toBe("mysql as tls_only")
      const byCertificate = changed(url, { username: CERTIFIED_USER })
      expect(await askMysql(byCertificate, { ssl: await certified() })).toBe("mysql as certified")
      await expect(askMysql(byCertificate, { ssl: await trusted() })).rejects.toMatchObject({
        code: "ER_ACCESS_DENIED_ERROR",
      })
    })
  })
}

describeWithService("python", "Python", ({ command }) => {
  test("has cryptography's Fernet", async () => {
    const program = "from cryptography.fernet import Fernet; print(len(Fernet.generate_key()))"
    expect(await Bun.$`${command} -c ${program}`.text()).toBe("44\n")
  })
})

describeWithService("moto", "moto", ({ url }) => {
  test("hands the SDK an authorization token", async () => {
    const credentials = { accessKeyId: "test", secretAccessKey: "test" }
    const client = new ECRClient({ region: "eu-west-1", endpoint: url, credentials })
    const { authorizationData } = await client.send(new GetAuthorizationTokenCommand({}))
    expect(authorizationData?.[0]?.proxyEndpoint).toBe("https://123456789012.dkr.ecr.eu-west-1.amazonaws.com")
    expect(atob(authorizationData?.[0]?.authorizationToken ?? "")).toStartWith("AWS:")
  })
})
