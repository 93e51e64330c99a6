// A client of the Airflow in an environment of Amazon MWAA. MWAA knows its version and logs us in, in the Airflow role
// that ends the resource of an IAM policy.
import type { SinkDeps } from "../../src/sink.ts"
import type { StoreConfig } from "../_aws/visit.ts"
import type { Client } from "./client.ts"
import type { Environment } from "./environment.ts"
import { RestError } from "./error.ts"
import { openInvoke } from "./invoke.ts"
import { airflowRoleArn } from "./mwaa-failure.ts"
import type { Answer } from "./transport.ts"

// MWAA ends a call after ten seconds.
const BULK = 25

/** Asks the environment for its version. Rejects with a RestError. */
export async function openEnvironment(
  config: StoreConfig,
  { name }: Environment,
  deps: SinkDeps,
  signal: AbortSignal,
): Promise<Client> {
  const send = await openInvoke(config, name, deps, signal)
  const refuseStrangers = (answer: Answer): Answer => {
    if (answer.status === 401 || answer.status === 403) throw roleRefused(answer, name, config.region)
    return answer
  }
  const version = versionOf(refuseStrangers(await send({ method: "GET", path: "version" })))
  return {
    api: Number.parseInt(version, 10) >= 3 ? "v2" : "v1",
    version,
    // It is documented nowhere how MWAA passes on a parameter that is a list, and Airflow answers 200 to a mask that it does
    // not understand. Without a mask, both APIs change the fields that are given, and no other.
    masks: false,
    bulk: BULK,
    call: async (call) => refuseStrangers(await send(call)),
  }
}

function versionOf({ status, body }: Answer): string {
  const { version } = (body ?? {}) as { readonly version?: unknown }
  if (status === 200 && typeof version === "string" && /^\d/.test(version)) return version.slice(0, 30)
  throw new RestError(`Airflow does not give its version through MWAA (${status})`, {
    code: "not-airflow",
    hint: "check that the environment is AVAILABLE and runs Airflow 2.4.3 or later; its web server's log says more",
    status,
  })
}

function roleRefused({ status }: Answer, name: string, region: string): RestError {
  return new RestError(`Airflow refused access (${status})`, {
    code: "access-refused",
    hint: `the identity has to be Op or Admin in Airflow, as the end of the policy's resource says: ${airflowRoleArn(name, region)}; with * there, it gets a role that may do less`,
    status,
  })
}
