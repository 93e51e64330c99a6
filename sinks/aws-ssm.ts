// AWS Systems Manager Parameter Store: a SecureString parameter for each registry, in the form that its readers want.
// What we make carries our tag; what does not is somebody else's. An unchanged value is not written again, since AWS
// keeps a hundred versions and takes few writes a second.
import * as v from "valibot"
import { defineSink, flagOption, textOption } from "../src/sink.ts"
import { checkBySlot, deliverBySlot, readBySlot } from "./_aws/by-slot.ts"
import { contentOptions } from "./_aws/content.ts"
import { identityOf, identityOptions, placeName } from "./_aws/identity.ts"
import type { SlotService } from "./_aws/slot-service.ts"
import { slotTemplates } from "./_aws/slot-templates.ts"
import { visitStore } from "./_aws/visit.ts"
import { TYPE } from "./_aws-ssm/failure.ts"
import { parameterNameProblem } from "./_aws-ssm/parameter-name.ts"
import { parameterService } from "./_aws-ssm/service.ts"
import { TIERS } from "./_aws-ssm/size.ts"
import { openStore, type Parameter } from "./_aws-ssm/store.ts"
import { partOf } from "./_login-format.ts"
import { slotNaming } from "./_slot-name.ts"
import { findingsOf } from "./_target-error.ts"

const options = v.strictObject({
  name: v.optional(
    textOption(
      "Name of the parameter; {account}, {region} and {host} stand for the registry's (default with an airflow format: /airflow/connections/{conn_id})",
    ),
  ),
  ...contentOptions,
  ...identityOptions,
  kms_key: v.optional(
    textOption(
      "Id, ARN or alias/… of the KMS key to encrypt with; without it AWS uses the account's key aws/ssm, even for a parameter that had another one",
    ),
  ),
  tier: v.optional(
    v.pipe(
      v.picklist(TIERS),
      v.description(
        "Standard: up to 4,096 characters; Advanced: up to 8,192, at a price; Intelligent-Tiering: advanced where needed. Without it the account's default applies, and no more than 4,096 are written; an advanced parameter stays advanced",
      ),
    ),
  ),
  adopt: v.optional(flagOption("Overwrite a parameter that ecrelay did not make"), false),
})

export default defineSink({
  type: TYPE,
  summary:
    "AWS Systems Manager Parameter Store: for Airflow's backend, or as docker config, password or JSON",
  permissions: [
    "ssm:GetParameters, ssm:PutParameter, ssm:AddTagsToResource, ssm:ListTagsForResource on the parameters",
    "kms_key: kms:Encrypt and kms:Decrypt on the key; for an advanced parameter kms:GenerateDataKey too",
    "adopt=true: ssm:PutParameter is enough; every delivery then writes, unless ssm:GetParameters is allowed",
  ],
  options,
  create({ name, format, conn_id, kms_key, tier, adopt, ...identity }, deps) {
    const airflowName = "/airflow/connections/{conn_id}"
    const templates = slotTemplates({ name, format, conn_id, airflowName })
    const namesFor = slotNaming("name", templates, parameterNameProblem)
    const place = placeName(identity, deps.env)
    const where = { service: "ssm", sink: TYPE, place, who: identityOf(identity) } as const
    const visit = <T>(signal: AbortSignal, work: (service: SlotService<Parameter>) => Promise<T>) =>
      visitStore(where, deps, signal, async (config) => {
        const policy = { format, kmsKey: kms_key, tier, adopt, now: deps.clock.now() }
        return work(parameterService(await openStore(config, signal), policy, deps))
      })
    return {
      type: TYPE,
      targets: (registry) =>
        namesFor(registry).map((slot) => ({
          registry,
          slot,
          name: `${place} parameter ${slot}${partOf(format, registry.host)}`,
        })),
      deliver: (deliveries, signal) => visit(signal, (service) => deliverBySlot(deliveries, service, signal)),
      read: (targets, signal) => visit(signal, (service) => readBySlot(targets, service, signal)),
      check: (targets, signal) =>
        findingsOf(() => visit(signal, (service) => checkBySlot(targets, service, signal)), place),
    }
  },
})
