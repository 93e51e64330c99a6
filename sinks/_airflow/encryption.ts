// Whether logins are written encrypted, and whether the key is Airflow's own: a wrong key would make every task that
// uses a connection fail with an unexplained InvalidToken, so it must open something that is already there.
import type { FernetSetting } from "./config.ts"
import { AirflowError } from "./error.ts"
import { decrypt, type FernetKeys } from "./fernet.ts"
import { findEncryptedIds, loadEncrypted, loadPasswords } from "./lookup.ts"
import type { Row } from "./rows.ts"
import type { Session } from "./session.ts"

/** How passwords are written: with these keys, or without any, and then with a warning. */
export type Encryption =
  | { readonly keys: FernetKeys; readonly warning?: undefined }
  | { readonly keys: undefined; readonly warning: string }

// How many rows are tried at a time. Of rows that are not ours, only this many are tried at all.
const SAMPLE_ROWS = 20

type Readable = Pick<Session, "table" | "query" | "maxStatementBytes">

/**
 * Decides how to write. `ours` are the rows that we are about to write: any of them proves the key, else any of up to
 * 20 others. AirflowError `fernet-key-wrong`, `fernet-key-missing`.
 */
export async function chooseEncryption(
  session: Readable,
  setting: FernetSetting,
  ours: readonly Row[],
  { allowPlaintext }: { readonly allowPlaintext: boolean },
): Promise<Encryption> {
  if (setting.state === "set") {
    await proveKeys(session, setting, ours)
    return { keys: setting.keys }
  }
  if (setting.state === "absent" && !allowPlaintext)
    throw new AirflowError("no fernet key is configured, so the password would be stored as plain text", {
      code: "fernet-key-missing",
      hint: `${setting.hint}; or store it as plain text with allow_plaintext=true`,
    })
  const encrypted = allowPlaintext ? 0 : (await findEncryptedIds(session)).length
  const why = setting.state === "empty" ? `${setting.from} is empty` : "no fernet key is configured"
  if (encrypted === 0) return { keys: undefined, warning: `the password is stored as plain text: ${why}` }
  throw new AirflowError(`${why}, but ${countEncrypted(encrypted)}`, {
    code: "fernet-key-missing",
    hint: "give Airflow's key with fernet_key, or store plain text next to it with allow_plaintext=true",
  })
}

async function proveKeys(
  session: Readable,
  { keys, from }: { readonly keys: FernetKeys; readonly from: string },
  ours: readonly Row[],
): Promise<void> {
  const opens = (tokens: Iterable<string>) => [...tokens].some((token) => decrypt(keys, token) !== undefined)
  const own = ours.filter(({ encrypted, passwordHead }) => encrypted && passwordHead !== undefined)
  for (let start = 0; start < own.length; start += SAMPLE_ROWS)
    if (opens((await loadPasswords(session, own.slice(start, start + SAMPLE_ROWS))).values())) return
  const ownIds = new Set(own.map(({ id }) => id))
  const encrypted = await findEncryptedIds(session)
  const others = encrypted.filter((id) => !ownIds.has(id)).slice(0, SAMPLE_ROWS)
  if (others.length > 0 && opens(await loadEncrypted(session, others))) return
  const tried = own.length + others.length
  if (tried === 0) return
  throw new AirflowError(
    `the fernet key given as ${from} decrypts none of the encrypted rows (${tried} tried)`,
    {
      code: "fernet-key-wrong",
      hint: `${countEncrypted(encrypted.length)}: give the key that Airflow itself uses, or all of them separated by commas${others.length === 0 ? orAnew(own) : ""}`,
    },
  )
}

// Nothing else in the table could prove the key, and what it cannot open is of no use to Airflow either.
function orAnew(own: readonly Row[]): string {
  const [first] = own
  const ids = own.slice(0, SAMPLE_ROWS).map(({ connId }) => connId)
  const deletion =
    own.length === 1 && first
      ? `run: airflow connections delete ${first.connId}; it is created again`
      : `delete ${ids.join(", ")}${own.length > ids.length ? " and so on" : ""} in Airflow; they are created again`
  return `; or, if Airflow has a new key, ${deletion}`
}

function countEncrypted(count: number): string {
  return count === 1 ? "1 row of the table is encrypted" : `${count} rows of the table are encrypted`
}
