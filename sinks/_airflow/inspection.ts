// What the `connection` table holds now, and whether a delivery would be let in: reads only, for `read` and `check`.
// Without a key the age of a Fernet token tells until when a login is good at the latest.
import { expiryOf, TOKEN_LIFETIME_MS } from "../../src/credential.ts"
import type { Registry } from "../../src/registry.ts"
import type { FernetSetting } from "./config.ts"
import { claimConnections } from "./delivery.ts"
import { AirflowError } from "./error.ts"
import { decrypt, encryptedAt } from "./fernet.ts"
import { loadPasswords } from "./lookup.ts"
import { type Claim, differenceOf, type Row } from "./rows.ts"
import type { Session } from "./session.ts"

/** A connection id and the registry whose login it is to hold. */
export type Slot = { readonly connId: string; readonly registry: Registry }

/** What a connection holds: nothing, a login, or what cannot be read or is not ours. */
export type Content =
  | { readonly state: "missing" }
  | {
      readonly state: "held"
      readonly expiresAt: number | undefined
      readonly differs: string | undefined
    }
  | { readonly state: "unreadable"; readonly refusal: AirflowError }

/** What each connection holds now, in order. */
export async function readConnections(
  session: Session,
  slots: readonly Slot[],
  setting: FernetSetting,
  policy: { readonly adopt: boolean },
): Promise<readonly Content[]> {
  const claims = await claimConnections(session, slots, policy)
  const rows = claims.flatMap(({ rows, refusal }) => (refusal ? [] : rows))
  const passwords = await loadPasswords(session, rows)
  return slots.map(({ registry }, i) => contentOf(claims[i] as Claim, registry, passwords, setting))
}

function contentOf(
  { rows, refusal }: Claim,
  registry: Registry,
  passwords: ReadonlyMap<number, string>,
  setting: FernetSetting,
): Content {
  if (refusal) return { state: "unreadable", refusal }
  if (rows.length === 0) return { state: "missing" }
  const ends = rows.map((row) => expiryOfRow(row, passwords.get(row.id) ?? "", setting))
  const closed = ends.find((end) => end instanceof AirflowError)
  if (closed) return { state: "unreadable", refusal: closed }
  // Airflow may pick any of several rows, so what counts is the worst of them.
  const known = ends.filter((end) => typeof end === "number")
  return {
    state: "held",
    expiresAt: known.length < ends.length ? undefined : Math.min(...known),
    differs: rows.map((row) => differenceOf(row, registry)).find((difference) => difference !== undefined),
  }
}

function expiryOfRow(row: Row, password: string, setting: FernetSetting): number | undefined | AirflowError {
  if (!row.encrypted) return expiryOf(password)
  if (setting.state !== "set") {
    const at = encryptedAt(password)
    return at === undefined ? undefined : at + TOKEN_LIFETIME_MS
  }
  const text = decrypt(setting.keys, password)
  if (text !== undefined) return expiryOf(text)
  return new AirflowError(`the fernet key of ${setting.from} does not decrypt connection ${row.connId}`, {
    code: "fernet-key-wrong",
    hint: "check that it is the key that Airflow itself uses; if it decrypts the other connections, a delivery replaces this one",
  })
}
