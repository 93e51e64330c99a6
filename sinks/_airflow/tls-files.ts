// The driver's side of a TLS policy: certificate files read anew at each connection, and the options made of them.
// The name to verify is the one in the URL, given by us: for IP addresses the drivers would take `localhost`.
import { readFile } from "node:fs/promises"
import { connect, isIP, type Socket } from "node:net"
import { join } from "node:path"
import { type ConnectionOptions, checkServerIdentity } from "node:tls"
import type { Address } from "./address.ts"
import { AirflowError } from "./error.ts"
import type { TlsPolicy } from "./tls.ts"

/** Options of `tls.connect` for one host. AirflowError `tls-file-unreadable`. */
export async function loadTlsOptions(policy: TlsPolicy, host: string): Promise<ConnectionOptions> {
  const ca = await loadFile(policy.ca, policy.libpqFolder, "root.crt")
  const cert = policy.showsCertificate
    ? await loadFile(policy.cert, policy.libpqFolder, "postgresql.crt")
    : undefined
  const key = cert && (await loadFile(policy.key, policy.libpqFolder, "postgresql.key"))
  const byRootCert = policy.mode === "require" && policy.libpqFolder !== undefined && ca !== undefined
  return {
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    ...(policy.keyPassword && { passphrase: policy.keyPassword.reveal() }),
    ...(policy.minVersion && { minVersion: policy.minVersion }),
    ...(policy.maxVersion && { maxVersion: policy.maxVersion }),
    // libpq: with a root.crt, `require` means `verify-ca`.
    rejectUnauthorized: policy.mode.startsWith("verify-") || byRootCert,
    checkServerIdentity: (_, certificate) =>
      policy.mode === "verify-full" ? checkServerIdentity(host, certificate) : undefined,
    ...(isIP(host) === 0 && { servername: host }),
  }
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
