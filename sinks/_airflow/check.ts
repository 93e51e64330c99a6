// Would a delivery be let in? Tries everything that a delivery does, on no row at all, and says what to mend.
import { errorFinding, type Finding } from "../../src/sink.ts"
import type { FernetSetting } from "./config.ts"
import { claimConnections, type DeliveryPolicy } from "./delivery.ts"
import { chooseEncryption } from "./encryption.ts"
import { AirflowError } from "./error.ts"
import { ciphertextLength } from "./fernet.ts"
import type { Slot } from "./inspection.ts"
import { refuseNew } from "./rights.ts"
import type { Row } from "./rows.ts"
import type { Session } from "./session.ts"
import { wideningStatement, widthRefusal } from "./table.ts"

// AWS promises no length; the longest passwords seen are about 2,700 characters.
const LIKELY_PASSWORD_BYTES = 3000

/** What was found, for each connection and for the table as a whole; `names` are the slots' targets. */
export async function checkDelivery(
  session: Session,
  slots: readonly (Slot & { readonly name: string })[],
  place: string,
  setting: FernetSetting,
  policy: DeliveryPolicy,
): Promise<readonly Finding[]> {
  await probeUpdating(session)
  const claims = await refuseNew(session, await claimConnections(session, slots, policy))
  const findings = slots.flatMap(({ name }, i) => {
    const refusal = claims[i]?.refusal
    return refusal ? [errorFinding(name, refusal)] : []
  })
  const ours = claims.flatMap(({ rows, refusal }) => (refusal ? [] : rows))
  findings.push(...(await checkEncryption(session, place, setting, ours, policy)))
  if (findings.some(({ level }) => level === "error")) return findings
  const count = `${slots.length} ${slots.length === 1 ? "connection" : "connections"}`
  return [...findings, { level: "ok", subject: place, message: `${count} can be written` }]
}

async function checkEncryption(
  session: Session,
  place: string,
  setting: FernetSetting,
  ours: readonly Row[],
  policy: DeliveryPolicy,
): Promise<readonly Finding[]> {
  try {
    const { keys, warning } = await chooseEncryption(session, setting, ours, policy)
    const refusal = widthRefusal(
      session,
      keys ? ciphertextLength(LIKELY_PASSWORD_BYTES) : LIKELY_PASSWORD_BYTES,
    )
    return [
      ...(warning ? [plainText(place, warning)] : []),
      ...(refusal ? [narrowness(session, place, refusal, policy)] : []),
    ]
  } catch (error) {
    if (!(error instanceof AirflowError)) throw error
    return [errorFinding(place, error)]
  }
}

function narrowness(session: Session, place: string, refusal: AirflowError, policy: DeliveryPolicy): Finding {
  if (!policy.widenPassword) return errorFinding(place, refusal)
  const fix = `nothing: a delivery will run ${wideningStatement(session)}`
  return { ...errorFinding(place, refusal), level: "warning", fix }
}

function plainText(subject: string, message: string): Finding {
  const fix = "give Airflow a fernet_key, with which the next new login is encrypted, unless this is meant"
  return { level: "warning", code: "plaintext", subject, message, fix }
}

// A statement that matches no row asks for every permission and for a server that takes writes, and changes nothing.
async function probeUpdating({ table, transaction }: Session): Promise<void> {
  await transaction(async ({ query }) => {
    await query(`UPDATE ${table} SET host = host, login = login, port = port, password = password,
      conn_type = conn_type, is_encrypted = is_encrypted WHERE 1 = 0`)
  })
}
