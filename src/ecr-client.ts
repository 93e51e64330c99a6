// The SDK's ECR client: the hot path of every run, and loaded whole. The binary carries the SDK's browser build of this
// one file (scripts/build.ts), which starts twice as fast; every setting is therefore given, none is looked up here.
import { ECRClient, type ECRClientConfig, GetAuthorizationTokenCommand } from "@aws-sdk/client-ecr"
import { streamCollector } from "@smithy/fetch-http-handler"
import { BunSha256 } from "./bun-sha256.ts"

export { FetchHttpHandler } from "@smithy/fetch-http-handler"

/** What AWS answers, before anything is decoded. */
export type Answer = {
  authorizationToken?: string | undefined
  expiresAt?: Date | undefined
  proxyEndpoint?: string | undefined
}

/** One GetAuthorizationToken. Rejects with the SDK's own error. */
export async function fetchAuthorizationData(
  config: ECRClientConfig,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  const client = new ECRClient({
    ...config,
    streamCollector,
    ...(typeof Bun === "undefined" ? {} : { sha256: BunSha256 }),
  })
  // The browser build would leave `user-agent`, which CloudTrail records, to the runtime.
  Object.assign(client.config, { runtime: "node" })
  const { authorizationData } = await client.send(new GetAuthorizationTokenCommand({}), {
    abortSignal: signal,
  })
  return authorizationData?.[0]
}
