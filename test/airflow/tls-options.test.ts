// Every option of a database URL that bears on whom is trusted, and what becomes of it: kept, refused with a way out, or
// left aside because it can weaken nothing.
import { describe, expect, test } from "bun:test"
import { parseDatabaseUrl } from "../../sinks/_airflow/database-url.ts"
import { AirflowError } from "../../sinks/_airflow/error.ts"
import { type TlsPolicy, tlsPolicy } from "../../sinks/_airflow/tls.ts"
import { loadMysqlTls, loadTlsOptions } from "../../sinks/_airflow/tls-files.ts"

const POSTGRES = "postgresql://u:p@db/d?"
const MYSQL = "mysql://u:p@db/d?"

const policyOf = (text: string, origin: TlsPolicy["origin"] = "airflow") =>
  tlsPolicy(parseDatabaseUrl(text), origin)

function refusalOf(text: string, origin: TlsPolicy["origin"] = "airflow"): AirflowError {
  try {
    policyOf(text, origin)
  } catch (error) {
    if (error instanceof AirflowError) return error
    throw error
  }
  throw new Error(`not refused: ${text}`)
}

describe("kept", () => {
  test.each<[string, Partial<TlsPolicy>]>([
    [`${POSTGRES}ssl_min_protocol_version=TLSv1.3`, { minVersion: "TLSv1.3", maxVersion: undefined }],
    [`${POSTGRES}ssl_min_protocol_version=tlsv1.3`, { minVersion: "TLSv1.3" }],
    [`${POSTGRES}ssl_max_protocol_version=TLSv1.2`, { minVersion: undefined, maxVersion: "TLSv1.2" }],
    [
      `${POSTGRES}ssl_min_protocol_version=TLSv1&ssl_max_protocol_version=TLSv1.1`,
      { minVersion: "TLSv1", maxVersion: "TLSv1.1" },
    ],
    [`${POSTGRES}sslmode=require&sslnegotiation=direct`, { direct: true }],
    [`${POSTGRES}sslrootcert=system&sslnegotiation=direct`, { direct: true }],
    [`${POSTGRES}sslnegotiation=postgres`, { direct: false }],
    [`${POSTGRES}sslcert=/c&sslkey=/k&sslcertmode=disable`, { showsCertificate: false }],
    [`${POSTGRES}sslcert=/c&sslkey=/k&sslcertmode=allow`, { showsCertificate: true }],
    [`${MYSQL}tls_version=TLSv1.3`, { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" }],
    [`${MYSQL}tls_version=TLSv1.2,TLSv1.3`, { minVersion: "TLSv1.2", maxVersion: "TLSv1.3" }],
    [
      "mysql+mysqlconnector://h/d?tls_versions=[TLSv1.3, TLSv1.2]",
      { minVersion: "TLSv1.2", maxVersion: "TLSv1.3" },
    ],
    [
      "mysql+mysqlconnector://h/d?tls_versions=%5BTLSv1.2%5D",
      { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" },
    ],
  ])("%s", (text, kept) => {
    expect(policyOf(text)).toMatchObject(kept as TlsPolicy)
    expect(policyOf(text, "given")).toMatchObject(kept as TlsPolicy)
  })

  test("by both drivers", async () => {
    const versions = { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const
    const limits = "ssl_min_protocol_version=TLSv1.2&ssl_max_protocol_version=TLSv1.2"
    expect(await loadTlsOptions(policyOf(`${POSTGRES}${limits}`), "db")).toMatchObject(versions)
    const address = { host: "db", port: 1 }
    const { ssl } = await loadMysqlTls(policyOf(`${MYSQL}tls_version=TLSv1.2`), address)
    expect(ssl).toMatchObject(versions)
    for (const text of [POSTGRES, MYSQL]) {
      const { ssl } = await loadMysqlTls(policyOf(text), address)
      expect(ssl).not.toHaveProperty("minVersion")
      expect(ssl).not.toHaveProperty("maxVersion")
    }
  })
})

describe("refused, with the way out for whoever wrote the URL", () => {
  test.each([
    // Versions that cannot be, to libpq either.
    [`${POSTGRES}ssl_min_protocol_version=sekrit`, "TLSv1.2, TLSv1.3"],
    [`${POSTGRES}ssl_max_protocol_version=SSLv3`, "TLSv1.2, TLSv1.3"],
    [
      `${POSTGRES}ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2`,
      "ssl_max_protocol_version",
    ],
    // libpq's own least version is TLSv1.2.
    [`${POSTGRES}ssl_max_protocol_version=TLSv1.1`, "ssl_max_protocol_version"],
    [`${MYSQL}tls_version=sekrit`, "TLSv1.2, TLSv1.3"],
    [`${MYSQL}tls_version=,`, "TLSv1.2, TLSv1.3"],
    // Between the first and the last would be let in what the list leaves out.
    [`${MYSQL}tls_version=TLSv1.1,TLSv1.3`, "without a gap"],
    // libpq too wants TLS asked for before it begins with it.
    [`${POSTGRES}sslnegotiation=direct`, "sslmode"],
    [`${POSTGRES}sslmode=prefer&sslnegotiation=direct`, "sslmode"],
    [`${POSTGRES}sslnegotiation=sekrit`, "postgres, direct"],
    [`${POSTGRES}sslcertmode=require`, "allow, disable"],
    [`${POSTGRES}channel_binding=require`, "disable, prefer"],
    [`${POSTGRES}gssencmode=require`, "sslmode=verify-full"],
    [`${POSTGRES}require_auth=none`, "without it"],
    [`${POSTGRES}require_auth=scram-sha-256`, "without it"],
    [`${POSTGRES}requirepeer=postgres`, "without it"],
    [`${POSTGRES}requiressl=1`, "sslmode=require"],
    [`${POSTGRES}sslcrl=/crl`, "sslrootcert"],
    [`${POSTGRES}sslcrldir=/crl`, "sslrootcert"],
    [`${POSTGRES}service=sekrit`, "into the url"],
    [`${POSTGRES}scram_server_key=sekrit`, "without it"],
    ["postgresql+asyncpg://u:p@db/d?direct_tls=true", "sslnegotiation=direct"],
    [`${POSTGRES}sslsekrit=1`, "sslrootcert"],
    [`${POSTGRES}SSLMODE=verify-full`, "sslmode"],
    [`${MYSQL}ssl_capath=/etc/ssl`, "ssl_ca"],
    [`${MYSQL}ssl_crl=/crl`, "ssl_ca"],
    [`${MYSQL}ssl_crlpath=/crl`, "ssl_ca"],
    [`${MYSQL}ssl_cipher=ECDHE-RSA-AES128-GCM-SHA256`, "tls_version"],
    [`${MYSQL}tls_cipher=ECDHE-RSA-AES128-GCM-SHA256`, "tls_version"],
    ["mysql+mysqlconnector://u:p@db/d?tls_ciphersuites=[TLS_AES_128_GCM_SHA256]", "tls_version"],
    [`${MYSQL}tls_peer_fp=00:11`, "ssl_ca"],
    [`${MYSQL}server_public_key_path=/key.pem`, "ssl_ca"],
    [`${MYSQL}read_default_file=/etc/my.cnf`, "into the url"],
    ["mysql+mysqlconnector://u:p@db/d?option_files=/etc/my.cnf", "into the url"],
    // The names that managed servers print for the command line, which no driver takes.
    [`${MYSQL}ssl-mode=REQUIRED`, "ssl_mode"],
    [`${MYSQL}sslmode=require`, "ssl_mode"],
  ])("%s", (text, hint) => {
    const refusal = refusalOf(text)
    expect(refusal.code).toBe("tls-option-invalid")
    expect(refusal.hint).toContain(hint)
    expect(`${refusal.message} ${refusal.hint}`).not.toContain("sekrit")
    expect(refusalOf(text, "given").code).toBe("tls-option-invalid")
  })

  test("in Airflow by a url of the sink's own, in ours by leaving it out", () => {
    const text = `${POSTGRES}require_auth=none`
    expect(refusalOf(text).message).toBe("database URL: require_auth is not supported")
    expect(refusalOf(text).hint).toBe("give the sink a url of its own, without it")
    expect(refusalOf(text, "given").hint).toBe("give a url without it")
    expect(refusalOf(`${POSTGRES}sslcertmode=require`)).toMatchObject({
      message: "database URL: sslcertmode is not supported with this value",
      hint: "give the sink a url of its own, without it; supported are allow, disable",
    })
  })
})

describe("left aside, since they weaken nothing", () => {
  test.each([
    ...["channel_binding=disable", "channel_binding=prefer", "gssencmode=disable", "gssencmode=prefer"],
    ...["sslcompression=1", "sslsni=0", "sslkeylogfile=/log", "gsslib=gssapi", "gssdelegation=1"],
    ...["krbsrvname=postgres", "oauth_issuer=https://id", "max_protocol_version=3.2", "passfile=/pass"],
    ...["application_name=airflow", "connect_timeout=5", "keepalives_idle=30", "tcp_user_timeout=1000"],
    ...["client_encoding=utf8", "target_session_attrs=read-write", "load_balance_hosts=random"],
  ])("PostgreSQL's %s", (option) => {
    expect(policyOf(`${POSTGRES}${option}`)).toEqual(policyOf("postgresql://u:p@db/d"))
  })

  test.each([
    ...["charset=utf8mb4", "connect_timeout=5", "read_timeout=5", "client_flag=0", "local_infile=1"],
    ...["use_unicode=1", "init_command=SET+x", "auth_plugin=mysql_clear_password", "compress=1"],
  ])("MySQL's %s", (option) => {
    expect(policyOf(`${MYSQL}${option}`)).toEqual(policyOf("mysql://u:p@db/d"))
  })
})
