// Who asks AWS for a sink, and where: the options of every sink that delivers into AWS. A sink that names a profile or
// a role names all of its identity; one that names neither asks as the command does.
import * as v from "valibot"
import { ConfigError } from "../../src/errors.ts"
import { isRegion } from "../../src/registry.ts"
import { type AwsIdentity, isRoleArn, listOption, type SinkDeps, textOption } from "../../src/sink.ts"

/** The options, to be spread into a sink's own. */
export const identityOptions = {
  region: v.optional(
    v.pipe(
      textOption("AWS region of the target (default: AWS_REGION, AWS_DEFAULT_REGION, the profile's)"),
      v.check(isRegion, "is not a region, such as eu-west-1"),
    ),
  ),
  profile: v.optional(textOption("AWS profile to deliver with, instead of the one that fetches the token")),
  role_arn: v.optional(
    v.pipe(
      listOption("Role to assume for the delivery; several form a chain, each assumed from the one before"),
      v.check(
        (arns) => arns.every(isRoleArn),
        "is not the ARN of a role, such as arn:aws:iam::123456789012:role/deliver",
      ),
    ),
  ),
  external_id: v.optional(
    textOption("External id for the role that role_arn names, or for the last of them"),
  ),
}

/** What the options hold. */
export type IdentityOptions = {
  readonly region?: string | undefined
  readonly profile?: string | undefined
  readonly role_arn?: readonly string[] | undefined
  readonly external_id?: string | undefined
}

/** What the options mean for `AwsAccess`. Throws a ConfigError where they do not go together. */
export function identityOf({ region, profile, role_arn, external_id }: IdentityOptions): AwsIdentity {
  if (external_id && !role_arn)
    throw new ConfigError([
      { path: "external_id", message: "is for a role, and none is named; add role_arn, or leave it out" },
    ])
  return { region, profile, roleArns: role_arn, externalId: external_id }
}

/** The place as far as it can be told without asking: region, and whose where the sink says so. */
export function placeName({ region, profile, role_arn }: IdentityOptions, env: SinkDeps["env"]): string {
  const where = region || env.AWS_REGION || env.AWS_DEFAULT_REGION || "default region"
  const whose = role_arn?.at(-1) ?? profile
  return whose ? `${where} (${whose})` : where
}
