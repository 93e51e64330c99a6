// Fernet as Airflow encrypts its connections: AES-128-CBC and HMAC-SHA256 in base64url (github.com/fernet/spec).
// The first key encrypts, every key decrypts; keys are key objects, so that nothing here can print one.
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from "node:crypto"
import { promisify } from "node:util"
import { AirflowError } from "./error.ts"

type FernetKey = { readonly signing: KeyObject; readonly encryption: KeyObject }

/** One key or more: the first encrypts, all decrypt. Prints no key material. */
export type FernetKeys = readonly [FernetKey, ...FernetKey[]]

const VERSION = 0x80
const BLOCK_BYTES = 16
const MAC_BYTES = 32
// Version, seconds since 1970 (eight bytes, big-endian), initialisation vector.
const HEAD_BYTES = 1 + 8 + BLOCK_BYTES

/**
 * Keys of a comma list as in `[core] fernet_key`; undefined for the empty text, which is Airflow's way to say
 * "plaintext". `from` names where the list stands, for the AirflowError `fernet-key-invalid`; without one it is said elsewhere.
 */
export function parseFernetKeys(text: string, from?: string): FernetKeys | undefined {
  if (text === "") return undefined
  const parts = text.split(",")
  const [first, ...others] = parts.map((part, index) => {
    const key = parseKey(part)
    if (key) return key
    const which = parts.length === 1 ? "the key" : `key ${index + 1} of ${parts.length}`
    throw new AirflowError(`${from === undefined ? "" : `${from}: `}${which} is not 32 bytes in base64`, {
      code: "fernet-key-invalid",
      hint: "give the value of Airflow's own [core] fernet_key: 44 characters a key, several separated by commas",
    })
  })
  // A text split at commas has at least one part.
  return [first as FernetKey, ...others]
}

// As Python's urlsafe_b64decode: either alphabet, characters of neither are skipped, padding must be there and ends it.
function parseKey(part: string): FernetKey | undefined {
  const match = /^([\w+/-]{43})=/.exec(part.replace(/[^\w+/=-]/g, ""))
  if (!match?.[1]) return undefined
  const bytes = Buffer.from(match[1], "base64")
  return { signing: createSecretKey(bytes.subarray(0, 16)), encryption: createSecretKey(bytes.subarray(16)) }
}

/** The token of a text, by the first key; `encryptedAt` in milliseconds since 1970, of which whole seconds are kept. */
export function encrypt(
  keys: FernetKeys,
  plaintext: string,
  encryptedAt: number,
  iv: Uint8Array = randomBytes(BLOCK_BYTES),
): string {
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt8(VERSION, 0)
  head.writeBigUInt64BE(BigInt(Math.floor(encryptedAt / 1000)), 1)
  head.set(iv, 9)
  const cipher = createCipheriv("aes-128-cbc", keys[0].encryption, iv)
  const parts = [head, cipher.update(plaintext, "utf8"), cipher.final()]
  return base64url(Buffer.concat([...parts, mac(keys[0], ...parts)]))
}

/** Initialisation vectors for so many tokens, drawn aside: what is under way goes on meanwhile. */
export async function drawVectors(count: number): Promise<readonly Uint8Array[]> {
  const bytes = await promisify(randomBytes)(BLOCK_BYTES * count)
  return Array.from({ length: count }, (_, i) => bytes.subarray(BLOCK_BYTES * i, BLOCK_BYTES * (i + 1)))
}

/** The text of a token, or undefined where no key opens it. A token never expires: Airflow sets no time limit. */
export function decrypt(keys: FernetKeys, token: string): string | undefined {
  const bytes = Buffer.from(token, "base64")
  const signed = bytes.subarray(0, -MAC_BYTES)
  if (bytes[0] !== VERSION || signed.length <= HEAD_BYTES) return undefined
  const key = keys.find((each) => timingSafeEqual(mac(each, signed), bytes.subarray(-MAC_BYTES)))
  if (!key) return undefined
  try {
    const iv = signed.subarray(HEAD_BYTES - BLOCK_BYTES, HEAD_BYTES)
    const decipher = createDecipheriv("aes-128-cbc", key.encryption, iv)
    return Buffer.concat([decipher.update(signed.subarray(HEAD_BYTES)), decipher.final()]).toString("utf8")
  } catch {
    // Signed with our key, yet badly padded: such a token was never made by Fernet.
    return undefined
  }
}

/**
 * When a token was encrypted, in milliseconds since 1970; undefined for what is no token. Needs no key and decodes
 * nine bytes only, so it proves nothing: good enough to judge an age by.
 */
export function encryptedAt(token: string): number | undefined {
  const head = Buffer.from(token.slice(0, 12), "base64")
  if (head.length !== 9 || head[0] !== VERSION) return undefined
  const milliseconds = Number(head.readBigUInt64BE(1)) * 1000
  return Number.isSafeInteger(milliseconds) ? milliseconds : undefined
}

/** How many characters the token of a plaintext of so many bytes has. */
export function ciphertextLength(plaintextBytes: number): number {
  const padded = BLOCK_BYTES * (Math.floor(plaintextBytes / BLOCK_BYTES) + 1)
  return 4 * Math.ceil((HEAD_BYTES + padded + MAC_BYTES) / 3)
}

function mac(key: FernetKey, ...signed: readonly Buffer[]): Buffer {
  const hmac = createHmac("sha256", key.signing)
  for (const part of signed) hmac.update(part)
  return hmac.digest()
}

// Node's own base64url leaves out the padding that Fernet has.
function base64url(bytes: Buffer): string {
  const text = bytes.toString("base64url")
  return text.padEnd(4 * Math.ceil(text.length / 4), "=")
}
