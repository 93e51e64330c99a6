// Writes plans in one transaction, in chunks that fit the server: rows by primary key, new ones inserted. Before a row
// is changed it is locked and compared with what was found, so that nobody's newer login is overwritten.
import type { Credential } from "../../src/credential.ts"
import type { Encryption } from "./encryption.ts"
import { AirflowError } from "./error.ts"
import { drawVectors } from "./fernet.ts"
import { areUnchanged } from "./lookup.ts"
import { type Plan, sealedLength, sealPassword } from "./plan.ts"
import { chunksOf, type Session } from "./session.ts"

/** Writes what the plans ask for; nothing at all if anything fails. */
export async function writePlans(
  session: Session,
  plans: readonly Plan[],
  encryption: Encryption,
  now: number,
): Promise<void> {
  const changes = plans
    .flatMap((plan) => plan.changes.map((change) => ({ plan, ...change })))
    // In one order everywhere: two instances that lock the same rows then wait, and never for each other.
    .sort((one, other) => one.row.id - other.row.id)
  const created = plans.filter(({ creates }) => creates)
  if (changes.length === 0 && created.length === 0) return
  const encrypted = encryption.keys !== undefined
  const seal = (credential: Credential, vector: Uint8Array) =>
    sealPassword(credential, encryption, now, vector)
  await session.transaction(async ({ query, update, insert }) => {
    const rows = changes.map(({ row }) => row)
    if (!(await areUnchanged({ ...session, query }, rows))) throw changedMeanwhile()
    await inTurn(
      chunksOf(changes, session, ({ plan }) => sizeOfPlan(plan, encryption)),
      ({ plan: { credential }, row, change }, vector) => ({
        id: row.id,
        host: credential.registry.host,
        login: credential.userName,
        password: change === "replace" ? seal(credential, vector) : undefined,
      }),
      (chunk) => update(chunk, encrypted),
    )
    await inTurn(
      chunksOf(created, session, (plan) => sizeOfPlan(plan, encryption)),
      ({ connId, credential }, vector) => ({
        connId,
        host: credential.registry.host,
        login: credential.userName,
        password: seal(credential, vector),
      }),
      (chunk) => insert(chunk, encrypted),
    )
  })
}

// One statement after another, since MySQL would carry on after a failure; but while the server is at work on one, the
// next one's passwords are encrypted.
async function inTurn<One, Sealed>(
  chunks: readonly (readonly One[])[],
  seal: (one: One, vector: Uint8Array) => Sealed,
  write: (chunk: readonly Sealed[]) => Promise<number>,
): Promise<void> {
  const sealAll = async (chunk: readonly One[]) => {
    const vectors = await drawVectors(chunk.length)
    return chunk.map((one, i) => seal(one, vectors[i] as Uint8Array))
  }
  const writeAll = async (chunk: readonly Sealed[]) => {
    if ((await write(chunk)) !== chunk.length) throw notApplied()
  }
  let writing = Promise.resolve()
  for (const chunk of chunks) {
    const [sealed] = await Promise.all([sealAll(chunk), writing])
    writing = writeAll(sealed)
  }
  await writing
}

/** How many bytes a plan takes in a statement at most. */
export function sizeOfPlan({ connId, credential }: Plan, encryption: Encryption): number {
  const texts = Buffer.byteLength(connId + credential.registry.host + credential.userName)
  // Quotes and backslashes are doubled where values are written into the statement; a Fernet token has none.
  return 2 * texts + sealedLength(credential, encryption).bytes * (encryption.keys ? 1 : 2)
}

function notApplied(): AirflowError {
  return new AirflowError("the database accepted the login and did not keep it; nothing was written", {
    code: "not-applied",
    hint: "look for a trigger or a rule on the table that skips rows",
  })
}

function changedMeanwhile(): AirflowError {
  return new AirflowError("somebody else changed the connection at the same moment; nothing was written", {
    code: "changed-meanwhile",
    hint: "try again: the next attempt looks at it afresh",
  })
}
