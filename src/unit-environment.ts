// What a unit does not see of the person who installs it: their variables, their AWS profile, their SSO session.
// What is harmless goes along; what is or may be secret is only named, with the place to put it.
import { existsSync } from "node:fs"
import { loadProfileKeys } from "./aws.ts"
import { isMissing } from "./config-file.ts"
import type { Environment } from "./environment.ts"
import { loadUnixUser } from "./unix-user.ts"

/** The variables of a person, sorted by what becomes of them. */
export type CarriedEnvironment = {
  /** For `Environment=`. */
  readonly carried: Readonly<Record<string, string>>
  /** Names of those that may be secret. */
  readonly withheld: readonly string[]
}

// Where things are and how to get there. Ours are not among them: what they say stands in the config file.
const HARMLESS = [
  /^AWS_(DEFAULT_)?(PROFILE|REGION)$/,
  /^AWS_(CONFIG|SHARED_CREDENTIALS|WEB_IDENTITY_TOKEN)_FILE$/,
  /^AWS_(CA_BUNDLE|ENDPOINT_URL(_[A-Z_]+)?|USE_(FIPS|DUALSTACK)_ENDPOINT|STS_REGIONAL_ENDPOINTS)$/,
  /^AWS_(MAX_ATTEMPTS|RETRY_MODE|ROLE_ARN|ROLE_SESSION_NAME|EC2_METADATA_[A-Z_0-9]+|SDK_LOAD_CONFIG)$/,
  /^AIRFLOW_(HOME|CONFIG)$/,
  /^DOCKER_CONFIG$/,
  /^(https?|all|no)_proxy$/i,
  /^(SSL_CERT_(FILE|DIR)|NODE_EXTRA_CA_CERTS)$/,
]

// Others of the same families matter too, and may be keys, passwords or URLs that hold one.
const SECRET = /^(AWS_|AIRFLOW_|PG(PASSWORD|PASSFILE|SERVICE))/

// What AWS's and other tools set for themselves.
const NOT_OURS = /^(AWS_(EXECUTION_ENV|PAGER|LAMBDA_.*|DEFAULT_OUTPUT|CLI_.*)|AIRFLOW_(CTX_.*|VERSION))$/

/** Sorts the variables of a person. */
export function carriedEnvironment(env: Environment): CarriedEnvironment {
  const carried: Record<string, string> = {}
  const withheld: string[] = []
  for (const [name, value] of Object.entries(env).sort()) {
    if (!value || NOT_OURS.test(name)) continue
    const harmless = HARMLESS.some((pattern) => pattern.test(name))
    // A proxy or an endpoint may be given with user and password.
    if (harmless && !/\/\/[^/]*@/.test(value)) carried[name] = value
    else if (harmless || SECRET.test(name)) withheld.push(name)
  }
  return { carried, withheld }
}

/** What the person should know of their variables, a line each. */
export function variableNotes(
  { carried, withheld }: CarriedEnvironment,
  environmentFile: string,
): readonly string[] {
  const names = Object.keys(carried)
  return [
    ...(names.length > 0 ? [`the unit gets your ${names.join(", ")}`] : []),
    ...(withheld.length > 0
      ? [
          `the unit does not see your ${withheld.join(", ")}: put those that it needs into ${environmentFile} (mode 0600), one NAME=value per line`,
        ]
      : []),
  ]
}

/** Which credentials have no file that systemd could load: what the person should do, a line each. */
export function credentialNotes(names: readonly string[], folder: string, sudo: boolean): readonly string[] {
  return names
    .map((name) => [name, `${folder}/${name}`] as const)
    .filter(([, path]) => isMissing(path))
    .map(
      ([name, path]) =>
        `credential:${name}: there is no ${path}, and systemd will not start the unit without it: \`${sudo ? "sudo " : ""}install -D -m 600 /dev/null ${path}\`, then write the secret into it`,
    )
}

/** Whose AWS profiles the unit reads, and whether they will do for a service: what the person should know, a line each. */
export async function profileNotes(
  profile: string | undefined,
  { env, home }: { readonly env: Environment; readonly home: string | undefined },
  unit: { readonly env: Environment; readonly home: string },
): Promise<readonly string[]> {
  // Under sudo, the person is not the process's user.
  const person = env.SUDO_USER ? (await loadUnixUser(env.SUDO_USER))?.home : home
  const named = unit.env.AWS_CONFIG_FILE || unit.env.AWS_SHARED_CREDENTIALS_FILE
  const left =
    !named && person !== undefined && person !== unit.home
      ? ["config", "credentials", "sso/cache"].map((name) => `${person}/.aws/${name}`).filter(existsSync)
      : []
  const keys = await loadProfileKeys(unit.env, profile)
  const session = keys?.sso_session ?? keys?.sso_start_url
  return [
    ...(left.length > 0
      ? [
          `the unit reads AWS profiles from ${unit.home}/.aws, and does not see ${left.join(", ")}: copy what it needs there, or give it a role`,
        ]
      : []),
    ...(session
      ? [
          `profile ${profile ?? unit.env.AWS_PROFILE ?? "default"} is an SSO session, which ends after some hours and cannot be renewed by a service: give the unit a role or keys of its own`,
        ]
      : []),
  ]
}
