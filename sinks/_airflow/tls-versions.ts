// Which versions of TLS a database URL allows: libpq's least and greatest, MySQL's list.
import type { SecureVersion } from "node:tls"
import { invalidOption } from "./tls-refused.ts"

/** The least and the greatest version; undefined for the runtime's own, TLS 1.2 and 1.3. */
export type TlsVersions = {
  readonly minVersion: SecureVersion | undefined
  readonly maxVersion: SecureVersion | undefined
}

const VERSIONS: readonly SecureVersion[] = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
// Both libpq's own least version and the runtime's.
const USUAL_MINIMUM: SecureVersion = "TLSv1.2"

type Options = Readonly<Record<string, string>>

/** libpq's `ssl_min_protocol_version` and `ssl_max_protocol_version`. AirflowError `tls-option-invalid`. */
export function libpqVersions(options: Options): TlsVersions {
  const [least, greatest] = ["ssl_min_protocol_version", "ssl_max_protocol_version"] as const
  const read = (name: string) => (options[name] === undefined ? undefined : parseVersion(name, options[name]))
  const [minVersion, maxVersion] = [read(least), read(greatest)]
  if (maxVersion && VERSIONS.indexOf(maxVersion) < VERSIONS.indexOf(minVersion ?? USUAL_MINIMUM))
    throw invalidOption(
      "the highest version of TLS is below the lowest",
      `raise ${greatest} to at least ${least}, which is ${USUAL_MINIMUM} unless given`,
    )
  return { minVersion, maxVersion }
}

/** `tls_version` of MySQL's and MariaDB's clients, and `tls_versions` of mysql-connector, with its brackets. */
export function mysqlVersions(options: Options): TlsVersions {
  const name = options.tls_version === undefined ? "tls_versions" : "tls_version"
  const list = options[name]
  if (list === undefined) return { minVersion: undefined, maxVersion: undefined }
  const places = list
    .replace(/^\[(.*)\]$/, "$1")
    .split(",")
    .map((text) => VERSIONS.indexOf(parseVersion(name, text.trim())))
  const [first, last] = [Math.min(...places), Math.max(...places)]
  // Node and mysql2 know a range alone.
  if (new Set(places).size <= last - first)
    throw invalidOption(`${name} leaves out a version in the middle`, `give ${name} a list without a gap`)
  return { minVersion: VERSIONS[first], maxVersion: VERSIONS[last] }
}

function parseVersion(name: string, text: string): SecureVersion {
  const version = VERSIONS.find((known) => known.toLowerCase() === text.toLowerCase())
  if (version) return version
  throw invalidOption(`${name} has a value that is not known`, `known are ${VERSIONS.join(", ")}`)
}
