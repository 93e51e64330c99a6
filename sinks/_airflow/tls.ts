// How far a database server is trusted: what a URL asks for, as a plain value, and the drivers' options for it.
// A URL from Airflow gets what its own options give; one given to us that says nothing verifies chain and host name.
import type { ConnectionOptions } from "node:tls"
import type { DatabaseUrl } from "./database-url.ts"

/** `prefer` tries TLS, unverified, and goes on without it; `require` does not verify; `verify-ca` not the host name. */
export type TlsMode = "off" | "prefer" | "require" | "verify-ca" | "verify-full"

/** What to ask of a server, with the files (PEM) to do it with. */
export type TlsPolicy = {
  readonly mode: TlsMode
  /** Trusted roots; undefined for the system's. */
  readonly ca: string | undefined
  /** libpq's `~/.postgresql/root.crt`: with it, where it exists, `require` means `verify-ca`. */
  readonly caIfThere: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
}

type ReadFile = (path: string) => Promise<string>

/** What a URL asks for. `home` is where libpq's `.postgresql` folder is. AirflowError `tls-option-invalid`. */
export function tlsPolicy(_url: DatabaseUrl, _origin: "airflow" | "given", _home?: string): TlsPolicy {
  throw new Error("not there yet")
}

/** postgres.js's `ssl` for one host. AirflowError `tls-file-unreadable`. */
export async function postgresTls(
  _policy: TlsPolicy,
  _host: string,
  _readFile?: ReadFile,
): Promise<false | "prefer" | ConnectionOptions> {
  throw new Error("not there yet")
}

/** mysql2's `ssl`; `orPlain`: on `HANDSHAKE_NO_SSL_SUPPORT` connect again without it (mysql2 has no "prefer"). */
export async function mysqlTls(
  _policy: TlsPolicy,
  _readFile?: ReadFile,
): Promise<{
  readonly ssl:
    | { ca?: string; cert?: string; key?: string; rejectUnauthorized: boolean; verifyIdentity: boolean }
    | undefined
  readonly orPlain: boolean
}> {
  throw new Error("not there yet")
}

/** What a driver's TLS error means and which option to add to the URL; undefined where it is no TLS error. */
export function tlsRefusal(
  _cause: unknown,
  _url: DatabaseUrl,
  _policy: TlsPolicy,
): { readonly code: string; readonly message: string; readonly hint: string } | undefined {
  throw new Error("not there yet")
}
