// An environment of Amazon MWAA, as the options name it: AWS says who asks, so every other way to be let in is refused.
// Nothing here does I/O.
import { ConfigError, type ConfigIssue } from "../../src/errors.ts"
import type { AwsIdentity, SinkDeps } from "../../src/sink.ts"
import { type IdentityOptions, identityOf, placeName } from "../_aws/identity.ts"

/** The options that say which environment it is and who asks; any other of the sink's may stand beside them. */
export type EnvironmentOptions = IdentityOptions & {
  readonly mwaa_environment?: string | undefined
  readonly api?: string
}

/** An environment, and as whom AWS is asked for it. */
export type Environment = {
  readonly name: string
  /** The place's name in targets: `eu-west-1 MWAA prod`. */
  readonly root: string
  readonly who: AwsIdentity
}

// Each says where Airflow is or who asks, which the environment's name and AWS do.
const EXCLUDED = ["url", "username", "password", "token", "client_id", "client_secret", "assertion"] as const
const AWS_ONLY = ["region", "profile", "role_arn", "external_id"] as const

/** The environment that the options name, undefined where they name none. Throws a ConfigError. */
export function parseEnvironment(options: EnvironmentOptions, env: SinkDeps["env"]): Environment | undefined {
  const values: Readonly<Record<string, unknown>> = options
  const given = (keys: readonly string[]) => keys.filter((key) => values[key] !== undefined)
  const { mwaa_environment: name, api } = options
  if (name === undefined) {
    refuse(given(AWS_ONLY), "goes only with mwaa_environment: leave it out, or name the environment")
    return undefined
  }
  refuse(
    given(EXCLUDED),
    "does not go with mwaa_environment, for which AWS knows the address and the identity: leave it out",
  )
  if (api !== "auto")
    refuse(["api"], "does not go with mwaa_environment, whose version MWAA knows: leave it out")
  // MWAA's own pattern, and nothing that could lead to another call.
  if (!/^[a-zA-Z][\w-]{0,79}$/.test(name))
    refuse(
      ["mwaa_environment"],
      "must be the name of an environment: a letter, then up to 79 letters, digits, - and _",
    )
  return { name, root: `${placeName(options, env)} MWAA ${name}`, who: identityOf(options) }
}

function refuse(paths: readonly string[], message: string): void {
  if (paths.length > 0) throw new ConfigError(paths.map((path): ConfigIssue => ({ path, message })))
}

// What InvokeRestApi takes for a path.
const LONGEST_PATH = 64

/** Why no connection of that id can be reached through MWAA, undefined where it can. */
export function mwaaConnIdProblem(connId: string): string | undefined {
  const room = LONGEST_PATH - "/connections/".length
  if (encodeURIComponent(connId).length <= room) return undefined
  return `is longer than the ${room} characters that MWAA has room for; letters outside ASCII count for more than one`
}
