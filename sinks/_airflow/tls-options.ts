// What the TLS options in a database URL ask for, by dialect and driver: libpq's sslmode, MySQL's ssl_mode and ssl_*.
// An option that cannot be kept is refused, never left out: leaving it out could trust more than was asked.
import { join } from "node:path"
import type { DatabaseUrl } from "./database-url.ts"
import { AirflowError } from "./error.ts"

/**
 * `prefer` tries TLS, unverified, and goes on without it; `require` does not verify; `verify-ca` verifies the chain,
 * `verify-full` the host name as well.
 */
export type TlsMode = "off" | "prefer" | "require" | "verify-ca" | "verify-full"

/** Where a URL comes from: Airflow's configuration, or the options of the sink. */
export type Origin = "airflow" | "given"

/** What a URL asks for; `mode` is undefined where it says nothing. */
export type TlsOptions = {
  readonly mode: TlsMode | undefined
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
  readonly libpqFolder: string | undefined
}

/** Reads the TLS options of a server's URL. AirflowError `tls-option-invalid`. */
export function parseTlsOptions(url: DatabaseUrl, origin: Origin, home: string | undefined): TlsOptions {
  const refused = UNSUPPORTED.find((name) => url.options[name] !== undefined)
  if (refused !== undefined)
    throw invalidOption(
      `${refused} is not supported`,
      "give a url without it; authorities go, in one file, into sslrootcert (PostgreSQL) or ssl_ca (MySQL)",
    )
  return url.dialect === "mysql" ? mysqlOptions(url, origin) : libpqOptions(url, origin, home)
}

const UNSUPPORTED = ["sslcrl", "sslcrldir", "ssl_capath", "ssl_crl", "ssl_crlpath"]

const LIBPQ_MODES: Readonly<Record<string, TlsMode>> = {
  disable: "off",
  // Plain first and TLS if that is refused: the same trust in another order.
  allow: "prefer",
  prefer: "prefer",
  require: "require",
  "verify-ca": "verify-ca",
  "verify-full": "verify-full",
}

function libpqOptions({ options }: DatabaseUrl, origin: Origin, home: string | undefined): TlsOptions {
  const { sslrootcert: ca, sslcert: cert, sslkey: key } = options
  // asyncpg calls libpq's sslmode `ssl`.
  const name = options.sslmode === undefined ? "ssl" : "sslmode"
  const mode = parseMode(name, LIBPQ_MODES, options[name])
  const libpqFolder = home === undefined ? undefined : join(home, ".postgresql")
  // libpq 16: the system's authorities, and then nothing less than the host name.
  if (ca === "system") return { ca: undefined, cert, key, libpqFolder: undefined, mode: "verify-full" }
  if (mode === "require" && ca !== undefined) return { ca, cert, key, libpqFolder, mode: "verify-ca" }
  const implied = ca !== undefined && origin === "given" ? "verify-full" : undefined
  return { ca, cert, key, libpqFolder, mode: mode ?? implied }
}

const MYSQL_MODES: Readonly<Record<string, TlsMode>> = {
  DISABLED: "off",
  PREFERRED: "prefer",
  REQUIRED: "require",
  VERIFY_CA: "verify-ca",
  VERIFY_IDENTITY: "verify-full",
}

// What ssl_ca alone means to SQLAlchemy's drivers; mysqlclient, the usual one, verifies the chain.
const CA_ALONE: Readonly<Record<string, TlsMode>> = {
  pymysql: "verify-full",
  aiomysql: "verify-full",
  asyncmy: "verify-full",
  mysqlconnector: "prefer",
}

function mysqlOptions(url: DatabaseUrl, origin: Origin): TlsOptions {
  const { ssl_ca: ca, ssl_cert: cert, ssl_key: key } = url.options
  return { ca, cert, key, libpqFolder: undefined, mode: mysqlMode(url, origin) }
}

function mysqlMode({ options, driver = "" }: DatabaseUrl, origin: Origin): TlsMode | undefined {
  const says = (name: string) => parseTruth(name, options[name])
  const explicit = parseMode("ssl_mode", MYSQL_MODES, options.ssl_mode?.toUpperCase())
  if (explicit) return explicit
  if (says("ssl_disabled") || says("ssl") === false) return "off"
  if (says("ssl_verify_identity")) return "verify-full"
  if (says("ssl_verify_cert")) return "verify-ca"
  const given = origin === "given"
  if (options.ssl_ca !== undefined) {
    const implied = given ? "verify-full" : (CA_ALONE[driver] ?? "verify-ca")
    return implied === "verify-full" && says("ssl_check_hostname") === false ? "verify-ca" : implied
  }
  if (!says("ssl") && options.ssl_cert === undefined) return undefined
  return given ? "verify-full" : "require"
}

function parseMode<Mode>(
  name: string,
  modes: Readonly<Record<string, Mode>>,
  text: string | undefined,
): Mode | undefined {
  if (text === undefined) return undefined
  if (Object.hasOwn(modes, text)) return modes[text]
  throw invalidOption(
    `${name} has a value that is not known`,
    `${name} is one of ${Object.keys(modes).join(", ")}`,
  )
}

function parseTruth(name: string, text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined
  if (/^(true|yes|on|y|t|1)$/i.test(text)) return true
  if (/^(false|no|off|n|f|0)$/i.test(text)) return false
  throw invalidOption(`${name} has a value that is not known`, `${name} is true or false`)
}

function invalidOption(problem: string, hint: string): AirflowError {
  return new AirflowError(`database URL: ${problem}`, { code: "tls-option-invalid", hint })
}
