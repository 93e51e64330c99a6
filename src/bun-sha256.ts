// SHA-256 for the SDK's signatures, by Bun's own hasher, which is synchronous: WebCrypto hands each of the ten hashes of a
// request to another thread, which takes a twentieth of a run.

type Secret = string | ArrayBuffer | ArrayBufferView

/** A hash, or with a secret a keyed one (HMAC), as the SDK's clients take it for `sha256`. Bun only. */
export class BunSha256 {
  readonly #secret: Secret | undefined
  #hasher: Bun.CryptoHasher

  constructor(secret?: Secret) {
    this.#secret = secret
    this.#hasher = this.#begin()
  }

  update(data: Uint8Array): void {
    this.#hasher.update(data)
  }

  async digest(): Promise<Uint8Array> {
    return new Uint8Array(this.#hasher.digest())
  }

  reset(): void {
    this.#hasher = this.#begin()
  }

  #begin(): Bun.CryptoHasher {
    return new Bun.CryptoHasher("sha256", this.#secret as string | Uint8Array | undefined)
  }
}
