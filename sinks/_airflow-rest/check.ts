// Would a delivery be let in? Reads each connection and asks for permission to write on ids that cannot be, so that
// nothing changes, and says what to mend.
import { errorFinding, type Finding, type SinkDeps, type Target } from "../../src/sink.ts"
import { loginTraps } from "../_airflow/login-traps.ts"
import { findWorkerHelpers } from "../_airflow/worker-config.ts"
import type { Client } from "./client.ts"
import { lookUp } from "./connections.ts"
import { type Policy, refusalOf } from "./delivery.ts"
import { isCleartext } from "./place.ts"

/** What was found, for each connection and for the server as a whole. Rejects with a RestError. */
export async function checkDelivery(
  client: Client,
  targets: readonly Target[],
  place: { readonly root: string },
  policy: Policy,
  deps: Pick<SinkDeps, "env" | "home">,
): Promise<readonly Finding[]> {
  const found = await lookUp(
    client,
    targets.map(({ slot }) => slot),
  )
  await probeWriting(client)
  const problems = targets.flatMap(({ slot, registry, name }): readonly Finding[] => {
    const refusal = refusalOf(slot, registry, found.get(slot), policy)
    return refusal ? [errorFinding(name, refusal)] : []
  })
  const cleartext: readonly Finding[] = isCleartext(place) ? [cleartextWarning(place)] : []
  if (problems.length > 0) return [...problems, ...cleartext]
  const traps = targets.flatMap(({ slot, registry, name }) => {
    const one = found.get(slot)
    return one && "connId" in one ? loginTraps(name, registry, [one], [one.extra]) : []
  })
  const helpers = await findWorkerHelpers(
    targets.map(({ registry }) => registry),
    deps,
  )
  const count = `${targets.length} ${targets.length === 1 ? "connection" : "connections"}`
  const message = `Airflow ${client.version} lets ecrelay in: ${count} can be written`
  return [{ level: "ok", subject: place.root, message }, ...traps, ...cleartext, ...helpers]
}

// Permission is asked for before the connection is looked for (both APIs) and before the body is read (v2).
async function probeWriting({ call }: Client): Promise<void> {
  const nobody = "ecrelay.check.no-such-connection"
  const body = { connection_id: nobody, conn_type: "docker" }
  await call({ method: "PATCH", path: `connections/${nobody}?update_mask=none`, body })
  await call({ method: "POST", path: "connections", body: {} })
}

function cleartextWarning({ root }: { readonly root: string }): Finding {
  return {
    level: "warning",
    code: "clear-text",
    subject: root,
    message: "passwords are sent there in clear text",
    fix: "name an https:// address, unless nobody else can listen on the way",
  }
}
