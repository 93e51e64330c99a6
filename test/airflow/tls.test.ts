import { describe, expect, test } from "bun:test"
import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import type { PeerCertificate } from "node:tls"
import { createAuthority } from "../../scripts/services/certificate.ts"
import { parseDatabaseUrl } from "../../sinks/_airflow/database-url.ts"
import { AirflowError } from "../../sinks/_airflow/error.ts"
import { type TlsPolicy, tlsPolicy, tlsRefusal } from "../../sinks/_airflow/tls.ts"
import { loadMysqlTls, loadTlsOptions } from "../../sinks/_airflow/tls-files.ts"
import { temporaryFolder } from "./folder.ts"

type Origin = TlsPolicy["origin"]

const policyOf = (text: string, origin: Origin, home?: string) =>
  tlsPolicy(parseDatabaseUrl(text), origin, home)

function refusalOf(text: string): AirflowError {
  try {
    policyOf(text, "airflow")
  } catch (error) {
    if (error instanceof AirflowError) return error
  }
  throw new Error(`not refused: ${text}`)
}

describe("a URL from Airflow is trusted as its own options say", () => {
  test.each([
    ["postgresql://h/d", "prefer"],
    ["postgresql://h/d?sslmode=disable", "off"],
    ["postgresql://h/d?sslmode=allow", "prefer"],
    ["postgresql://h/d?sslmode=prefer", "prefer"],
    ["postgresql://h/d?sslmode=require", "require"],
    ["postgresql://h/d?sslmode=require&sslrootcert=/ca", "verify-ca"],
    ["postgresql://h/d?sslmode=verify-ca", "verify-ca"],
    ["postgresql://h/d?sslmode=verify-full&sslrootcert=/ca", "verify-full"],
    // libpq's default goes on without TLS, so nobody is kept out by this certificate.
    ["postgresql://h/d?sslrootcert=/ca", "prefer"],
    ["postgresql://h/d?sslrootcert=system", "verify-full"],
    ["postgresql+asyncpg://h/d?ssl=require", "require"],
    ["postgresql:///d?host=/run/pg&sslmode=verify-full", "off"],
    ["mysql://h/d", "prefer"],
    ["mysql://h/d?ssl_mode=DISABLED", "off"],
    ["mysql://h/d?ssl_mode=PREFERRED&ssl_ca=/ca", "prefer"],
    ["mysql://h/d?ssl_mode=REQUIRED", "require"],
    ["mysql://h/d?ssl_mode=VERIFY_CA&ssl_ca=/ca", "verify-ca"],
    ["mysql+mysqldb://h/d?ssl_mode=VERIFY_IDENTITY", "verify-full"],
    ["mysql://h/d?ssl_ca=/ca", "verify-ca"],
    ["mysql+mysqldb://h/d?ssl_ca=/ca&ssl_check_hostname=true", "verify-ca"],
    ["mysql+pymysql://h/d?ssl_ca=/ca", "verify-full"],
    ["mysql+pymysql://h/d?ssl_ca=/ca&ssl_check_hostname=false", "verify-ca"],
    ["mysql+pymysql://h/d?ssl_cert=/c&ssl_key=/k", "require"],
    ["mysql+pymysql://h/d?ssl_verify_cert=true", "verify-ca"],
    ["mysql+pymysql://h/d?ssl_verify_identity=1", "verify-full"],
    ["mysql+pymysql://h/d?ssl_disabled=true&ssl_ca=/ca", "off"],
    ["mysql+mysqlconnector://h/d?ssl_ca=/ca", "prefer"],
    ["mysql+mysqlconnector://h/d?ssl_ca=/ca&ssl_verify_cert=true", "verify-ca"],
    ["mysql://h/d?ssl=true", "require"],
    ["mysql://h/d?ssl=false", "off"],
    ["mysql://h/d?unix_socket=/run/m.sock&ssl_mode=REQUIRED", "off"],
  ] as const)("%s: %s", (text, mode) => {
    expect(policyOf(text, "airflow").mode).toBe(mode)
  })
})

describe("a URL given to us", () => {
  test.each([
    ["postgresql://db/d", "verify-full"],
    ["postgresql://10.0.0.1/d", "verify-full"],
    ["mysql://db/d", "verify-full"],
    ["mysql+pymysql://db/d?charset=utf8mb4", "verify-full"],
    ["postgresql:///d?host=h1&host=localhost", "verify-full"],
    ["postgresql://127.example/d", "verify-full"],
    ["postgresql://localhost.example/d", "verify-full"],
  ] as const)("that says nothing verifies chain and host name: %s", (text, mode) => {
    expect(policyOf(text, "given").mode).toBe(mode)
  })

  test.each([
    ["postgresql://localhost/d", "prefer"],
    ["postgresql://127.0.0.1/d", "prefer"],
    ["postgresql://127.1.2.3/d", "prefer"],
    ["postgresql://[::1]/d", "prefer"],
    ["mysql:///d", "prefer"],
    ["postgresql:///d", "off"],
    ["mysql:///d?unix_socket=/run/m.sock", "off"],
  ] as const)("that stays on this machine needs no TLS: %s", (text, mode) => {
    expect(policyOf(text, "given").mode).toBe(mode)
  })

  test.each([
    ["postgresql://db/d?sslmode=disable", "off"],
    ["postgresql://db/d?sslmode=require", "require"],
    ["postgresql://db/d?sslmode=verify-ca", "verify-ca"],
    ["postgresql://localhost/d?sslmode=verify-full", "verify-full"],
    ["postgresql://localhost/d?sslrootcert=/ca", "verify-full"],
    ["mysql://db/d?ssl_mode=REQUIRED", "require"],
    ["mysql://db/d?ssl_mode=verify_ca", "verify-ca"],
    ["mysql://localhost/d?ssl_ca=/ca", "verify-full"],
    ["mysql://db/d?ssl_ca=/ca&ssl_check_hostname=false", "verify-ca"],
    ["mysql://localhost/d?ssl=true", "verify-full"],
    ["mysql+mysqldb://localhost/d?ssl_cert=/c&ssl_key=/k", "verify-full"],
  ] as const)("that says something is taken at its word: %s", (text, mode) => {
    expect(policyOf(text, "given").mode).toBe(mode)
  })
})

test("names the files, and libpq's folder for PostgreSQL alone", () => {
  const postgres = policyOf(
    "postgresql://h/d?sslrootcert=/ca&sslcert=/c&sslkey=/k&sslpassword=pw",
    "given",
    "/home/a",
  )
  expect(postgres).toMatchObject({ ca: "/ca", cert: "/c", key: "/k", libpqFolder: "/home/a/.postgresql" })
  expect(postgres.keyPassword?.reveal()).toBe("pw")
  const mysql = policyOf("mysql://h/d?ssl_ca=/ca&ssl_cert=/c&ssl_key=/k", "given", "/home/a")
  expect(mysql).toMatchObject({ ca: "/ca", cert: "/c", key: "/k", libpqFolder: undefined })
  expect(policyOf("postgresql://h/d?sslrootcert=system", "given", "/home/a").libpqFolder).toBeUndefined()
})

test.each([
  ["postgresql://u:sekrit@h/d?sslmode=sekrit", "verify-full"],
  ["postgresql://h/d?sslmode=constructor", "verify-full"],
  ["postgresql://h/d?ssl=sekrit", "verify-full"],
  ["mysql://h/d?ssl_mode=sekrit", "VERIFY_IDENTITY"],
  ["mysql://h/d?ssl_verify_cert=sekrit", "true or false"],
  ["postgresql://h/d?sslcrl=/crl", "sslrootcert"],
  ["mysql://h/d?ssl_capath=/etc/ssl", "ssl_ca"],
])("refuses what it cannot keep, with what it can: %s", (text, hint) => {
  const refusal = refusalOf(text)
  expect(refusal.code).toBe("tls-option-invalid")
  expect(refusal.hint).toContain(hint)
  expect(`${refusal.message} ${refusal.hint}`).not.toContain("sekrit")
})

describe("a refusal names the option to add", () => {
  const WRONG_HOST = { code: "ERR_TLS_CERT_ALTNAME_INVALID", cert: { subjectaltname: "DNS:db.example" } }
  test.each([
    ["postgresql://db/d", { code: "TLS_NOT_SUPPORTED" }, "tls-unavailable", "sslmode=disable"],
    ["mysql://db/d", { code: "HANDSHAKE_NO_SSL_SUPPORT" }, "tls-unavailable", "ssl_mode=DISABLED"],
    ["postgresql://db/d", WRONG_HOST, "tls-wrong-host", "sslmode=verify-ca"],
    ["mysql://db/d", { ...WRONG_HOST, code: "HANDSHAKE_SSL_ERROR" }, "tls-wrong-host", "ssl_mode=VERIFY_CA"],
    ["postgresql://db/d", { code: "SELF_SIGNED_CERT_IN_CHAIN" }, "tls-untrusted", "sslrootcert="],
    ["postgresql://db/d", { code: "CERT_HAS_EXPIRED" }, "tls-untrusted", "sslmode=require"],
    [
      "postgresql://db/d?sslrootcert=/ca",
      { code: "CERT_UNTRUSTED" },
      "tls-untrusted",
      "sslmode=require without sslrootcert",
    ],
    ["mysql://db/d", { code: "HANDSHAKE_SSL_ERROR" }, "tls-untrusted", "ssl_ca="],
    [
      "postgresql://db/d?sslmode=require&sslnegotiation=direct",
      { code: "TLS_NOT_DIRECT" },
      "tls-unavailable",
      "sslnegotiation=postgres",
    ],
  ] as const)("%s %p: %s", (text, cause, code, option) => {
    const refusal = tlsRefusal(cause, parseDatabaseUrl(text), policyOf(text, "given"))
    expect(refusal?.code).toBe(code)
    expect(refusal?.hint).toContain(`add ${option}`)
  })

  test.each([
    ["postgresql://db/d", { code: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION" }, "ssl_min_protocol_version"],
    ["postgresql://db/d", { code: "ERR_SSL_UNSUPPORTED_PROTOCOL" }, "ssl_min_protocol_version"],
    // mysql2 has one code for all of the handshake; a certificate that is not trusted is not the TLS library's error.
    [
      "mysql://db/d?tls_version=TLSv1.3",
      { code: "HANDSHAKE_SSL_ERROR", library: "SSL routines" },
      "tls_version",
    ],
  ])("or that limits the versions: %s %p", (text, cause, option) => {
    const refusal = tlsRefusal(cause, parseDatabaseUrl(text), policyOf(text, "given"))
    expect(refusal?.code).toBe("tls-version")
    expect(refusal?.hint).toContain(option)
  })

  test("and whom the certificate is for", () => {
    const refusal = tlsRefusal(
      WRONG_HOST,
      parseDatabaseUrl("postgresql://db/d"),
      policyOf("postgresql://db/d", "given"),
    )
    expect(refusal?.message).toContain("DNS:db.example")
  })

  test("and leaves Airflow's own URL alone", () => {
    const text = "postgresql://db/d?sslmode=require"
    const refusal = tlsRefusal(
      { code: "TLS_NOT_SUPPORTED" },
      parseDatabaseUrl(text),
      policyOf(text, "airflow"),
    )
    expect(refusal?.hint).toContain("a url of its own, with sslmode=disable")
  })

  test.each([{ code: "ECONNREFUSED" }, { code: "28P01" }, new Error("no code"), "text", undefined, null])(
    "but not where TLS is not the matter: %p",
    (cause) => {
      expect(
        tlsRefusal(cause, parseDatabaseUrl("mysql://db/d"), policyOf("mysql://db/d", "given")),
      ).toBeUndefined()
    },
  )
})

describe("certificate files", () => {
  test("are those that the URL names, and of libpq's folder where it names none", async () => {
    await using folder = await temporaryFolder()
    const libpq = join(folder.path, ".postgresql")
    await mkdir(libpq)
    for (const name of ["root.crt", "postgresql.crt", "postgresql.key"])
      await writeFile(join(libpq, name), `usual ${name}`)
    const named = join(folder.path, "ca.pem")
    await writeFile(named, "named")
    const usual = await loadTlsOptions(
      policyOf("postgresql://h/d?sslmode=verify-ca", "airflow", folder.path),
      "h",
    )
    expect(usual).toMatchObject({
      ca: "usual root.crt",
      cert: "usual postgresql.crt",
      key: "usual postgresql.key",
    })
    const policy = policyOf(`postgresql://h/d?sslmode=verify-ca&sslrootcert=${named}`, "airflow", folder.path)
    expect((await loadTlsOptions(policy, "h")).ca).toBe("named")
  })

  test("make `require` verify the chain where libpq's folder has a root.crt, and only there", async () => {
    await using folder = await temporaryFolder()
    const policy = policyOf("postgresql://h/d?sslmode=require", "airflow", folder.path)
    expect((await loadTlsOptions(policy, "h")).rejectUnauthorized).toBe(false)
    await mkdir(join(folder.path, ".postgresql"))
    await writeFile(join(folder.path, ".postgresql", "root.crt"), "ca")
    expect((await loadTlsOptions(policy, "h")).rejectUnauthorized).toBe(true)
  })

  test.each(["verify-ca", "verify-full"])(
    "must be there to libpq before it says %s, and so must they for a URL of Airflow's",
    async (mode) => {
      await using folder = await temporaryFolder()
      const text = `postgresql://h/d?sslmode=${mode}`
      const refused = loadTlsOptions(policyOf(text, "airflow", folder.path), "h")
      await expect(refused).rejects.toMatchObject({
        code: "tls-authority-missing",
        message: expect.stringContaining(join(folder.path, ".postgresql", "root.crt")),
        hint: expect.stringContaining("a url of its own with sslrootcert=/path/to/ca.pem"),
      })
      const homeless = loadTlsOptions(policyOf(text, "airflow"), "h")
      await expect(homeless).rejects.toMatchObject({ code: "tls-authority-missing" })
      const given = await loadTlsOptions(policyOf(text, "given", folder.path), "h")
      expect(given).not.toHaveProperty("ca")
      expect(given.rejectUnauthorized).toBe(true)
    },
  )

  test("that revoke others are refused where libpq would heed them", async () => {
    await using folder = await temporaryFolder()
    const libpq = join(folder.path, ".postgresql")
    await mkdir(libpq)
    for (const name of ["root.crt", "root.crl"]) await writeFile(join(libpq, name), "x")
    const load = (mode: string, origin: Origin = "airflow") =>
      loadTlsOptions(policyOf(`postgresql://h/d?sslmode=${mode}`, origin, folder.path), "h")
    for (const mode of ["require", "verify-ca", "verify-full"])
      await expect(load(mode)).rejects.toMatchObject({
        code: "tls-option-invalid",
        message: expect.stringContaining("root.crl"),
      })
    expect((await load("prefer")).rejectUnauthorized).toBe(false)
    expect((await load("verify-full", "given")).rejectUnauthorized).toBe(true)
  })

  describe("for sslrootcert=system", () => {
    // In a process of its own: a runtime looks into the machine's store once.
    const from = (name: string) => JSON.stringify(import.meta.resolve(`../../sinks/_airflow/${name}.ts`))
    const program = `
      import { parseDatabaseUrl } from ${from("database-url")}
      import { tlsPolicy } from ${from("tls")}
      import { loadTlsOptions } from ${from("tls-files")}
      const policy = tlsPolicy(parseDatabaseUrl("postgresql://h/d?sslrootcert=system"), "airflow")
      console.log(await loadTlsOptions(policy, "h").then(({ ca }) => String(ca), ({ code }) => code))`
    const authorities = (env: Record<string, string>) =>
      Bun.spawnSync([process.execPath, "-e", program], { env }).stdout.toString().trim()

    test("are those that this machine trusts, and none of the runtime's own", async () => {
      await using folder = await temporaryFolder()
      const { certificate } = createAuthority("of this machine alone")
      const file = join(folder.path, "machine.pem")
      await writeFile(file, certificate)
      expect(authorities({ SSL_CERT_FILE: file, SSL_CERT_DIR: "/nowhere" })).toBe(certificate.trim())
    })

    test("must be there", () => {
      const none = authorities({ SSL_CERT_FILE: "/dev/null", SSL_CERT_DIR: "/nowhere" })
      expect(none).toBe("tls-authority-missing")
    })
  })

  test("that cannot be read are named", async () => {
    const policy = policyOf("mysql://h/d?ssl_ca=/nowhere/ca.pem", "given")
    const reading = loadTlsOptions(policy, "h")
    await expect(reading).rejects.toThrow("/nowhere/ca.pem: cannot be read (ENOENT)")
    await expect(reading).rejects.toMatchObject({ code: "tls-file-unreadable" })
  })
})

describe("the drivers' options", () => {
  // Only the names matter here.
  const certificate = {
    subject: { CN: "x" },
    subjectaltname: "DNS:localhost, IP Address:127.0.0.1",
  } as PeerCertificate

  test.each([
    ["127.0.0.1", undefined],
    ["127.0.0.2", "ERR_TLS_CERT_ALTNAME_INVALID"],
    ["localhost", undefined],
    ["db", "ERR_TLS_CERT_ALTNAME_INVALID"],
  ])("verify the host of the URL, whatever the driver takes for it: %s", async (host, code) => {
    const { checkServerIdentity } = await loadTlsOptions(
      policyOf(`postgresql://${host}/d?sslmode=verify-full`, "given"),
      host,
    )
    expect((checkServerIdentity?.("localhost", certificate) as NodeJS.ErrnoException | undefined)?.code).toBe(
      code,
    )
  })

  test.each(["off", "prefer", "require", "verify-ca"])("do not verify the host for %s", async (mode) => {
    const policy = { ...policyOf("postgresql://db/d", "given"), mode: mode as TlsPolicy["mode"] }
    const { checkServerIdentity, rejectUnauthorized } = await loadTlsOptions(policy, "db")
    expect(checkServerIdentity?.("db", certificate)).toBeUndefined()
    expect(rejectUnauthorized).toBe(mode === "verify-ca")
  })

  test.each([
    ["mysql://db/d", { rejectUnauthorized: true, verifyIdentity: true }, false],
    ["mysql://db/d?ssl_mode=VERIFY_CA", { rejectUnauthorized: true, verifyIdentity: false }, false],
    ["mysql://db/d?ssl_mode=REQUIRED", { rejectUnauthorized: false, verifyIdentity: false }, false],
    ["mysql://db/d?ssl_mode=PREFERRED", { rejectUnauthorized: false, verifyIdentity: false }, true],
    ["mysql://db/d?ssl_mode=DISABLED", undefined, false],
    ["mysql:///d?unix_socket=/run/m.sock", undefined, false],
  ])("of mysql2 for %s", async (text, ssl, orPlain) => {
    const { addresses } = parseDatabaseUrl(text)
    if (!addresses[0]) throw new Error("no address")
    expect(await loadMysqlTls(policyOf(text, "given"), addresses[0])).toEqual({
      ssl,
      orPlain,
      stream: undefined,
    })
  })

  test("give mysql2 a connection of our own where an IP address is to be verified", async () => {
    const policy = policyOf("mysql://127.0.0.1:1/d?ssl_mode=VERIFY_IDENTITY", "given")
    const { stream } = await loadMysqlTls(policy, { host: "127.0.0.1", port: 1 })
    const socket = stream?.().on("error", () => {})
    expect(socket).toHaveProperty("_host", "127.0.0.1")
    socket?.destroy()
  })
})
