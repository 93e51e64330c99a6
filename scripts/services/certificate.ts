// Makes certificate authorities and certificates for tests of TLS, with node:crypto alone: a bare machine has no
// openssl. DER is written by hand, as far as X.509 needs it (RFC 5280); keys are P-256.
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto"
import { isIPv4 } from "node:net"

const DAY_MS = 86_400_000
const OID = {
  commonName: "550403",
  subjectKeyId: "551d0e",
  keyUsage: "551d0f",
  subjectAltName: "551d11",
  basicConstraints: "551d13",
  authorityKeyId: "551d23",
  ecdsaWithSha256: "2a8648ce3d040302",
} as const

/** A certificate and its private key, both PEM. */
type Certificate = { readonly certificate: string; readonly key: string }

/** A certificate authority of its own, trusted by nobody. */
export type Authority = {
  /** The authority's own certificate, PEM. */
  readonly certificate: string
  /** Issues a certificate for a common name that is good for these host names and IPv4 addresses. */
  issue(commonName: string, hosts: readonly string[]): Certificate
}

/** Makes a new authority; what it issues is good from yesterday for a month. */
export function createAuthority(commonName: string): Authority {
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const issuer = { commonName, key: keys.privateKey, keyId: keyIdOf(keys.publicKey) }
  const usage = [
    extension(OID.basicConstraints, sequence(tlv(0x01, hex("ff"))), true),
    // keyCertSign and cRLSign
    extension(OID.keyUsage, tlv(0x03, hex("0106")), true),
  ]
  return {
    certificate: certify(issuer, commonName, keys.publicKey, usage),
    issue(name, hosts) {
      const own = generateKeyPairSync("ec", { namedCurve: "P-256" })
      const names = hosts.length === 0 ? [] : [extension(OID.subjectAltName, sequence(...hosts.map(altName)))]
      return {
        certificate: certify(issuer, name, own.publicKey, names),
        key: own.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      }
    },
  }
}

type Issuer = { readonly commonName: string; readonly key: KeyObject; readonly keyId: Buffer }

function certify(issuer: Issuer, commonName: string, key: KeyObject, extensions: readonly Buffer[]): string {
  const algorithm = sequence(oid(OID.ecdsaWithSha256))
  const body = sequence(
    tlv(0xa0, tlv(0x02, hex("02"))),
    // A first byte of 01 keeps the serial number positive.
    tlv(0x02, Buffer.concat([hex("01"), randomBytes(15)])),
    algorithm,
    distinguishedName(issuer.commonName),
    sequence(time(Date.now() - DAY_MS), time(Date.now() + 30 * DAY_MS)),
    distinguishedName(commonName),
    key.export({ type: "spki", format: "der" }),
    tlv(
      0xa3,
      sequence(
        ...extensions,
        extension(OID.subjectKeyId, tlv(0x04, keyIdOf(key))),
        extension(OID.authorityKeyId, sequence(tlv(0x80, issuer.keyId))),
      ),
    ),
  )
  const signature = sign("sha256", body, issuer.key)
  const der = sequence(body, algorithm, tlv(0x03, Buffer.concat([hex("00"), signature])))
  const lines = der.toString("base64").match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`
}

function keyIdOf(key: KeyObject): Buffer {
  return createHash("sha1")
    .update(key.export({ type: "spki", format: "der" }))
    .digest()
}

function extension(id: string, value: Buffer, critical = false): Buffer {
  return sequence(oid(id), ...(critical ? [tlv(0x01, hex("ff"))] : []), tlv(0x04, value))
}

function altName(host: string): Buffer {
  return isIPv4(host) ? tlv(0x87, Buffer.from(host.split(".").map(Number))) : tlv(0x82, Buffer.from(host))
}

function distinguishedName(commonName: string): Buffer {
  return sequence(tlv(0x31, sequence(oid(OID.commonName), tlv(0x0c, Buffer.from(commonName)))))
}

function time(at: number): Buffer {
  const digits = new Date(at).toISOString().replace(/\D/g, "").slice(2, 14)
  return tlv(0x17, Buffer.from(`${digits}Z`))
}

function oid(encoded: string): Buffer {
  return tlv(0x06, hex(encoded))
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts))
}

function tlv(tag: number, value: Buffer): Buffer {
  const size = value.length
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff]
  return Buffer.concat([Buffer.from([tag, ...length]), value])
}

function hex(digits: string): Buffer {
  return Buffer.from(digits, "hex")
}
