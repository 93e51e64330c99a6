// What a delivery will write, decided before anything is written: pure, from the rows found and the credential.
// Passwords are encrypted only when they are written, so that 10,000 of them are never in memory at once.
import type { Credential } from "../../src/credential.ts"
import type { Encryption } from "./encryption.ts"
import type { AirflowError } from "./error.ts"
import { ciphertextLength, encrypt } from "./fernet.ts"
import { type Claim, judgeRow, type Row, type Stored } from "./rows.ts"

/** One credential for one connection id. */
export type Wanted = { readonly connId: string; readonly credential: Credential }

/** What is to be written for one connection id, and until when it is good then. */
export type Plan = Wanted & {
  readonly creates: boolean
  readonly changes: readonly { readonly row: Row; readonly change: "repair" | "replace" }[]
  readonly expiresAt: number
}

/** Plans one connection id. `stored`: the passwords that had to be looked at, by row. */
export function planConnection(
  wanted: Wanted,
  { rows }: Claim,
  stored: ReadonlyMap<number, Stored>,
  about: { readonly now: number; readonly encrypts: boolean },
): Plan {
  const { credential } = wanted
  const judged = rows.map((row) => ({ row, ...judgeRow(row, stored.get(row.id), credential, about) }))
  return {
    ...wanted,
    creates: rows.length === 0,
    changes: judged.flatMap(({ row, change }) => (change === "nothing" ? [] : [{ row, change }])),
    // Airflow may pick any of several rows, so what counts is the one that ends first.
    expiresAt:
      rows.length === 0 ? credential.expiresAt : Math.min(...judged.map(({ expiresAt }) => expiresAt)),
  }
}

/** Whether a plan writes its password. */
export function writesPassword({ creates, changes }: Plan): boolean {
  return creates || changes.some(({ change }) => change === "replace")
}

/** The password as it is to be stored; `vector` must be a new one each time. */
export function sealPassword(
  { password }: Credential,
  { keys }: Encryption,
  now: number,
  vector: Uint8Array,
): string {
  const text = password.reveal()
  return keys ? encrypt(keys, text, now, vector) : text
}

/** What the stored password measures, known without encrypting it. */
export function sealedLength(
  { password }: Credential,
  { keys }: Encryption,
): { readonly characters: number; readonly bytes: number } {
  const text = password.reveal()
  const bytes = Buffer.byteLength(text)
  if (!keys) return { characters: [...text].length, bytes }
  const characters = ciphertextLength(bytes)
  return { characters, bytes: characters }
}

/** One result: what was written, or why it was not. */
export type Written =
  | { readonly changed: boolean; readonly expiresAt: number; readonly warning: string | undefined }
  | { readonly refusal: AirflowError }
