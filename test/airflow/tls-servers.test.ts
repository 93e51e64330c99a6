import { describe, expect, test } from "bun:test"
import { once } from "node:events"
import { type AddressInfo, createServer, type Socket } from "node:net"
import { createServer as createTlsServer } from "node:tls"
import mysql from "mysql2/promise"
import postgres from "postgres"
import { createAuthority } from "../../scripts/services/certificate.ts"
import { CERTIFIED_USER, TLS_ONLY_USER } from "../../scripts/services/ground.ts"
import { parseDatabaseUrl } from "../../sinks/_airflow/database-url.ts"
import { connectPostgres } from "../../sinks/_airflow/postgres-socket.ts"
import { type TlsPolicy, tlsPolicy, tlsRefusal } from "../../sinks/_airflow/tls.ts"
import { loadMysqlTls } from "../../sinks/_airflow/tls-files.ts"
import { describeWithService, tlsFiles } from "../support/services.ts"

const PATIENT = AbortSignal.timeout(20_000)

function placeOf(text: string, origin: TlsPolicy["origin"] = "given") {
  const url = parseDatabaseUrl(text)
  const [address] = url.addresses
  if (!address) throw new Error("no address")
  return { url, address, policy: tlsPolicy(url, origin) }
}

/** The TLS version of the connection that a URL leads to, `plain`, or the code of the refusal. */
async function postgresOutcome(text: string): Promise<string> {
  const { url, address, policy } = placeOf(text)
  const sql = postgres({
    host: address.host ?? "",
    username: url.user ?? "",
    password: url.password?.reveal() ?? "",
    database: url.database ?? "",
    max: 1,
    ssl: false,
    socket: () => connectPostgres(address, policy, PATIENT),
  } as postgres.Options<Record<string, never>>)
  try {
    const [row] = await sql`select version from pg_stat_ssl where pid = pg_backend_pid()`
    return row?.version ?? "plain"
  } catch (error) {
    return tlsRefusal(error, url, policy)?.code ?? String((error as { code?: string }).code)
  } finally {
    await sql.end({ timeout: 1 })
  }
}

async function mysqlOutcome(text: string): Promise<string> {
  const { url, address, policy } = placeOf(text)
  const { ssl, stream } = await loadMysqlTls(policy, address)
  try {
    const connection = await mysql.createConnection({
      ...(address.host === undefined
        ? { socketPath: address.socket }
        : { host: address.host, port: address.port }),
      user: url.user,
      password: url.password?.reveal(),
      ...(ssl && { ssl }),
      ...(stream && { stream }),
    } as mysql.ConnectionOptions)
    const [rows] = await connection.query("show status like 'Ssl_version'")
    connection.destroy()
    return (rows as { Value: string }[])[0]?.Value || "plain"
  } catch (error) {
    return tlsRefusal(error, url, policy)?.code ?? String((error as { code?: string }).code)
  }
}

/** The service's URL with another host, user and options. */
function variant(url: string, host: string, options: string, user = "airflow"): string {
  const { protocol, port, password, pathname } = new URL(url)
  return `${protocol}//${user}:${password}@${host}:${port}${pathname}${options}`
}

describeWithService("postgres", "PostgreSQL over TLS", ({ url, socket, wrongNameHost }) => {
  const { ca, otherCa, clientCertificate, clientKey } = tlsFiles()
  const at = (host: string, options = "", user?: string) => variant(url, host, options, user)

  test("trusts as its URL says", async () => {
    expect(await postgresOutcome(at("localhost"))).toBe("TLSv1.3")
    expect(await postgresOutcome(at("localhost", "?sslmode=disable"))).toBe("plain")
    expect(await postgresOutcome(at("localhost", "?sslmode=require"))).toBe("TLSv1.3")
    expect(await postgresOutcome(at("localhost", "?sslmode=verify-full"))).toBe("tls-untrusted")
    for (const host of ["localhost", "127.0.0.1"]) {
      expect(await postgresOutcome(at(host, `?sslrootcert=${ca}`))).toBe("TLSv1.3")
      expect(await postgresOutcome(at(host, `?sslrootcert=${otherCa}`))).toBe("tls-untrusted")
      expect(await postgresOutcome(at(host, `?sslmode=require&sslrootcert=${otherCa}`))).toBe("tls-untrusted")
    }
  })

  test.skipIf(!wrongNameHost)("finds a certificate for another host", async () => {
    const host = wrongNameHost ?? ""
    expect(await postgresOutcome(at(host, `?sslrootcert=${ca}`))).toBe("tls-wrong-host")
    expect(await postgresOutcome(at(host, `?sslmode=verify-ca&sslrootcert=${ca}`))).toBe("TLSv1.3")
  })

  test("shows the client's certificate", async () => {
    const options = `?sslrootcert=${ca}&sslcert=${clientCertificate}&sslkey=${clientKey}`
    expect(await postgresOutcome(at("127.0.0.1", options, CERTIFIED_USER))).toBe("TLSv1.3")
    expect(await postgresOutcome(at("127.0.0.1", `?sslrootcert=${ca}`, CERTIFIED_USER))).toBe("28000")
  })

  test("keeps the client's certificate to itself where the URL says so", async () => {
    const files = `?sslrootcert=${ca}&sslcert=${clientCertificate}&sslkey=${clientKey}`
    const outcome = (mode: string) =>
      postgresOutcome(at("127.0.0.1", `${files}&sslcertmode=${mode}`, CERTIFIED_USER))
    expect(await outcome("allow")).toBe("TLSv1.3")
    expect(await outcome("disable")).toBe("28000")
  })

  test("speaks no version of TLS that its URL rules out", async () => {
    const outcome = (least: string, greatest: string) =>
      postgresOutcome(
        at("localhost", `?ssl_min_protocol_version=${least}&ssl_max_protocol_version=${greatest}`),
      )
    expect(await outcome("TLSv1.2", "TLSv1.2")).toBe("TLSv1.2")
    expect(await outcome("TLSv1.3", "TLSv1.3")).toBe("TLSv1.3")
    expect(await outcome("TLSv1", "TLSv1.1")).toBe("tls-version")
  })

  test("begins with TLS at once where the URL says so", async () => {
    const direct = (more: string) => postgresOutcome(at("localhost", `?sslnegotiation=direct&${more}`))
    expect(await direct(`sslmode=verify-full&sslrootcert=${ca}`)).toBe("TLSv1.3")
    expect(await direct(`sslmode=verify-full&sslrootcert=${otherCa}`)).toBe("tls-untrusted")
  })

  test("uses TLS where it may, though it need not", async () => {
    expect(await postgresOutcome(at("127.0.0.1", "", TLS_ONLY_USER))).toBe("TLSv1.3")
    expect(await postgresOutcome(at("127.0.0.1", "?sslmode=disable", TLS_ONLY_USER))).toBe("28000")
  })

  test("needs no TLS on a unix socket", async () => {
    const { port } = new URL(url)
    const through = `postgresql://airflow:airflow@/postgres?host=${socket}&port=${port}`
    expect(await postgresOutcome(`${through}&sslmode=verify-full`)).toBe("plain")
  })
})

describeWithService("mariadb", "MariaDB over TLS", ({ url, socket, wrongNameHost }) => {
  const { ca, otherCa, clientCertificate, clientKey } = tlsFiles()
  const at = (host: string, options = "", user?: string) => variant(url, host, options, user)

  test("trusts as its URL says", async () => {
    expect(await mysqlOutcome(at("localhost"))).toBe("TLSv1.3")
    expect(await mysqlOutcome(at("localhost", "?ssl_mode=DISABLED"))).toBe("plain")
    expect(await mysqlOutcome(at("localhost", "?ssl_mode=REQUIRED"))).toBe("TLSv1.3")
    expect(await mysqlOutcome(at("localhost", "?ssl_mode=VERIFY_IDENTITY"))).toBe("tls-untrusted")
    for (const host of ["localhost", "127.0.0.1"]) {
      expect(await mysqlOutcome(at(host, `?ssl_ca=${ca}`))).toBe("TLSv1.3")
      expect(await mysqlOutcome(at(host, `?ssl_ca=${otherCa}`))).toBe("tls-untrusted")
    }
  })

  test.skipIf(!wrongNameHost)("finds a certificate for another host", async () => {
    const host = wrongNameHost ?? ""
    expect(await mysqlOutcome(at(host, `?ssl_ca=${ca}`))).toBe("tls-wrong-host")
    expect(await mysqlOutcome(at(host, `?ssl_mode=VERIFY_CA&ssl_ca=${ca}`))).toBe("TLSv1.3")
  })

  test("shows the client's certificate", async () => {
    const options = `?ssl_ca=${ca}&ssl_cert=${clientCertificate}&ssl_key=${clientKey}`
    expect(await mysqlOutcome(at("127.0.0.1", options, CERTIFIED_USER))).toBe("TLSv1.3")
    expect(await mysqlOutcome(at("127.0.0.1", `?ssl_ca=${ca}`, CERTIFIED_USER))).toBe(
      "ER_ACCESS_DENIED_ERROR",
    )
  })

  test("speaks no version of TLS that its URL rules out", async () => {
    const outcome = (versions: string, more = "") =>
      mysqlOutcome(at("localhost", `?tls_version=${versions}${more}`))
    expect(await outcome("TLSv1.2")).toBe("TLSv1.2")
    expect(await outcome("TLSv1.3")).toBe("TLSv1.3")
    expect(await outcome("TLSv1.1")).toBe("tls-version")
    expect(await outcome("TLSv1.1", `&ssl_ca=${ca}`)).toBe("tls-version")
    expect(await outcome("TLSv1.3", `&ssl_ca=${otherCa}`)).toBe("tls-untrusted")
  })

  test("needs no TLS on a unix socket", async () => {
    const through = `mysql://airflow:airflow@/mysql?unix_socket=${socket}`
    expect(await mysqlOutcome(`${through}&ssl_mode=VERIFY_IDENTITY`)).toBe("plain")
  })
})

/** A server that answers the request for TLS in its own way. */
async function answering(answer: (socket: Socket) => void) {
  const asked: string[] = []
  let calls = 0
  const server = createServer((socket) => {
    calls++
    socket.on("error", () => {})
    socket.once("data", (data) => {
      asked.push(Buffer.from(data).toString("hex"))
      answer(socket)
    })
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  const connectAs = (sslmode: string, signal = PATIENT) => {
    const { address, policy } = placeOf(`postgresql://u:p@127.0.0.1:${port}/d?sslmode=${sslmode}`)
    return connectPostgres(address, policy, signal)
  }
  return { asked, calls: () => calls, connectAs, [Symbol.dispose]: () => server.close() }
}

describe("a PostgreSQL server", () => {
  test("that is to begin with TLS is not asked for it first", async () => {
    using server = await answering((socket) => socket.end())
    await expect(server.connectAs("require&sslnegotiation=direct")).rejects.toHaveProperty("code")
    // The record of a ClientHello, where a request would begin with its length.
    expect(server.asked).toEqual([expect.stringMatching(/^1603/)])
  })

  test("that does not say it is one is refused where TLS came first", async () => {
    const { key, certificate: cert } = createAuthority("a").issue("localhost", ["localhost"])
    const server = createTlsServer({ key, cert }, (socket) => socket.on("error", () => {})).listen(0)
    await once(server, "listening")
    const { port } = server.address() as AddressInfo
    const text = `postgresql://u:p@localhost:${port}/d?sslmode=require&sslnegotiation=direct`
    expect(await postgresOutcome(text)).toBe("tls-unavailable")
    server.close()
  })

  test.each(["require", "verify-ca", "verify-full"])(
    "without TLS is refused where the URL says %s",
    async (mode) => {
      using server = await answering((socket) => socket.write("N"))
      await expect(server.connectAs(mode)).rejects.toMatchObject({ code: "TLS_NOT_SUPPORTED" })
    },
  )

  test("without TLS is used where the URL prefers it, on the same connection", async () => {
    using server = await answering((socket) => {
      socket.write("N")
      socket.once("data", (data) => socket.write(`heard ${data}`))
    })
    const socket = await server.connectAs("prefer")
    socket.write("hello")
    expect(String((await once(socket, "data"))[0])).toBe("heard hello")
    expect(server.asked).toEqual(["0000000804d2162f"])
    socket.destroy()
  })

  test.each(["prefer", "require"])(
    "that slips in something before TLS begins is refused where the URL says %s",
    async (mode) => {
      using server = await answering((socket) => socket.write("Sinjected"))
      await expect(server.connectAs(mode)).rejects.toMatchObject({ code: "TLS_NOT_SUPPORTED" })
    },
  )

  test("that hangs up counts as one that may come back", async () => {
    using server = await answering((socket) => socket.end())
    await expect(server.connectAs("require")).rejects.toMatchObject({ code: "ECONNRESET" })
  })

  test("that never answers is left when the signal says so", async () => {
    const leaving = new AbortController()
    using server = await answering(() => leaving.abort(new Error("enough")))
    await expect(server.connectAs("require", leaving.signal)).rejects.toThrow("enough")
  })

  test("is not even called once the signal is aborted", async () => {
    using server = await answering(() => {})
    await expect(server.connectAs("require", AbortSignal.abort(new Error("enough")))).rejects.toThrow(
      "enough",
    )
    expect(server.asked).toEqual([])
  })
})
