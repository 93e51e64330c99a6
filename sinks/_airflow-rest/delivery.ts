// Delivers credentials over REST: look the connections up, refuse what is not ours, write the rest in bulk or one by
// one. Each that cannot be written fails alone; what came or went meanwhile is looked at again.
import type { Credential } from "../../src/credential.ts"
import type { Registry } from "../../src/registry.ts"
import { AirflowError } from "../_airflow/error.ts"
import { claimRows, takenFor } from "../_airflow/rows.ts"
import { inParallel } from "../_parallel.ts"
import { type Due, writeInBulk } from "./bulk.ts"
import type { Client } from "./client.ts"
import {
  changeConnection,
  createConnection,
  getConnection,
  lookUp,
  PARALLEL,
  type Seen,
} from "./connections.ts"
import { RestError } from "./error.ts"

/** One credential for one connection id. */
export type Wanted = { readonly connId: string; readonly credential: Credential }

/** Why one was not written: what it holds, or what a call came to. */
export type Refusal = AirflowError | RestError

/** Whether connections that hold something other than an ECR login may be overwritten. */
export type Policy = { readonly adopt: boolean }

/** Writes all; for each, in order, why it was not written, or undefined. Rejects with a RestError. */
export async function deliverOverRest(
  client: Client,
  wanted: readonly Wanted[],
  policy: Policy,
): Promise<readonly (Refusal | undefined)[]> {
  const found = await lookUp(
    client,
    wanted.map(({ connId }) => connId),
  )
  const refusals = wanted.map(({ connId, credential }) =>
    refusalOf(connId, credential.registry, found.get(connId), policy),
  )
  const due = wanted
    .filter((_, i) => refusals[i] === undefined)
    .map((one): Due => ({ ...one, exists: isThere(one, found.get(one.connId)) }))
  const outcomes = await writeAll(client, due, policy)
  return wanted.map(({ connId }, i) => refusals[i] ?? outcomes.get(connId))
}

/** Why a connection must not be written, going by what the server shows for its id; undefined if it may. */
export function refusalOf(
  connId: string,
  registry: Registry,
  found: Seen | undefined,
  { adopt }: Policy,
): Refusal | undefined {
  if (found instanceof RestError) return found
  // A database that ignores case, say, has the server show another connection for this id: that one is never ours.
  if (found && found.connId !== connId) return takenFor(connId, found.connId)
  return claimRows([{ connId, registry }], found ? [found] : [], { adopt, unmakeable: new Map() })[0]?.refusal
}

function isThere({ connId }: Wanted, found: Seen | undefined): boolean {
  return found !== undefined && "connId" in found && found.connId === connId
}

async function writeAll(
  client: Client,
  due: readonly Due[],
  policy: Policy,
): Promise<ReadonlyMap<string, Refusal>> {
  const bulk = client.api === "v2" && due.length > PARALLEL ? await writeInBulk(client, due) : undefined
  const left = due.filter(({ connId }) => !bulk?.done.has(connId))
  const outcomes = await inParallel(PARALLEL, left, async (one) => {
    const refusal = bulk?.stopped ?? (await whyNotWritten(client, one, policy))
    return [one.connId, refusal] as const
  })
  return new Map(outcomes.filter((outcome): outcome is [string, Refusal] => outcome[1] !== undefined))
}

async function whyNotWritten(client: Client, due: Due, policy: Policy): Promise<Refusal | undefined> {
  try {
    await writeConnection(client, due, policy)
    return undefined
  } catch (error) {
    if (error instanceof RestError || error instanceof AirflowError) return error
    throw error
  }
}

// Somebody may create it after we found none, and delete it after that.
const ATTEMPTS = 3

async function writeConnection(client: Client, due: Due, policy: Policy): Promise<void> {
  const { connId, credential } = due
  let { exists } = due
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const write = exists ? changeConnection : createConnection
    if (await write(client, connId, credential)) return
    const found = await getConnection(client, connId)
    const refusal = refusalOf(connId, credential.registry, found, policy)
    if (refusal) throw refusal
    exists = isThere(due, found)
  }
  throw new RestError("somebody else keeps creating and deleting the connection", {
    code: "changed-meanwhile",
    hint: "try again; if it persists, look for what else manages this connection",
    retryable: true,
  })
}
