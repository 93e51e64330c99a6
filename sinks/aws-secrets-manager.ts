// AWS Secrets Manager: a secret for each registry, in the form that its readers want. What we make carries our tag; what
// does not is somebody else's. An unchanged value is not written again, since each write is a version.
import * as v from "valibot"
import { defineSink, flagOption, textOption } from "../src/sink.ts"
import { checkBySlot, deliverBySlot, readBySlot } from "./_aws/by-slot.ts"
import { contentOptions } from "./_aws/content.ts"
import { identityOf, identityOptions, placeName } from "./_aws/identity.ts"
import type { SlotService } from "./_aws/slot-service.ts"
import { slotTemplates } from "./_aws/slot-templates.ts"
import { visitStore } from "./_aws/visit.ts"
import { TYPE } from "./_aws-secrets-manager/failure.ts"
import { secretService } from "./_aws-secrets-manager/service.ts"
import { openStore, type Secret } from "./_aws-secrets-manager/store.ts"
import { partOf } from "./_login-format.ts"
import { slotNaming } from "./_slot-name.ts"
import { findingsOf } from "./_target-error.ts"

const options = v.strictObject({
  name: v.optional(
    textOption(
      "Name of the secret; {account}, {region} and {host} stand for the registry's (default with an airflow format: airflow/connections/{conn_id})",
    ),
  ),
  ...contentOptions,
  ...identityOptions,
  kms_key: v.optional(
    textOption(
      "Id, ARN or alias/… of the KMS key for secrets that ecrelay creates; an existing secret keeps its own",
    ),
  ),
  adopt: v.optional(flagOption("Overwrite a secret that ecrelay did not make"), false),
})

export default defineSink({
  type: TYPE,
  summary: "AWS Secrets Manager: for Airflow's backend, or as docker config, password, URI or JSON",
  permissions: [
    "secretsmanager:GetSecretValue, DescribeSecret, PutSecretValue, CreateSecret, TagResource on the secrets",
    "kms_key: kms:GenerateDataKey and kms:Decrypt on the key",
    "adopt=true: secretsmanager:PutSecretValue is enough; every delivery then writes, unless GetSecretValue is allowed",
  ],
  options,
  create({ name, format, conn_id, kms_key, adopt, ...identity }, deps) {
    const airflowName = "airflow/connections/{conn_id}"
    const templates = slotTemplates({ name, format, conn_id, airflowName })
    const namesFor = slotNaming("name", templates, secretNameProblem)
    const place = placeName(identity, deps.env)
    const where = { service: "secrets_manager", sink: TYPE, place, who: identityOf(identity) } as const
    const visit = <T>(signal: AbortSignal, work: (service: SlotService<Secret>) => Promise<T>) =>
      visitStore(where, deps, signal, async (config) => {
        const policy = { format, kmsKey: kms_key, adopt, now: deps.clock.now() }
        return work(secretService(await openStore(config, signal), policy, deps))
      })
    return {
      type: TYPE,
      targets: (registry) =>
        namesFor(registry).map((slot) => ({
          registry,
          slot,
          name: `${place} secret ${slot}${partOf(format, registry.host)}`,
        })),
      deliver: (deliveries, signal) => visit(signal, (service) => deliverBySlot(deliveries, service, signal)),
      read: (targets, signal) => visit(signal, (service) => readBySlot(targets, service, signal)),
      check: (targets, signal) =>
        findingsOf(() => visit(signal, (service) => checkBySlot(targets, service, signal)), place),
    }
  },
})

// Found before any call. AWS advises against names that end like an ARN, with a hyphen and six characters; connection
// ids such as `ecr-docker` do, and we never ask by a part of an ARN.
function secretNameProblem(name: string): string | undefined {
  if (!/^[\w/+=.@-]+$/.test(name)) return "a secret's name may hold only letters, digits and / _ + = . @ -"
  if (name.length > 512) return "a secret's name may not be longer than 512 characters"
  return undefined
}
