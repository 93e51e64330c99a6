// What is to become of the rows of the `connection` table: pure decisions on what was found there. A row is ours only
// if it is a docker login to ECR or to our own host, or nearly empty; what outlives our credential is left alone.
import {
  type Credential,
  ECR_USER_NAME,
  expiryOf,
  outlives,
  TOKEN_LIFETIME_MS,
} from "../../src/credential.ts"
import { bareHost, isEcrHost, parseRegistry, type Registry } from "../../src/registry.ts"
import { AirflowError } from "./error.ts"
import { encryptedAt } from "./fernet.ts"
import { connIdProblem } from "./table.ts"

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

/**
 * What may be claimed, in the order of `wanted`: rows are matched by exact id, whatever the database's collation says.
 * `unmakeable`: why an id that has no row must stay without.
 */
export function claimRows(
  wanted: readonly { readonly connId: string; readonly registry: Registry }[],
  found: readonly Row[],
  { adopt, unmakeable }: { readonly adopt: boolean; readonly unmakeable: ReadonlyMap<string, AirflowError> },
): readonly Claim[] {
  const byId = Map.groupBy(found, ({ connId }) => connId)
  return wanted.map(({ connId, registry }) => {
    const rows = byId.get(connId) ?? []
    if (rows.length === 0) return { rows, refusal: unmakeable.get(connId) }
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

/** Why a connection cannot be made: to the database its id is that of another one. */
export function takenFor(connId: string, owner: string): AirflowError {
  const usable = connIdProblem(owner) === undefined
  const wayOut = usable
    ? `use conn_id=${owner} instead, or rename that connection in Airflow`
    : "delete or rename that connection in Airflow, or choose another conn_id"
  return new AirflowError(
    `the database cannot tell connection ${connId} from ${usable ? owner : quoted(owner)}`,
    {
      code: "conn-id-taken",
      hint: `its collation does not tell the two apart: ${wayOut}`,
    },
  )
}

// What cannot be seen, such as a soft hyphen or a blank of another kind, by its number.
function quoted(text: string): string {
  const seen = text.replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, (one) => `\\u{${one.codePointAt(0)?.toString(16)}}`)
  return `"${seen}"`
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
    row.login !== ECR_USER_NAME && `login is ${row.login.slice(0, 100) || "empty"}`,
    row.port !== undefined && `port is ${row.port}`,
  ].filter((difference) => difference !== false)
  return differences.length === 0 ? undefined : differences.join(", ")
}
