// The servers that all other tests stand on: each answers the way its users will ask it.
import { expect, test } from "bun:test"
import postgres from "postgres"
import { ADMIN, CERTIFIED_USER, TLS_ONLY_USER } from "../scripts/services/ground.ts"
import { describeWithService, freshDatabase, tlsFiles } from "./support/services.ts"

type PostgresOptions = postgres.Options<Record<string, never>>

async function askPostgres(url: string, options: PostgresOptions = {}): Promise<string> {
  const sql = postgres(url, { max: 1, connect_timeout: 10, ...options })
  try {
    const [row] = await sql`select current_database() || ' as ' || current_user as answer`
    return row?.answer
  } finally {
    await sql.end({ timeout: 1 })
  }
}

describeWithService("postgres", "PostgreSQL", ({ url, socket, wrongNameHost }) => {
  const on = (change: { user?: string; host?: string | undefined }) => {
    const changed = new URL(url)
    if (change.user) changed.username = change.user
    if (change.host) changed.hostname = change.host
    return changed.href
  }
  const trusted = async () => ({ ca: await Bun.file(tlsFiles().ca).text() })

  test("gives each test file a database of its own", async () => {
    const [one, other] = [await freshDatabase("postgres", "mine"), await freshDatabase("postgres", "mine")]
    expect(one).not.toBe(other)
    expect(await askPostgres(one)).toBe(`${new URL(one).pathname.slice(1)} as airflow`)
  })

  test("refuses a wrong password", async () => {
    await expect(askPostgres(url, { password: "wrong" })).rejects.toMatchObject({ code: "28P01" })
  })

  test("answers on its unix socket", async () => {
    const port = Number(new URL(url).port)
    expect(
      await askPostgres("", { host: socket, port, user: ADMIN, password: ADMIN, database: "postgres" }),
    ).toBe("postgres as airflow")
  })

  test("shows a certificate that its authority vouches for, and no other", async () => {
    expect(await askPostgres(url, { ssl: await trusted() })).toBe("postgres as airflow")
    const other = { ca: await Bun.file(tlsFiles().otherCa).text() }
    await expect(askPostgres(url, { ssl: other })).rejects.toMatchObject({
      code: "SELF_SIGNED_CERT_IN_CHAIN",
    })
  })

  test.skipIf(wrongNameHost === undefined)("listens where its certificate has the wrong name", async () => {
    const elsewhere = on({ host: wrongNameHost })
    expect(await askPostgres(elsewhere)).toBe("postgres as airflow")
    await expect(askPostgres(elsewhere, { ssl: await trusted() })).rejects.toMatchObject({
      code: "ERR_TLS_CERT_ALTNAME_INVALID",
    })
  })

  test("lets a user in over TLS only, and another by certificate", async () => {
    await expect(askPostgres(on({ user: TLS_ONLY_USER }))).rejects.toMatchObject({ code: "28000" })
    expect(await askPostgres(on({ user: TLS_ONLY_USER }), { ssl: "require" })).toBe("postgres as tls_only")
    const { clientCertificate, clientKey } = tlsFiles()
    const [cert, key] = [await Bun.file(clientCertificate).text(), await Bun.file(clientKey).text()]
    const certified = on({ user: CERTIFIED_USER })
    expect(await askPostgres(certified, { ssl: { ...(await trusted()), cert, key } })).toBe(
      "postgres as certified",
    )
    await expect(askPostgres(certified, { ssl: await trusted() })).rejects.toMatchObject({ code: "28000" })
  })
})
