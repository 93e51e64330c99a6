// What Parameter Store's errors mean, by their names, and which permission is missing where it refuses a call.
import type { SinkDeps } from "../../src/sink.ts"
import type { CallContext, Meanings } from "../_aws/call.ts"

/** The sink's type. */
export const TYPE = "aws-ssm"

/** What failures of this sink are put into words with. */
export type Context = { readonly aws: SinkDeps["aws"] }

/** The same for one target. */
export function contextOf(target: string, { aws }: Context): CallContext {
  return { sink: TYPE, target, aws, meanings, permissionHint }
}

const meanings: Meanings = {
  ParameterLimitExceeded: {
    code: "parameter-limit",
    text: "the account has as many parameters in this region as AWS allows",
    hint: "delete some, or make this one advanced with tier=Advanced",
  },
  ParameterMaxVersionLimitExceeded: {
    code: "version-limit",
    text: "its oldest version carries a label, so AWS cannot drop it for a new one",
    hint: "move the label to a newer version, or remove it",
  },
  InvalidKeyId: {
    code: "kms-key",
    text: "its KMS key cannot be used",
    hint: "kms_key is the id, ARN or alias/… of a symmetric, enabled key in the parameter's region; a parameter whose old key is gone must be deleted",
  },
  ParameterPatternMismatchException: {
    code: "allowed-pattern",
    text: "its AllowedPattern does not allow the login",
    hint: "choose another name or format, or delete the parameter, which is then created again",
  },
  HierarchyTypeMismatchException: {
    code: "parameter-type",
    text: "it is of another type, which AWS cannot change",
    hint: "delete it, and the next delivery makes it a SecureString",
  },
  ParameterAlreadyExists: {
    code: "conflict",
    text: "somebody else created it at the same moment",
    hint: "try again: the next attempt looks at what it is",
    retryable: true,
  },
  InvalidResourceId: {
    code: "conflict",
    text: "somebody deleted it at the same moment",
    hint: "the next attempt makes it",
    retryable: true,
  },
  TooManyUpdates: {
    code: "throttled",
    text: "somebody else is updating it too",
    hint: "this clears up by itself",
    retryable: true,
  },
  ValidationException: {
    code: "invalid",
    text: "AWS rejected it",
    hint: "the words in brackets are AWS's own; `ecrelay sinks aws-ssm` lists what can be set",
  },
}

const KEY = "on a kms_key of your own"

function permissionHint(action: string): string {
  if (action === "ssm:GetParameters")
    return `allow ssm:GetParameters on the parameter and kms:Decrypt ${KEY}; with adopt=true ssm:PutParameter alone is enough`
  if (action === "ssm:ListTagsForResource")
    return "allow ssm:ListTagsForResource on the parameter; with adopt=true it is not needed"
  return `allow ssm:PutParameter and, to create it, ssm:AddTagsToResource on the parameter, and ${KEY} kms:Encrypt (advanced: kms:GenerateDataKey and kms:Decrypt)`
}
