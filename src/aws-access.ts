// How sinks speak to AWS: as the command does, unless their own options name an identity.
import { type AwsDeps, loadClientConfig } from "./aws-client.ts"
import { explainAws } from "./aws-failure.ts"
import { type Principal, principalOf } from "./principal.ts"
import type { AwsAccess } from "./sink.ts"

/** Access to AWS as `principal`, or as whom a sink names: one that names a profile or a role names all of it. */
export function createAwsAccess(principal: Principal, deps: AwsDeps): AwsAccess {
  return {
    clientConfig: (service, { region, ...who }, signal) => {
      const own = principalOf(who)
      const asks = Object.keys(own).length > 0 ? own : principal
      return loadClientConfig({ service, principal: asks, region }, deps, signal)
    },
    explain: explainAws,
  }
}
