// Delivers credentials into the `connection` table: find the rows, decide on each, write all that is due in one
// transaction. What cannot be written is found before and fails alone; what changed meanwhile stops the transaction.
import type { Registry } from "../../src/registry.ts"
import type { FernetSetting } from "./config.ts"
import { chooseEncryption, type Encryption } from "./encryption.ts"
import { AirflowError } from "./error.ts"
import { decrypt } from "./fernet.ts"
import { findEquated, findUnholdable } from "./ids.ts"
import { findRows, loadPasswords } from "./lookup.ts"
import { type Plan, planConnection, sealedLength, type Wanted, type Written, writesPassword } from "./plan.ts"
import { refuseNew } from "./rights.ts"
import { type Claim, claimRows, mayBeKept, type Stored } from "./rows.ts"
import { fitsStatement, type Session } from "./session.ts"
import { wideningStatement, widthRefusal } from "./table.ts"
import { sizeOfPlan, writePlans } from "./write.ts"

/** How a delivery is to be done. */
export type DeliveryPolicy = {
  readonly adopt: boolean
  readonly allowPlaintext: boolean
  readonly widenPassword: boolean
  /** Milliseconds since 1970. */
  readonly now: number
}

/** Writes what is due; a result for each, in order. AirflowError where nothing could be written at all. */
export async function deliverCredentials(
  session: Session,
  wanted: readonly Wanted[],
  setting: FernetSetting,
  policy: DeliveryPolicy,
): Promise<readonly Written[]> {
  const slots = wanted.map(({ connId, credential }) => ({ connId, registry: credential.registry }))
  const claims = await refuseNew(session, await claimConnections(session, slots, policy))
  if (claims.every(({ refusal }) => refusal))
    return claims.map(({ refusal }) => ({ refusal: refusal as AirflowError }))
  const ours = claims.flatMap(({ rows, refusal }) => (refusal ? [] : rows))
  const encryption = await chooseEncryption(session, setting, ours, policy)
  const stored = await loadStored(session, wanted, claims, encryption)
  const about = { now: policy.now, encrypts: encryption.keys !== undefined }
  const planned = wanted.map((one, i): Planned => {
    const claim = claims[i] as Claim
    return claim.refusal ? { refusal: claim.refusal } : planConnection(one, claim, stored, about)
  })
  const fitting = await fitPlans(session, planned, encryption, policy)
  await writePlans(session, fitting.filter(isPlan), encryption, policy.now)
  return fitting.map((one) =>
    isPlan(one)
      ? {
          changed: one.creates || one.changes.length > 0,
          expiresAt: one.expiresAt,
          warning: encryption.warning,
        }
      : one,
  )
}

type Planned = Plan | { readonly refusal: AirflowError }
const isPlan = (planned: Planned): planned is Plan => !("refusal" in planned)

/** The rows of each connection id, in order, and which of them must not be written. */
export async function claimConnections(
  session: Session,
  slots: readonly { readonly connId: string; readonly registry: Registry }[],
  { adopt }: Pick<DeliveryPolicy, "adopt">,
): Promise<readonly Claim[]> {
  const connIds = [...new Set(slots.map(({ connId }) => connId))]
  const unholdable = await findUnholdable(session, connIds)
  const holdable = connIds.filter((connId) => !unholdable.has(connId))
  const found = await findRows(session, holdable)
  const there = new Set(found.map(({ connId }) => connId))
  const missing = holdable.filter((connId) => !there.has(connId))
  const equated = await findEquated(session, missing)
  return claimRows(slots, found, { adopt, unmakeable: new Map([...unholdable, ...equated]) })
}

// Only what could be kept needs to be known in full.
async function loadStored(
  session: Session,
  wanted: readonly Wanted[],
  claims: readonly Claim[],
  { keys }: Encryption,
): Promise<ReadonlyMap<number, Stored>> {
  const rows = wanted.flatMap(({ credential }, i) =>
    claims[i]?.refusal ? [] : (claims[i]?.rows.filter((row) => mayBeKept(row, credential)) ?? []),
  )
  const passwords = await loadPasswords(session, rows)
  return new Map(
    rows.map(({ id, encrypted }) => {
      const text = passwords.get(id) ?? ""
      return [id, { text: encrypted ? keys && decrypt(keys, text) : text }]
    }),
  )
}

// Refuses what does not fit, after widening the column where that is asked for. Before the transaction: MySQL commits
// at every ALTER TABLE.
async function fitPlans(
  session: Session,
  planned: readonly Planned[],
  encryption: Encryption,
  { widenPassword }: DeliveryPolicy,
): Promise<readonly Planned[]> {
  const narrow = (one: Planned) =>
    isPlan(one) && writesPassword(one)
      ? widthRefusal(session, sealedLength(one.credential, encryption).characters)
      : undefined
  const failure = widenPassword && planned.some(narrow) ? await widen(session) : undefined
  return planned.map((one) => {
    if (!isPlan(one)) return one
    const tooNarrow = widenPassword ? narrow(one) && failure : narrow(one)
    const refusal = tooNarrow ?? packetRefusal(session, () => sizeOfPlan(one, encryption))
    return refusal ? { refusal } : one
  })
}

async function widen(session: Session): Promise<AirflowError | undefined> {
  try {
    await session.alter(wideningStatement(session))
    return undefined
  } catch (cause) {
    return new AirflowError("the password column is too narrow and could not be widened", {
      code: "column-too-narrow",
      hint: `let the table's owner run ${wideningStatement(session)}`,
      cause,
    })
  }
}

function packetRefusal(session: Session, sizeBytes: () => number): AirflowError | undefined {
  if (!Number.isFinite(session.maxStatementBytes) || fitsStatement(sizeBytes(), session)) return undefined
  return new AirflowError(
    `the login does not fit the ${session.maxStatementBytes} bytes that the server takes`,
    {
      code: "packet-too-small",
      hint: "raise max_allowed_packet in the server's configuration",
    },
  )
}
