// Fernet, as Airflow encrypts its connections (AES-128-CBC, HMAC-SHA256, base64url): keys, tokens and their lengths.
// The first key encrypts, every key decrypts; nothing here prints a key or a plaintext.
import type { KeyObject } from "node:crypto"

type FernetKey = { readonly signing: KeyObject; readonly encryption: KeyObject }

/** One key or more: the first encrypts, all decrypt. Prints no key material. */
export type FernetKeys = readonly [FernetKey, ...FernetKey[]]

/** Keys of a comma list as in `[core] fernet_key`; undefined for the empty text; AirflowError `fernet-key-invalid`. */
export function parseFernetKeys(_text: string): FernetKeys | undefined {
  throw new Error("not there yet")
}

/** The token of a text, encrypted by the first key; `encryptedAt` in milliseconds since 1970. */
export function encrypt(
  _keys: FernetKeys,
  _plaintext: string,
  _encryptedAt: number,
  _iv?: Uint8Array,
): string {
  throw new Error("not there yet")
}

/** The text of a token, or undefined where no key opens it. A token never expires: Airflow gives no TTL. */
export function decrypt(_keys: FernetKeys, _token: string): string | undefined {
  throw new Error("not there yet")
}

/** When a token was encrypted, in milliseconds since 1970, read from its head without a key; undefined for no token. */
export function encryptedAt(_token: string): number | undefined {
  throw new Error("not there yet")
}

/** Length of the token of a plaintext of so many bytes. */
export function ciphertextLength(_plaintextBytes: number): number {
  throw new Error("not there yet")
}
