// Airflow 3's bulk endpoint: many connections a call. It answers 200 whatever comes of them, and what is not among
// its successes counts as not done; what it does not do is left to be written one by one.
import type { Credential } from "../../src/credential.ts"
import type { Client } from "./client.ts"
import { entityOf } from "./connections.ts"
import { RestError } from "./error.ts"

/** One connection to be written, and whether it is there already. */
export type Due = { readonly connId: string; readonly credential: Credential; readonly exists: boolean }

/** The ids of those that were written, and why no more calls should be made, if so. */
export async function writeInBulk(
  client: Client,
  due: readonly Due[],
): Promise<{ readonly done: ReadonlySet<string>; readonly stopped?: RestError }> {
  const done = new Set<string>()
  for (let i = 0; i < due.length; i += client.bulk)
    try {
      const successes = await writeChunk(client, due.slice(i, i + client.bulk))
      // An older server, a gateway, an odd entity: writing them one by one tells which it is.
      if (!successes) return { done }
      for (const connId of successes) done.add(connId)
    } catch (error) {
      if (!(error instanceof RestError)) throw error
      return error.retryable && error.status !== 500 ? { done, stopped: error } : { done }
    }
  return { done }
}

async function writeChunk(client: Client, due: readonly Due[]): Promise<readonly string[] | undefined> {
  const missing = due.filter(({ exists }) => !exists)
  const existing = due.filter(({ exists }) => exists)
  // `skip` lets one that came or went meanwhile be left out alone. No update_mask: 3.0 and 3.1 refuse it, 3.2 and 3.3
  // pass over it; every version writes the fields that are given, and no other.
  const actions = [
    { action: "create", action_on_existence: "skip", entities: entitiesOf(missing) },
    { action: "update", action_on_non_existence: "skip", entities: entitiesOf(existing) },
  ].filter(({ entities }) => entities.length > 0)
  const { status, body } = await client.call({ method: "PATCH", path: "connections", body: { actions } })
  if (status !== 200) return undefined
  return [...successesOf(body, "create", missing), ...successesOf(body, "update", existing)]
}

function entitiesOf(due: readonly Due[]) {
  return due.map(({ connId, credential }) => entityOf(connId, credential))
}

function successesOf(body: unknown, action: "create" | "update", due: readonly Due[]): readonly string[] {
  const { success } = ((body as Record<string, unknown> | undefined)?.[action] ?? {}) as { success?: unknown }
  return Array.isArray(success)
    ? due.map(({ connId }) => connId).filter((connId) => success.includes(connId))
    : []
}
