// What makes a good login useless although it can be written: connections that Airflow finds elsewhere first, fields of
// the row that DockerHook heeds, several rows of one id, a database that anybody could stand in for. For `check`.
import { readFile } from "node:fs/promises"
import type { Finding } from "../../src/sink.ts"
import type { AirflowConfigDeps } from "./cfg-file.ts"
import { loadAirflowConfig } from "./config.ts"
import { claimConnections } from "./delivery.ts"
import { decrypt } from "./fernet.ts"
import type { Slot } from "./inspection.ts"
import { loginTraps } from "./login-traps.ts"
import { type Extra, loadExtras } from "./lookup.ts"
import type { Place } from "./place.ts"
import type { Claim } from "./rows.ts"
import type { Session } from "./session.ts"
import { isLocal } from "./tls.ts"
import { findWorkerHelpers } from "./worker-config.ts"

type NamedSlot = Slot & { readonly name: string }

/** All that is found; nothing of it keeps a delivery from its work. */
export async function findTraps(
  session: Session,
  slots: readonly NamedSlot[],
  where: { readonly name: string; readonly place: Place },
  policy: { readonly adopt: boolean },
  deps: AirflowConfigDeps,
): Promise<readonly Finding[]> {
  const claims = await claimConnections(session, slots, policy)
  const extras = await loadExtras(
    session,
    claims.flatMap(({ rows }) => rows),
  )
  const ofSlots = slots.flatMap((slot, i) => {
    const claim = claims[i]
    return [
      ...elsewhere(slot, deps),
      ...(claim && !claim.refusal ? inRows(slot, claim, extras, where.place) : []),
    ]
  })
  return [
    ...ofSlots,
    ...(await secretsBackend(where.name, deps)),
    ...unverified(where.name, where.place),
    ...(await noExecution(session, deps)),
    ...(await findWorkerHelpers(
      slots.map(({ registry }) => registry),
      deps,
    )),
  ]
}

// Airflow looks into its environment before the database. Whether what is set here is set for Airflow too, we cannot know.
function elsewhere({ connId, name }: NamedSlot, { env }: AirflowConfigDeps): readonly Finding[] {
  const variable = `AIRFLOW_CONN_${connId.toUpperCase()}`
  if (!env[variable]) return []
  const message = `${variable} is set here; where it is set for Airflow too, Airflow takes that connection and never looks in the database`
  return [warning("shadowed", name, message, `unset ${variable} for Airflow`)]
}

async function secretsBackend(subject: string, deps: AirflowConfigDeps): Promise<readonly Finding[]> {
  const from = await loadAirflowConfig(deps)
    .secretsBackend()
    .catch(() => undefined)
  if (!from) return []
  const message = `Airflow asks a secrets backend first (${from}): a connection of the same id there wins over the database's`
  return [
    warning(
      "secrets-backend",
      subject,
      message,
      "check that the backend holds none of these ids, or deliver into it instead",
    ),
  ]
}

function inRows(
  { name, registry }: NamedSlot,
  { rows }: Claim,
  extras: ReadonlyMap<number, Extra>,
  { fernet }: Place,
): readonly Finding[] {
  const keys = fernet.state === "set" ? fernet.keys : undefined
  const texts = rows.map(({ id }) => {
    const extra = extras.get(id)
    return extra?.encrypted ? keys && decrypt(keys, extra.text) : extra?.text
  })
  return loginTraps(name, registry, rows, texts)
}

function unverified(subject: string, { url, policy }: Place): readonly Finding[] {
  if (!policy || /^verify-/.test(policy.mode) || url.addresses.every(isLocal)) return []
  const option = url.dialect === "postgresql" ? "sslmode=verify-full" : "ssl_mode=VERIFY_IDENTITY"
  const message = `nothing verifies that this is the right server: its URL says ${policy.mode}`
  return [
    warning(
      "unverified",
      subject,
      message,
      `add ${option} to the URL, with the server's CA if it is a private one`,
    ),
  ]
}

// The driver's native part is unpacked there and loaded.
async function noExecution({ dialect }: Session, { env }: AirflowConfigDeps): Promise<readonly Finding[]> {
  if (dialect !== "sqlite") return []
  const folder = env.TMPDIR || "/tmp"
  const mounts = await readFile("/proc/self/mounts", "utf8").catch(() => "")
  const holding = mounts
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([, point = ""]) => point === "/" || folder === point || folder.startsWith(`${point}/`))
    .sort(([, a = ""], [, b = ""]) => b.length - a.length)[0]
  if (!holding?.[3]?.split(",").includes("noexec")) return []
  const message =
    "is mounted noexec: the SQLite driver cannot be loaded from there, and the runtime's own takes its place"
  return [
    warning("noexec", folder, message, "set TMPDIR to a folder that allows execution, or leave it as it is"),
  ]
}

function warning(code: string, subject: string, message: string, fix: string): Finding {
  return { level: "warning", code, subject, message, fix }
}
