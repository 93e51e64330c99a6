// Sources: whatever decides which authorization token comes back. Equal sources share one call to AWS.
import type { Principal } from "./principal.ts"
import type { Registry } from "./registry.ts"

/** Who asks for a token, of which service, in which region, and where the call goes. */
export type Source = {
  readonly service: Registry["service"]
  readonly region: string
  readonly principal: Principal
  /** Where to send the call instead of AWS's own endpoint. */
  readonly endpointUrl?: string
}

/** Equal for sources that share one token. The partition follows from the region. */
export function sourceKey({ service, region, principal, endpointUrl }: Source): string {
  const { profile, airflowConnection, roleArns, externalId } = principal
  const parts = [service, region, profile, airflowConnection, roleArns, externalId, endpointUrl]
  return JSON.stringify(parts.map((part) => part ?? null))
}

/** A source in words: `eu-west-1`, `ECR Public`. */
export function formatSource({ service, region }: Source): string {
  return service === "ecr" ? region : "ECR Public"
}
