// Airflow's REST API: a docker connection for each registry, for Airflow 2 (v1) and 3 (v2). REST never shows a
// password, so what a connection holds cannot be read and every delivery writes; connections that are not ECR logins
// are not ours. Amazon MWAA's web servers are reached through AWS, which knows us by our AWS identity.
import * as v from "valibot"
import type { DeliveryError } from "../src/errors.ts"
import {
  type DeliveryResult,
  defineSink,
  flagOption,
  listOption,
  type SinkDeps,
  secretOption,
  textOption,
} from "../src/sink.ts"
import { failureOf } from "./_airflow/failure.ts"
import { checkDelivery } from "./_airflow-rest/check.ts"
import { type Client, openClient } from "./_airflow-rest/client.ts"
import { deliverOverRest, type Refusal } from "./_airflow-rest/delivery.ts"
import { type Environment, mwaaConnIdProblem, parseEnvironment } from "./_airflow-rest/environment.ts"
import { RestError } from "./_airflow-rest/error.ts"
import { openEnvironment } from "./_airflow-rest/mwaa.ts"
import { type Place, parsePlace } from "./_airflow-rest/place.ts"
import { identityOptions } from "./_aws/identity.ts"
import { visitStore } from "./_aws/visit.ts"
import { slotNaming } from "./_slot-name.ts"
import { findingsOf, targetError } from "./_target-error.ts"

const TYPE = "airflow-rest"

const options = v.strictObject({
  url: v.optional(
    textOption(
      "Where people open Airflow, base path included: https://airflow.example.com/base (required, unless mwaa_environment is given)",
    ),
  ),
  conn_id: listOption(
    "Airflow connection id; {account}, {region} and {host} stand for the registry's (repeatable)",
  ),
  username: v.optional(textOption("Airflow user, or a reference to the name")),
  password: v.optional(secretOption("The user's password, or a reference to it")),
  token: v.optional(secretOption("Ready bearer token, or a reference to it, instead of user and password")),
  client_id: v.optional(textOption("Keycloak auth manager: the client's id, instead of a user")),
  client_secret: v.optional(secretOption("Keycloak auth manager: the client's secret, or a reference to it")),
  assertion: v.optional(
    secretOption("Keycloak auth manager: a JWT that Keycloak gave, or a reference to it, instead of a user"),
  ),
  api: v.optional(
    v.pipe(
      v.picklist(["auto", "v1", "v2"]),
      v.description("Which API: v1 is Airflow 2's, v2 is Airflow 3's, auto asks the server (default: auto)"),
    ),
    "auto",
  ),
  mwaa_environment: v.optional(
    textOption(
      "Name of an Amazon MWAA environment, instead of url and a login: AWS passes the calls on. region, profile, role_arn and external_id go only with it",
    ),
  ),
  ...identityOptions,
  adopt: v.optional(flagOption("Overwrite connections that hold something other than an ECR login"), false),
})

export default defineSink({
  type: TYPE,
  summary: "connections over the REST API of Airflow 2 or 3; cannot be read: always due",
  permissions: [
    "role Op or Admin, or one that may read, create and edit connections",
    "Airflow 2 with username and password: basic_auth among [api] auth_backends",
    "mwaa_environment: instead airflow:InvokeRestApi on arn:aws:airflow:REGION:ACCOUNT:role/ENVIRONMENT/Op, which ends with the Airflow role",
  ],
  options,
  create(given, deps) {
    const environment = parseEnvironment(given, deps.env)
    const place = environment ?? parsePlace(given)
    // The workers of MWAA are AWS's own machines.
    const nearby = environment ? { env: {}, home: undefined } : deps
    const visit = <T>(signal: AbortSignal, work: (client: Client) => Promise<T>) =>
      visitPlace(place, deps, signal, work)
    const connIdsFor = slotNaming(
      "conn_id",
      given.conn_id,
      (connId) => connIdProblem(connId) ?? (environment && mwaaConnIdProblem(connId)),
    )
    return {
      type: TYPE,
      targets: (registry) =>
        connIdsFor(registry).map((slot) => ({ registry, slot, name: `${place.root} ${slot}` })),
      deliver: (deliveries, signal) =>
        visit(signal, async (client) => {
          const wanted = deliveries.map(({ target, credential }) => ({ connId: target.slot, credential }))
          const refusals = await deliverOverRest(client, wanted, given)
          return deliveries.map(({ target, credential }, i): DeliveryResult => {
            const refusal = refusals[i]
            if (refusal) return { outcome: "failed", error: asDeliveryError(refusal, target.name) }
            return { outcome: "delivered", expiresAt: credential.expiresAt }
          })
        }),
      check: (targets, signal) => {
        const check = (client: Client) => checkDelivery(client, targets, place, given, nearby)
        return findingsOf(() => visit(signal, check), place.root)
      },
    }
  },
})

async function visitPlace<T>(
  place: Place | Environment,
  deps: SinkDeps,
  signal: AbortSignal,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  try {
    if ("auth" in place) return await work(await openClient(place, deps, signal))
    const where = { service: "mwaa", sink: TYPE, place: place.root, who: place.who } as const
    return await visitStore(where, deps, signal, async (config) =>
      work(await openEnvironment(config, place, deps, signal)),
    )
  } catch (error) {
    signal.throwIfAborted()
    throw error instanceof RestError ? asDeliveryError(error, place.root) : error
  }
}

function asDeliveryError(refusal: Refusal, target: string): DeliveryError {
  if (!(refusal instanceof RestError)) return failureOf(refusal, { sink: TYPE, target })
  const { message: says, code, hint, retryable, cause } = refusal
  return targetError(TYPE, target, { code, says, hint, retryable }, cause)
}

// REST is stricter than Airflow itself; its \w is Python's, letters and digits of every script. A dot alone would be a
// folder in the address.
function connIdProblem(connId: string): string | undefined {
  if ([...connId].length > 200) return "is longer than the 200 characters that Airflow's REST API takes"
  if (!/^[\p{L}\p{N}_.-]+$/u.test(connId) || /^\.{1,2}$/.test(connId))
    return "Airflow's REST API takes only letters, digits and _ . -"
  return undefined
}
