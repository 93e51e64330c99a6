// What Secrets Manager's errors mean, by their names, and which permission is missing where it refuses a call.
import type { SinkDeps } from "../../src/sink.ts"
import type { CallContext, Meanings } from "../_aws/call.ts"

/** The sink's type. */
export const TYPE = "aws-secrets-manager"

/** What failures of this sink are put into words with. */
export type Context = { readonly aws: SinkDeps["aws"] }

/** The same for one target. */
export function contextOf(target: string, { aws }: Context): CallContext {
  return { sink: TYPE, target, aws, meanings, permissionHint }
}

const meanings: Meanings = {
  InvalidRequestException: {
    code: "deleted",
    text: "the secret is scheduled for deletion, or belongs to another service of AWS",
    hint: "run `aws secretsmanager restore-secret --secret-id NAME` to undo a deletion; else choose another name",
  },
  DecryptionFailure: {
    code: "kms-key",
    text: "the secret cannot be decrypted with its KMS key",
    hint: "check that the key is enabled, and allow kms:Decrypt on it",
  },
  EncryptionFailure: {
    code: "kms-key",
    text: "the KMS key cannot encrypt the secret",
    hint: "kms_key is the id, ARN or alias/… of a symmetric, enabled key in the secret's region; allow kms:GenerateDataKey on it",
  },
  LimitExceededException: {
    code: "secret-limit",
    text: "the account has as many secrets in this region as AWS allows, or this secret has too many versions",
    hint: "delete some; versions older than a day go away by themselves",
  },
  ResourceNotFoundException: {
    code: "conflict",
    text: "it is gone, or the KMS key that it is to be made with is not there",
    hint: "where somebody deleted it at the same moment, the next attempt makes it; else correct kms_key",
    retryable: true,
  },
  ResourceExistsException: {
    code: "conflict",
    text: "somebody else created it at the same moment",
    hint: "try again: the next attempt looks at what it is",
    retryable: true,
  },
}

const KEY = "on a kms_key of your own"

function permissionHint(action: string): string {
  if (action === "secretsmanager:GetSecretValue")
    return `allow secretsmanager:GetSecretValue on the secret and kms:Decrypt ${KEY}; with adopt=true it is not needed`
  if (action === "secretsmanager:DescribeSecret")
    return "allow secretsmanager:DescribeSecret on the secret; with adopt=true it is not needed"
  return `allow secretsmanager:PutSecretValue and, to create it, secretsmanager:CreateSecret and secretsmanager:TagResource on the secret, and kms:GenerateDataKey and kms:Decrypt ${KEY}`
}
