// Airflow's metadata database: a docker connection for each registry, encrypted as Airflow encrypts it. The dialect
// comes from Airflow's own URL. All that is due is one transaction; rows that are not ECR logins are not ours.
import * as v from "valibot"
import type { DeliveryError } from "../src/errors.ts"
import {
  type DeliveryResult,
  defineSink,
  flagOption,
  type Held,
  listOption,
  type SinkDeps,
  secretOption,
  type Target,
} from "../src/sink.ts"
import { checkDelivery } from "./_airflow/check.ts"
import { withDatabase } from "./_airflow/database.ts"
import { deliverCredentials } from "./_airflow/delivery.ts"
import type { AirflowError } from "./_airflow/error.ts"
import { asFailure, failureOf } from "./_airflow/failure.ts"
import { readConnections } from "./_airflow/inspection.ts"
import {
  foldersOf,
  loadPlace,
  namePlace,
  type Place,
  type PlaceOptions,
  requireUsable,
} from "./_airflow/place.ts"
import type { Session } from "./_airflow/session.ts"
import { requireJournal } from "./_airflow/sqlite.ts"
import { connIdProblem } from "./_airflow/table.ts"
import { findTraps } from "./_airflow/traps.ts"
import { slotNaming } from "./_slot-name.ts"
import { findingsOf } from "./_target-error.ts"

const TYPE = "airflow-db"

const options = v.strictObject({
  conn_id: listOption(
    "Airflow connection id; {account}, {region} and {host} stand for the registry's (repeatable)",
  ),
  url: v.optional(
    secretOption(
      "Airflow's SQLAlchemy database URL, or a reference to it (default: found where Airflow finds it)",
    ),
  ),
  fernet_key: v.optional(
    secretOption("Airflow's Fernet key, or a reference to it (default: found where Airflow finds it)"),
  ),
  widen_password: v.optional(flagOption("Widen the password column if a login does not fit"), false),
  allow_plaintext: v.optional(flagOption("Store passwords unencrypted if there is no Fernet key"), false),
  adopt: v.optional(flagOption("Overwrite connections that hold something other than an ECR login"), false),
})

export default defineSink({
  type: TYPE,
  summary:
    "connections in Airflow's metadata database: PostgreSQL, MySQL, MariaDB or SQLite, Airflow 1.10 to 3.x",
  permissions: [
    "SELECT, UPDATE on the table connection",
    "to create connections that are not there yet: INSERT on it; PostgreSQL: USAGE on the sequence connection_id_seq",
    "widen_password: ownership of the table (PostgreSQL), ALTER on it (MySQL)",
  ],
  options,
  airflowDefaults: ["url", "fernet_key"],
  create(given, deps) {
    const connIdsFor = slotNaming("conn_id", given.conn_id, connIdProblem)
    requireUsable(given)
    const place = namePlace(given)
    const policy = () => ({
      adopt: given.adopt,
      allowPlaintext: given.allow_plaintext,
      widenPassword: given.widen_password,
      now: deps.clock.now(),
    })
    return {
      type: TYPE,
      targets: (registry) =>
        connIdsFor(registry).map((slot) => ({ registry, slot, name: `${place} ${slot}` })),
      deliver: (deliveries, signal) =>
        visit(given, deps, place, signal, async (session, { fernet: setting }) => {
          const wanted = deliveries.map(({ target, credential }) => ({ connId: target.slot, credential }))
          const written = await deliverCredentials(session, wanted, setting, policy())
          return written.map((one, i): DeliveryResult => {
            if ("refusal" in one)
              return { outcome: "failed", error: slotFailure(one.refusal, deliveries[i]?.target) }
            const { changed, expiresAt, warning } = one
            return {
              outcome: changed ? "delivered" : "unchanged",
              expiresAt,
              ...(warning ? { warning } : {}),
            }
          })
        }),
      read: (targets, signal) =>
        visit(given, deps, place, signal, async (session, { fernet: setting }) => {
          const contents = await readConnections(session, targets.map(asSlot), setting, given)
          return contents.map((content, i): Held => {
            if (content.state === "missing") return content
            if (content.state === "unreadable")
              return { state: "unreadable", error: slotFailure(content.refusal, targets[i]) }
            const { expiresAt, differs } = content
            return { state: "held", expiresAt, ...(differs ? { differs } : {}) }
          })
        }),
      check: (targets, signal) => {
        const check = async (session: Session, found: Place) => {
          const slots = targets.map(asSlot)
          const where = { name: place, place: found }
          if (found.url.file !== undefined) await requireJournal(found.url.file)
          return [
            ...(await checkDelivery(session, slots, place, found.fernet, policy())),
            ...(await findTraps(session, slots, where, policy(), deps)),
          ]
        }
        return findingsOf(() => visit(given, deps, place, signal, check), place)
      },
      folders: (signal) =>
        foldersOf(given, deps, signal).catch((error) => {
          throw asFailure(error, { sink: TYPE, target: place })
        }),
    }
  },
})

const asSlot = ({ slot, registry, name }: Target) => ({ connId: slot, registry, name })

/** Connects to the place as it is configured now, and turns whatever goes wrong there into a DeliveryError. */
async function visit<T>(
  options: PlaceOptions,
  deps: SinkDeps,
  target: string,
  signal: AbortSignal,
  work: (session: Session, place: Place) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  let place: Place | undefined
  let table: string | undefined
  try {
    const found = await loadPlace(options, deps, signal)
    place = found
    return await withDatabase(found, signal, (session) => {
      table = session.table
      return work(session, found)
    })
  } catch (error) {
    signal.throwIfAborted()
    throw asFailure(error, { sink: TYPE, target, url: place?.url, policy: place?.policy, table })
  }
}

function slotFailure(refusal: AirflowError, target: Target | undefined): DeliveryError {
  return failureOf(refusal, { sink: TYPE, target: target?.name ?? "" })
}
