// What the TLS options in a database URL ask for, by dialect and driver: libpq's sslmode, MySQL's ssl_mode and ssl_*.
// An option that cannot be kept is refused, never left out: leaving it out could trust more than was asked.
import { join } from "node:path"
import type { DatabaseUrl } from "./database-url.ts"
import { invalidOption, type Origin, requireKeepable } from "./tls-refused.ts"
import { libpqVersions, mysqlVersions, type TlsVersions } from "./tls-versions.ts"

/**
 * `prefer` tries TLS, unverified, and goes on without it; `require` does not verify; `verify-ca` verifies the chain,
 * `verify-full` the host name as well.
 */
export type TlsMode = "off" | "prefer" | "require" | "verify-ca" | "verify-full"

/**
 * Whom to trust beside the files: `none`, so that it takes a file to verify at all, as libpq does; `machine`, what this
 * machine's own store holds; `runtime`, whoever the runtime trusts, where there is no file.
 */
type Authorities = "none" | "machine" | "runtime"

/** What a URL asks for; `mode` is undefined where it says nothing. */
export type TlsOptions = TlsVersions & {
  readonly mode: TlsMode | undefined
  /** The file of the trusted authorities. */
  readonly ca: string | undefined
  readonly authorities: Authorities
  /** The files of the client's certificate and private key. */
  readonly cert: string | undefined
  readonly key: string | undefined
  /** libpq's `~/.postgresql`: its root.crt, postgresql.crt and postgresql.key count where the URL names none. */
  readonly libpqFolder: string | undefined
  /** Whether the server may see the client's certificate where there is one. */
  readonly showsCertificate: boolean
  /** TLS from the first byte on, without PostgreSQL's request for it. */
  readonly direct: boolean
}

/** Reads the TLS options of a server's URL. AirflowError `tls-option-invalid`. */
export function parseTlsOptions(url: DatabaseUrl, origin: Origin, home: string | undefined): TlsOptions {
  requireKeepable(url, origin)
  return url.dialect === "mysql" ? mysqlOptions(url, origin) : libpqOptions(url, origin, home)
}

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
  const mode = libpqMode(options, origin)
  const direct = options.sslnegotiation === "direct"
  if (direct && (mode === undefined || mode === "off" || mode === "prefer"))
    throw invalidOption(
      "sslnegotiation=direct starts with TLS, which sslmode does not ask for",
      "set sslmode to require, verify-ca or verify-full",
    )
  const folder = home === undefined ? undefined : join(home, ".postgresql")
  return {
    ...libpqVersions(options),
    ...(ca === "system"
      ? { ca: undefined, libpqFolder: undefined, authorities: "machine" }
      : { ca, libpqFolder: folder, authorities: origin === "given" ? "runtime" : "none" }),
    ...{ mode, cert, key, direct },
    showsCertificate: options.sslcertmode !== "disable",
  }
}

function libpqMode(options: DatabaseUrl["options"], origin: Origin): TlsMode | undefined {
  // asyncpg calls libpq's sslmode `ssl`.
  const name = options.sslmode === undefined ? "ssl" : "sslmode"
  const mode = parseMode(name, LIBPQ_MODES, options[name])
  // libpq 16: the system's authorities, and then nothing less than the host name.
  if (options.sslrootcert === "system") return "verify-full"
  if (options.sslrootcert === undefined) return mode
  if (mode === "require") return "verify-ca"
  return mode ?? (origin === "given" ? "verify-full" : undefined)
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
  return {
    ...mysqlVersions(url.options),
    ...{ ca, cert, key, libpqFolder: undefined, mode: mysqlMode(url, origin) },
    ...{ authorities: "runtime", direct: false, showsCertificate: true },
  }
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
