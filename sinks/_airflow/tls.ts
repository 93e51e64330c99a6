// How far a database server is trusted, as a plain value, and what to say when that trust fails.
// A URL from Airflow gets what its own options give; one given to us that says nothing verifies chain and host name.
import { isIP } from "node:net"
import type { Secret } from "../../src/credential.ts"
import type { Address } from "./address.ts"
import type { DatabaseUrl } from "./database-url.ts"
import { parseTlsOptions, type TlsMode, type TlsOptions } from "./tls-options.ts"
import type { Origin } from "./tls-refused.ts"

/** What to ask of a server, and the files (PEM) to do it with. */
export type TlsPolicy = Omit<TlsOptions, "mode"> & {
  readonly mode: TlsMode
  readonly keyPassword: Secret | undefined
  readonly origin: Origin
}

/** What a URL asks for. `home` is where libpq's folder is. AirflowError `tls-option-invalid`. */
export function tlsPolicy(url: DatabaseUrl, origin: Origin, home?: string): TlsPolicy {
  const { mode, ...options } = parseTlsOptions(url, origin, home)
  const silent = origin === "airflow" || url.addresses.every(isLocal) ? "prefer" : "verify-full"
  // Like libpq and MySQL's own clients: what goes through a socket does not leave the machine.
  const socketsOnly = url.addresses.every(({ socket }) => socket !== undefined)
  return { ...options, mode: socketsOnly ? "off" : (mode ?? silent), keyPassword: url.keyPassword, origin }
}

/** Whether an address does not leave this machine. */
export function isLocal({ host, socket }: Address): boolean {
  if (socket !== undefined || host === "localhost" || host === "::1") return true
  return isIP(host) === 4 && host.startsWith("127.")
}

/** Why TLS did not come about, for the person. */
export type TlsRefusal = { readonly code: string; readonly message: string; readonly hint: string }

/** The code of the error for a PostgreSQL server without TLS; mysql2 has its own. */
export const NO_TLS = "TLS_NOT_SUPPORTED"
/** And for one that is not PostgreSQL 17 or later where TLS comes first. */
export const NO_DIRECT_TLS = "TLS_NOT_DIRECT"

const UNTRUSTED =
  /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|HANDSHAKE_SSL_ERROR$)/

// BoringSSL's, OpenSSL's and rustls' codes; an alert, and a server's choice that was ruled out.
const NO_COMMON_VERSION = /^ERR_SSL_(TLSV1_ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|WRONG_SSL_VERSION)$/

// By what each gives up: nothing, the host name, all verification, TLS.
const OPTIONS = {
  postgresql: ["sslrootcert=/path/to/ca.pem", "sslmode=verify-ca", "sslmode=require", "sslmode=disable"],
  mysql: ["ssl_ca=/path/to/ca.pem", "ssl_mode=VERIFY_CA", "ssl_mode=REQUIRED", "ssl_mode=DISABLED"],
} as const

const VERSIONS = {
  postgresql: "ssl_min_protocol_version and ssl_max_protocol_version",
  mysql: "tls_version",
} as const

/**
 * What a connection's error means, by the codes of Node's TLS and of the drivers, and which option of the URL mends it:
 * the safe way first. Undefined where TLS is not the matter.
 */
export function tlsRefusal(cause: unknown, url: DatabaseUrl, policy: TlsPolicy): TlsRefusal | undefined {
  if (url.dialect === "sqlite" || typeof cause !== "object" || cause === null) return undefined
  if (typeof (cause as Handshake).code !== "string") return undefined
  return noTls(cause as Handshake, url.dialect, policy) ?? noTrust(cause as Handshake, url.dialect, policy)
}

type Handshake = {
  readonly code: string
  readonly library?: unknown
  readonly cert?: { readonly subjectaltname?: string }
}
type ServerDialect = keyof typeof OPTIONS

const adding = (option: string, { origin }: TlsPolicy) =>
  origin === "given" ? `add ${option} to the URL` : `give the sink a url of its own, with ${option},`

function noTls(cause: Handshake, dialect: ServerDialect, policy: TlsPolicy): TlsRefusal | undefined {
  if (cause.code === NO_TLS || cause.code === "HANDSHAKE_NO_SSL_SUPPORT")
    return {
      code: "tls-unavailable",
      message: "the server does not offer TLS",
      hint: `turn TLS on in the server, or ${adding(OPTIONS[dialect][3], policy)} to connect without it`,
    }
  if (cause.code === NO_DIRECT_TLS)
    return {
      code: "tls-unavailable",
      message: "the server does not start with TLS as PostgreSQL 17 can",
      hint: `${adding("sslnegotiation=postgres", policy)} to ask the server for TLS first`,
    }
  if (!NO_COMMON_VERSION.test(cause.code) && !isAboutVersions(cause, policy)) return undefined
  return {
    code: "tls-version",
    message: "the server speaks no version of TLS that is allowed here",
    hint: `let the server speak TLS 1.2 or 1.3, or check what the URL allows with ${VERSIONS[dialect]}`,
  }
}

// mysql2's one code for all of the handshake. What Node finds wrong with a certificate is no error of the TLS library.
function isAboutVersions({ code, library }: Handshake, policy: TlsPolicy): boolean {
  if (code !== "HANDSHAKE_SSL_ERROR" || !(policy.minVersion ?? policy.maxVersion)) return false
  return library !== undefined || !policy.mode.startsWith("verify-")
}

function noTrust(
  { code, cert }: Handshake,
  dialect: ServerDialect,
  policy: TlsPolicy,
): TlsRefusal | undefined {
  const [authority, anyHost, unverified] = OPTIONS[dialect]
  // mysql2 gives every failed handshake one code; a certificate is at hand only where the name in it was the matter.
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID" || (code === "HANDSHAKE_SSL_ERROR" && cert))
    return {
      code: "tls-wrong-host",
      message: `the server's certificate is for another host${cert?.subjectaltname ? ` (${cert.subjectaltname})` : ""}`,
      hint: `connect by the name in the certificate, or ${adding(anyHost, policy)} to trust any host that its CA signed for`,
    }
  if (!UNTRUSTED.test(code)) return undefined
  // To libpq, `require` beside a root certificate means `verify-ca`.
  const alone = dialect === "postgresql" && policy.ca !== undefined ? " without sslrootcert" : ""
  return {
    code: "tls-untrusted",
    message: "the server's certificate cannot be verified",
    hint: `${adding(authority, policy)} to name the authority that signed it; or ${adding(`${unverified}${alone}`, policy)} to encrypt without verifying`,
  }
}
