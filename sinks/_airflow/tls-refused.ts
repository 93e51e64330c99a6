// Options of a database URL that bear on whom is trusted and that we cannot keep. They are refused, never left out: that
// could trust more than was asked. So is any other option that begins with ssl, tls or gss and is not known here.
import type { DatabaseUrl } from "./database-url.ts"
import { AirflowError } from "./error.ts"

/** Where a URL comes from: Airflow's configuration, or the options of the sink. */
export type Origin = "airflow" | "given"

type Refusal = {
  /** Values that ask for nothing but what is done all the same. */
  readonly but?: readonly string[]
  /** What to do in its place. */
  readonly instead?: string
}

const AUTHORITIES = "authorities go, in one file, into "
// They hold options of any kind, and the address and the password as well.
const OPTION_FILE: Refusal = { instead: "put what the file says into the url" }

const POSTGRES: Readonly<Record<string, Refusal>> = {
  sslcrl: { instead: `${AUTHORITIES}sslrootcert` },
  sslcrldir: { instead: `${AUTHORITIES}sslrootcert` },
  // Whether the server asked for the client's certificate, no runtime tells.
  sslcertmode: { but: ["allow", "disable"] },
  sslnegotiation: { but: ["postgres", "direct"] },
  // The driver logs in by whatever way the server asks for, and without channel binding.
  require_auth: {},
  channel_binding: { but: ["disable", "prefer"], instead: "sslmode=verify-full verifies the server too" },
  scram_client_key: {},
  scram_server_key: {},
  gssencmode: { but: ["disable", "prefer"], instead: "sslmode=verify-full encrypts too" },
  // Whose process is at the other end of a socket, no runtime tells.
  requirepeer: {},
  // The name of before 7.4; which of the two counts, libpq decides by their order.
  requiressl: { instead: "write sslmode=require" },
  service: OPTION_FILE,
  servicefile: OPTION_FILE,
  // asyncpg's.
  direct_tls: { instead: "write sslmode=require and sslnegotiation=direct" },
}

// Deno's TLS takes no notice of a list of ciphers.
const CIPHERS: Refusal = { instead: "use tls_version to limit what may be negotiated" }
const PINNED: Refusal = { instead: "name the certificate itself as the authority, with ssl_ca" }

const MYSQL: Readonly<Record<string, Refusal>> = {
  ssl_capath: { instead: `${AUTHORITIES}ssl_ca` },
  ssl_crl: { instead: `${AUTHORITIES}ssl_ca` },
  ssl_crlpath: { instead: `${AUTHORITIES}ssl_ca` },
  ssl_cipher: CIPHERS,
  tls_cipher: CIPHERS,
  tls_ciphersuites: CIPHERS,
  // MariaDB's own driver.
  tls_fp: PINNED,
  tls_fp_list: PINNED,
  tls_peer_fp: PINNED,
  tls_peer_fp_list: PINNED,
  // The key that a password is encrypted for where there is no TLS.
  server_public_key: { instead: "name the server's authority with ssl_ca" },
  server_public_key_path: { instead: "name the server's authority with ssl_ca" },
  read_default_file: OPTION_FILE,
  read_default_group: OPTION_FILE,
  default_file: OPTION_FILE,
  default_group: OPTION_FILE,
  option_files: OPTION_FILE,
  option_groups: OPTION_FILE,
}

type Rules = {
  readonly refused: Readonly<Record<string, Refusal>>
  /** What else begins with ssl, tls or gss, the names first that say whom to trust. */
  readonly known: readonly string[]
}

const RULES: Readonly<Record<DatabaseUrl["dialect"], Rules>> = {
  postgresql: {
    refused: POSTGRES,
    known: [
      ...["sslmode", "sslrootcert", "sslcert", "sslkey", "ssl"],
      ...["ssl_min_protocol_version", "ssl_max_protocol_version"],
      // Left aside: TLS has no compression any more, the name that sslsni keeps back is seen by others and verified by
      // nobody, a log of keys is not written, and the driver knows no logins by Kerberos.
      ...["sslcompression", "sslsni", "sslkeylogfile", "gsslib", "gssdelegation"],
    ],
  },
  mysql: {
    refused: MYSQL,
    known: [
      ...["ssl_mode", "ssl_ca", "ssl_cert", "ssl_key", "ssl", "ssl_disabled"],
      ...["ssl_verify_cert", "ssl_verify_identity", "ssl_check_hostname", "tls_version", "tls_versions"],
    ],
  },
  sqlite: { refused: {}, known: [] },
}

/** Refuses a URL that asks for what cannot be kept. AirflowError `tls-option-invalid`. */
export function requireKeepable({ dialect, options }: DatabaseUrl, origin: Origin): void {
  const { refused, known } = RULES[dialect]
  const without = origin === "given" ? "give a url without it" : "give the sink a url of its own, without it"
  for (const [name, value] of Object.entries(options)) {
    const refusal = Object.hasOwn(refused, name) ? refused[name] : undefined
    if (refusal && !refusal.but?.includes(value)) {
      const but = refusal.but && `supported are ${refusal.but.join(", ")}`
      throw invalidOption(
        `${name} is not supported${but ? " with this value" : ""}`,
        [without, but, refusal.instead].filter(Boolean).join("; "),
      )
    }
    // Not repeated: what nobody knows could be a piece of a password.
    if (!refusal && /^(ssl|tls|gss)/i.test(name) && !known.includes(name))
      throw invalidOption(
        "an option that begins with ssl, tls or gss is not known",
        `${without}; known are ${known.slice(0, 4).join(", ")} and a few more`,
      )
  }
}

/** The error for an option that is not understood or cannot be kept; it must not repeat a value. */
export function invalidOption(problem: string, hint: string): AirflowError {
  return new AirflowError(`database URL: ${problem}`, { code: "tls-option-invalid", hint })
}
