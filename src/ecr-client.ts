// The SDK's ECR client: the hot path of every run, and loaded whole. The binary carries the SDK's browser build of this
// one file (scripts/build.ts), which starts twice as fast; every setting is therefore given, none is looked up here.
import { ECRClient, GetAuthorizationTokenCommand } from "@aws-sdk/client-ecr"
import { streamCollector } from "@smithy/fetch-http-handler"
import type { ClientConfig } from "./aws-client.ts"
import type { Answer } from "./ecr.ts"

export { FetchHttpHandler } from "@smithy/fetch-http-handler"

/** One GetAuthorizationToken. Rejects with the SDK's own error. */
export async function fetchAuthorizationData(
  config: ClientConfig,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  const client = new ECRClient({ ...config, streamCollector })
  const { authorizationData } = await client.send(new GetAuthorizationTokenCommand({}), {
    abortSignal: signal,
  })
  return authorizationData?.[0]
}
