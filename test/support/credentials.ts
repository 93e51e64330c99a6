// Credentials as AWS makes them: the password is base64 of JSON that holds an encrypted payload and an `expiration`.
// No two are alike, so that a test which finds one in a target knows which delivery put it there.
import { randomBytes } from "node:crypto"
import { type Credential, Secret } from "../../src/credential.ts"
import type { Registry } from "../../src/registry.ts"

/** What a real private token's password measures, roughly; ECR Public's is about half of it. */
const PASSWORD_LENGTH = 2400

/** A credential with a realistic password that tells `expiresAt`, about `size` characters long. */
export function makeCredential(about: {
  readonly registry: Registry
  readonly expiresAt: number
  readonly size?: number
}): Credential {
  const { registry, expiresAt, size = PASSWORD_LENGTH } = about
  const envelope = { payload: "", datakey: "AQEBAHh", version: "2", type: "DATA_KEY", expiration: 0 }
  envelope.expiration = Math.floor(expiresAt / 1000)
  // Base64 of base64: what is left of `size` for the payload's own bytes.
  const room = Math.max(24, Math.floor((Math.floor((size * 3) / 4) - JSON.stringify(envelope).length) * 0.75))
  envelope.payload = randomBytes(room).toString("base64")
  const password = Buffer.from(JSON.stringify(envelope)).toString("base64")
  return { registry, userName: "AWS", password: new Secret(password), expiresAt }
}

/** A credential whose password is exactly this text, which need not tell an expiry. */
export function credentialWith(about: {
  readonly registry: Registry
  readonly expiresAt: number
  readonly password: string
}): Credential {
  const { registry, expiresAt, password } = about
  return { registry, userName: "AWS", password: new Secret(password), expiresAt }
}

/** Passwords that a careless writer would spoil, by what is awkward about them. */
export const AWKWARD_PASSWORDS: Readonly<Record<string, string>> = {
  colons: "a:b::c:",
  quotes: `it's "quoted" \`so\``,
  percents: "100% %s %(name)s %41 %%",
  backslashes: "C:\\new\\table\\\\ \\u0041 \\0",
  unicode: "pässwörd ✓ 密码 🔑 é",
  controls: "tab\tand\nnewline",
  templates: `$HOME \${HOME} {account} {{ x }} #{y} $$ $1 ?`,
  "4 kB": `${"0123456789abcdef".repeat(256)}==`,
}
