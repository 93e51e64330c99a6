// STS: who the caller is, and the keys of a role. Loaded only where one of the two is asked for.
import { readFile } from "node:fs/promises"
import {
  AssumeRoleCommand,
  type AssumeRoleCommandInput,
  AssumeRoleWithWebIdentityCommand,
  GetCallerIdentityCommand,
  type Credentials as Keys,
  STSClient,
  type STSClientConfig,
} from "@aws-sdk/client-sts"
import type { AttributedAwsCredentialIdentity as Credentials } from "@aws-sdk/types"
import { streamCollector } from "@smithy/fetch-http-handler"
import { type AwsSettings, clientConfig } from "./aws.ts"
import { NO_ANSWER_OF_AWS } from "./errors.ts"

/** A role and what else AWS is told when it is assumed, by AWS's own names. */
type Role = { readonly arn: string; readonly parameters: Readonly<Record<string, unknown>> }

function client(settings: AwsSettings, credentials?: Credentials): STSClient {
  return new STSClient({
    ...clientConfig(settings, "sts"),
    ...(credentials ? { credentials } : {}),
    streamCollector,
  })
}

function inputOf({ arn, parameters }: Role): AssumeRoleCommandInput {
  return { RoleSessionName: "ecrelay", ...parameters, RoleArn: arn }
}

/** Temporary keys of a role. Rejects with the SDK's own error. */
export async function assumeRole(
  base: Credentials,
  role: Role,
  settings: AwsSettings,
  signal: AbortSignal,
): Promise<Credentials> {
  const command = new AssumeRoleCommand(inputOf(role))
  return keysOf((await client(settings, base).send(command, { abortSignal: signal })).Credentials)
}

/** Temporary keys of a role that trusts a web identity, such as a Kubernetes service account's token. */
export async function assumeRoleWithWebIdentity(
  { tokenFile, ...role }: Role & { readonly tokenFile: string },
  settings: AwsSettings,
  signal: AbortSignal,
): Promise<Credentials> {
  const WebIdentityToken = (await readFile(tokenFile, "utf8")).trim()
  const command = new AssumeRoleWithWebIdentityCommand({ ...inputOf(role), WebIdentityToken })
  return keysOf((await client(settings).send(command, { abortSignal: signal })).Credentials)
}

function keysOf(keys: Keys | undefined): Credentials {
  const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken } = keys ?? {}
  if (!accessKeyId || !secretAccessKey) throw withoutKeys()
  return { accessKeyId, secretAccessKey, ...(SessionToken ? { sessionToken: SessionToken } : {}) }
}

function withoutKeys(): Error {
  return Object.assign(new Error("STS answered without keys"), { code: NO_ANSWER_OF_AWS })
}

/** The account id of the caller. Needs no permission. Rejects with the SDK's own error. */
export async function callerAccount(config: STSClientConfig, signal: AbortSignal): Promise<string> {
  const client = new STSClient({ ...config, streamCollector })
  const { Account } = await client.send(new GetCallerIdentityCommand({}), { abortSignal: signal })
  if (!Account) throw Object.assign(new Error("STS answered without an account"), { code: NO_ANSWER_OF_AWS })
  return Account
}
