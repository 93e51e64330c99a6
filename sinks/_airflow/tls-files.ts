// The driver's side of a TLS policy: certificate files read anew at each connection, and the options made of them.
// The name to verify is the one in the URL, given by us: for IP addresses the drivers would take `localhost`.
import { readFile } from "node:fs/promises"
import { connect, isIP, type Socket } from "node:net"
import { join } from "node:path"
import { type ConnectionOptions, checkServerIdentity, getCACertificates } from "node:tls"
import type { Address } from "./address.ts"
import { AirflowError } from "./error.ts"
import type { TlsPolicy } from "./tls.ts"

// In libpq's folder.
const ROOT_CERT = "root.crt"

/**
 * Options of `tls.connect` for one host. AirflowError `tls-file-unreadable`, `tls-authority-missing`,
 * `tls-option-invalid`.
 */
export async function loadTlsOptions(policy: TlsPolicy, host: string): Promise<ConnectionOptions> {
  const ca = await loadAuthorities(policy)
  const cert = policy.showsCertificate
    ? await loadFile(policy.cert, policy.libpqFolder, "postgresql.crt")
    : undefined
  const key = cert && (await loadFile(policy.key, policy.libpqFolder, "postgresql.key"))
  // libpq: with a root.crt, `require` means `verify-ca`.
  const byRootCert = policy.mode === "require" && policy.libpqFolder !== undefined && ca !== undefined
  const rejectUnauthorized = policy.mode.startsWith("verify-") || byRootCert
  if (rejectUnauthorized) await requireNoRevocations(policy)
  return {
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    ...(policy.keyPassword && { passphrase: policy.keyPassword.reveal() }),
    ...(policy.minVersion && { minVersion: policy.minVersion }),
    ...(policy.maxVersion && { maxVersion: policy.maxVersion }),
    rejectUnauthorized,
    checkServerIdentity: (_, certificate) =>
      policy.mode === "verify-full" ? checkServerIdentity(host, certificate) : undefined,
    ...(isIP(host) === 0 && { servername: host }),
  }
}

async function loadAuthorities(policy: TlsPolicy): Promise<string | string[] | undefined> {
  const { ca, authorities, libpqFolder } = policy
  if (authorities === "machine") return machineAuthorities()
  const found = await loadFile(ca, libpqFolder, ROOT_CERT)
  if (found !== undefined || authorities === "runtime" || !policy.mode.startsWith("verify-")) return found
  const file = join(libpqFolder ?? "~/.postgresql", ROOT_CERT)
  throw new AirflowError(
    `the root certificate file ${file} does not exist, and the URL's sslmode verifies the server by it`,
    {
      code: "tls-authority-missing",
      hint: "put the server's authority there, or run ecrelay as the user whose libpq has it; or give the sink a url of its own with sslrootcert=/path/to/ca.pem, or with sslrootcert=system for the authorities that this machine trusts",
    },
  )
}

// OpenSSL's default for libpq; without it the runtimes trust a list of their own as well.
function machineAuthorities(): string[] {
  const found = getCACertificates("system")
  if (found.length > 0) return found
  throw new AirflowError("sslrootcert=system: this machine trusts no authority", {
    code: "tls-authority-missing",
    hint: "install ca-certificates, or name the server's authority with sslrootcert=/path/to/ca.pem",
  })
}

// libpq heeds it wherever it has a file of authorities; neither Deno's TLS nor mysql2 takes such a list.
async function requireNoRevocations({ authorities, libpqFolder }: TlsPolicy): Promise<void> {
  if (authorities !== "none" || libpqFolder === undefined) return
  if ((await loadFile(undefined, libpqFolder, "root.crl")) === undefined) return
  throw new AirflowError(`${join(libpqFolder, "root.crl")}: certificate revocation lists are not supported`, {
    code: "tls-option-invalid",
    hint: "give the sink a url of its own with sslrootcert=/path/to/ca.pem, which makes ecrelay ignore this file",
  })
}

const PASSED_ON = ["ca", "cert", "key", "passphrase", "minVersion", "maxVersion"] as const

/** What mysql2 is connected with. */
export type MysqlTls = {
  /** Undefined for a connection without TLS. */
  readonly ssl:
    | (Pick<ConnectionOptions, (typeof PASSED_ON)[number]> & {
        readonly rejectUnauthorized: boolean
        readonly verifyIdentity: boolean
      })
    | undefined
  /** mysql2's `stream`, where the host is an IP address to be verified; undefined to let mysql2 connect. */
  readonly stream: (() => Socket) | undefined
  /** On `HANDSHAKE_NO_SSL_SUPPORT` connect again without `ssl`: mysql2 knows no "prefer". */
  readonly orPlain: boolean
}

/** mysql2's options for one address. AirflowError `tls-file-unreadable`. */
export async function loadMysqlTls(policy: TlsPolicy, address: Address): Promise<MysqlTls> {
  const { host, port } = address
  if (policy.mode === "off" || host === undefined)
    return { ssl: undefined, stream: undefined, orPlain: false }
  const options = await loadTlsOptions(policy, host)
  const verifyIdentity = policy.mode === "verify-full"
  return {
    ssl: {
      ...Object.fromEntries(PASSED_ON.flatMap((name) => (name in options ? [[name, options[name]]] : []))),
      rejectUnauthorized: options.rejectUnauthorized === true,
      verifyIdentity,
    },
    // Node verifies what its socket was told to look up, and an IP address is not looked up: `_host` is that name.
    stream:
      verifyIdentity && isIP(host) !== 0
        ? () => Object.assign(connect(port, host), { _host: host })
        : undefined,
    orPlain: policy.mode === "prefer",
  }
}

async function loadFile(
  path: string | undefined,
  folder: string | undefined,
  usualName: string,
): Promise<string | undefined> {
  if (path === undefined && folder === undefined) return undefined
  const file = path ?? join(folder as string, usualName)
  try {
    return await readFile(file, "utf8")
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (path === undefined && (code === "ENOENT" || code === "ENOTDIR")) return undefined
    throw new AirflowError(`${file}: cannot be read (${code})`, {
      code: "tls-file-unreadable",
      hint: "the URL's TLS options, or libpq's folder, name this file: correct the path, or let ecrelay's user read it",
      cause,
    })
  }
}
