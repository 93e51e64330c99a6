// STS: who the caller is, and the keys of a role. Loaded only where one of the two is asked for.

import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts"
import type { AwsCredentialIdentity, AwsCredentialIdentityProvider } from "@aws-sdk/types"
import { streamCollector } from "@smithy/fetch-http-handler"
import { type AwsSettings, clientConfig } from "./aws.ts"

type Credentials = AwsCredentialIdentity | AwsCredentialIdentityProvider

function client(credentials: Credentials, settings: AwsSettings): STSClient {
  return new STSClient({ ...clientConfig(settings, "sts"), credentials, streamCollector })
}

/** Temporary keys of a role. Rejects with the SDK's own error. */
export async function assumeRole(
  base: Credentials,
  roleArn: string,
  externalId: string | undefined,
  settings: AwsSettings,
  signal: AbortSignal,
): Promise<AwsCredentialIdentity> {
  const command = new AssumeRoleCommand({
    RoleArn: roleArn,
    RoleSessionName: "ecrelay",
    ...(externalId ? { ExternalId: externalId } : {}),
  })
  const { Credentials } = await client(base, settings).send(command, { abortSignal: signal })
  const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken } = Credentials ?? {}
  if (!accessKeyId || !secretAccessKey) throw new Error("STS answered without keys")
  return { accessKeyId, secretAccessKey, ...(SessionToken ? { sessionToken: SessionToken } : {}) }
}

/** The account id of the caller. Needs no permission. Rejects with the SDK's own error. */
export async function callerAccount(
  credentials: Credentials,
  settings: AwsSettings,
  signal: AbortSignal,
): Promise<string> {
  const { Account } = await client(credentials, settings).send(new GetCallerIdentityCommand({}), {
    abortSignal: signal,
  })
  if (!Account) throw new Error("STS answered without an account")
  return Account
}
