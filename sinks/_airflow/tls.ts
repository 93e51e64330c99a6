// How far a database server is trusted, as a plain value, and what to say when that trust fails.
// A URL from Airflow gets what its own options give; one given to us that says nothing verifies chain and host name.
import { isIP } from "node:net"
import type { Secret } from "../../src/credential.ts"
import type { Address } from "./address.ts"
import type { DatabaseUrl } from "./database-url.ts"
import { type Origin, parseTlsOptions, type TlsMode } from "./tls-options.ts"

/** What to ask of a server, and the files (PEM) to do it with. */
export type TlsPolicy = {
  readonly mode: TlsMode
  /** The trusted authorities; undefined for the system's. */
  readonly ca: string | undefined
  /** The client's certificate and private key. */
  readonly cert: string | undefined
  readonly key: string | undefined
  readonly keyPassword: Secret | undefined
  /** libpq's `~/.postgresql`: its root.crt, postgresql.crt and postgresql.key count where the URL names none. */
  readonly libpqFolder: string | undefined
  readonly origin: Origin
}

/** What a URL asks for. `home` is where libpq's folder is. AirflowError `tls-option-invalid`. */
export function tlsPolicy(url: DatabaseUrl, origin: Origin, home?: string): TlsPolicy {
  const { mode, ...files } = parseTlsOptions(url, origin, home)
  const silent = origin === "airflow" || url.addresses.every(isLocal) ? "prefer" : "verify-full"
  // Like libpq and MySQL's own clients: what goes through a socket does not leave the machine.
  const socketsOnly = url.addresses.every(({ socket }) => socket !== undefined)
  return { ...files, mode: socketsOnly ? "off" : (mode ?? silent), keyPassword: url.keyPassword, origin }
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

const UNTRUSTED =
  /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|HANDSHAKE_SSL_ERROR$)/

// By what each gives up: nothing, the host name, all verification, TLS.
const OPTIONS = {
  postgresql: ["sslrootcert=/path/to/ca.pem", "sslmode=verify-ca", "sslmode=require", "sslmode=disable"],
  mysql: ["ssl_ca=/path/to/ca.pem", "ssl_mode=VERIFY_CA", "ssl_mode=REQUIRED", "ssl_mode=DISABLED"],
} as const

/**
 * What a connection's error means, by the codes of Node's TLS and of the drivers, and which option of the URL mends it:
 * the safe way first. Undefined where TLS is not the matter.
 */
export function tlsRefusal(cause: unknown, url: DatabaseUrl, policy: TlsPolicy): TlsRefusal | undefined {
  if (url.dialect === "sqlite" || typeof cause !== "object" || cause === null) return undefined
  const { code, cert } = cause as { code?: unknown; cert?: { subjectaltname?: string } }
  if (typeof code !== "string") return undefined
  const [authority, anyHost, unverified, off] = OPTIONS[url.dialect]
  const add = (option: string) =>
    policy.origin === "given" ? `add ${option} to the URL` : `give the sink a url of its own, with ${option},`
  if (code === NO_TLS || code === "HANDSHAKE_NO_SSL_SUPPORT")
    return {
      code: "tls-unavailable",
      message: "the server does not offer TLS",
      hint: `turn TLS on in the server, or ${add(off)} to connect without it`,
    }
  // mysql2 gives every failed handshake one code; a certificate is at hand only where the name in it was the matter.
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID" || (code === "HANDSHAKE_SSL_ERROR" && cert))
    return {
      code: "tls-wrong-host",
      message: `the server's certificate is for another host${cert?.subjectaltname ? ` (${cert.subjectaltname})` : ""}`,
      hint: `connect by the name in the certificate, or ${add(anyHost)} to trust any host that its authority signed for`,
    }
  if (!UNTRUSTED.test(code)) return undefined
  // To libpq, `require` beside a root certificate means `verify-ca`.
  const alone = url.dialect === "postgresql" && policy.ca !== undefined ? " without sslrootcert" : ""
  return {
    code: "tls-untrusted",
    message: "the server's certificate cannot be verified",
    hint: `${add(authority)} to name the authority that signed it; or ${add(`${unverified}${alone}`)} to encrypt without verifying`,
  }
}
