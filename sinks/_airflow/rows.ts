// What is to become of the rows of the `connection` table: pure decisions on what was found there. A row is ours only
// if it is a docker login to ECR or to our own host, or nearly empty; what outlives our credential is left alone.
import { type Credential, expiryOf, outlives, TOKEN_LIFETIME_MS } from "../../src/credential.ts"
import { bareHost, isEcrHost, parseRegistry, type Registry } from "../../src/registry.ts"
import { AirflowError } from "./error.ts"
import { encryptedAt } from "./fernet.ts"

/** A row as it was found, with the beginning of its password: enough to tell a Fernet token's age and to recognise it. */
export type Row = {
  readonly id: number
  readonly connId: string
  readonly connType: string
  readonly host: string
  readonly login: string
  readonly port: number | undefined
  readonly encrypted: boolean
  readonly passwordHead: string | undefined
}

/** The rows of one connection id (1.10 allows several, or none), or why they must not be written. */
export type Claim = { readonly rows: readonly Row[]; readonly refusal: AirflowError | undefined }

/** What may be claimed, in the order of `wanted`: rows are matched by exact id, whatever the database's collation says. */
export function claimRows(
  wanted: readonly { readonly connId: string; readonly registry: Registry }[],
  found: readonly Row[],
  { adopt, ignoresCase }: { readonly adopt: boolean; readonly ignoresCase: boolean },
): readonly Claim[] {
  const byId = Map.groupBy(found, ({ connId }) => connId)
  // Where case does not count, an id that differs only in that cannot be inserted: who has it now, or will.
  const taken = new Map(ignoresCase ? found.map(({ connId }) => [fold(connId), connId]) : [])
  return wanted.map(({ connId, registry }) => {
    const rows = byId.get(connId) ?? []
    const owner = taken.get(fold(connId)) ?? connId
    if (ignoresCase) taken.set(fold(connId), owner)
    if (rows.length === 0 && owner !== connId) return { rows, refusal: sameForDatabase(connId, owner) }
    const foreign = adopt ? undefined : rows.find((row) => !isOurs(row, registry))
    return { rows, refusal: foreign && notOurs(foreign) }
  })
}

function isOurs({ connType, host }: Row, registry: Registry): boolean {
  if (connType !== "docker" && connType !== "") return false
  return host.trim() === "" || isEcrHost(host) || bareHost(host) === registry.host
}

function notOurs({ connId, connType, host }: Row): AirflowError {
  // A host may have been written with a user and a password before it.
  const shown = bareHost(host.replace(/^.*@/s, "")).slice(0, 100)
  const holds = [connType && `type ${connType.slice(0, 100)}`, shown && `host ${shown}`]
    .filter(Boolean)
    .join(", ")
  return new AirflowError(`connection ${connId} is not an ECR login: it holds ${holds}`, {
    code: "not-ours",
    hint: "choose another conn_id, or overwrite this one with adopt=true",
  })
}

function sameForDatabase(connId: string, owner: string): AirflowError {
  return new AirflowError(`the database takes connection ${connId} for ${owner}`, {
    code: "conn-id-taken",
    hint: `upper and lower case do not count there: use conn_id=${owner}, or rename that connection in Airflow`,
  })
}

function fold(connId: string): string {
  return connId.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase()
}

/** What a stored password turned out to be: the text, or that no key opens it. */
export type Stored = { readonly text: string | undefined }

// For clocks that are off, and for a login that lay about before it was stored.
const HEAD_MARGIN_MS = 3_600_000

/**
 * Whether the stored login could be ours, or outlive ours: only then must it be decrypted to tell. What was encrypted
 * at a moment, which a token tells without any key, was fetched before it and lives twelve hours from then at most.
 */
export function mayBeKept({ encrypted, passwordHead }: Row, { expiresAt }: Credential): boolean {
  if (passwordHead === undefined) return false
  if (!encrypted) return true
  const at = encryptedAt(passwordHead)
  return at !== undefined && at + TOKEN_LIFETIME_MS + HEAD_MARGIN_MS >= expiresAt
}

/** What to do with a row: nothing, all but the password, or everything; and until when its login is good afterwards. */
export type Judgement = {
  readonly change: "nothing" | "repair" | "replace"
  readonly expiresAt: number
}

/** Judges one row. `encrypts`: whether we would store the password encrypted. */
export function judgeRow(
  row: Row,
  stored: Stored | undefined,
  credential: Credential,
  { now, encrypts }: { readonly now: number; readonly encrypts: boolean },
): Judgement {
  const same = stored?.text === credential.password.reveal() && row.encrypted === encrypts
  const expiresAt = stored?.text === undefined ? undefined : expiryOf(stored.text)
  const right = differenceOf(row, credential.registry) === undefined ? "nothing" : "repair"
  if (same) return { change: right, expiresAt: credential.expiresAt }
  if (
    expiresAt !== undefined &&
    isSameRegistry(row.host, credential.registry) &&
    outlives(expiresAt, credential, now)
  )
    return { change: right, expiresAt }
  return { change: "replace", expiresAt: credential.expiresAt }
}

function isSameRegistry(host: string, registry: Registry): boolean {
  const bare = bareHost(host)
  if (bare === registry.host) return true
  const stored = parseRegistry(bare)
  return (
    stored !== undefined &&
    stored.account === registry.account &&
    stored.region === registry.region &&
    stored.service === registry.service
  )
}

/** In what a row differs from what we would write, password aside; undefined where it does not. */
export function differenceOf(row: Row, { host }: Registry): string | undefined {
  const differences = [
    row.connType !== "docker" && `conn_type is ${row.connType || "empty"}`,
    row.host !== host && `host is ${row.host.replace(/^.*@/s, "").slice(0, 100) || "empty"}`,
    row.login !== "AWS" && `login is ${row.login.slice(0, 100) || "empty"}`,
    row.port !== undefined && `port is ${row.port}`,
  ].filter((difference) => difference !== false)
  return differences.length === 0 ? undefined : differences.join(", ")
}
