// What it means when AWS gives no token: a FetchError that says who asked, for what, and the way out.
import { explainAws } from "./aws-failure.ts"
import { isTimeout } from "./clock.ts"
import { FetchError } from "./errors.ts"
import { formatPrincipal } from "./principal.ts"
import { formatSource, type Source } from "./source.ts"

/** What a failed call to AWS comes to. The cause's first sentence stays in the message: AWS names what it refused. */
export function asFetchError(source: Source, cause: unknown, signal: AbortSignal): FetchError {
  const principal = formatPrincipal(source.principal)
  const registry = formatSource(source)
  const about = { principal, registry, cause }
  const forWhom = Object.keys(source.principal).length > 0 ? ` for ${principal}` : ""
  if (signal.aborted && !isTimeout(signal))
    return new FetchError(`${registry}: stopped before AWS answered`, {
      ...about,
      code: "stopped",
      retryable: false,
    })
  if (signal.aborted)
    return new FetchError(`${registry}: no answer from AWS${forWhom} in time`, {
      ...about,
      code: "timeout",
      hint: "check the network, the proxy, and AWS_ENDPOINT_URL if set, or allow more with --timeout",
      retryable: true,
    })
  // Thrown before it was known for which registry: named here.
  if (cause instanceof FetchError)
    return cause.registry
      ? cause
      : new FetchError(`${registry}: ${cause.message}`, { ...cause, ...about, cause: cause.cause })
  const { code, text, said, hint, retryable } = explainAws(cause)
  const unknown = code === "aws"
  const { airflowConnection, profile } = source.principal
  const airflowHint = airflowConnection ? IN_AIRFLOW[code] : undefined
  const profileHint = profile && code === "no-credentials" ? emptyProfileHint(profile) : undefined
  const publicHint = source.service === "ecr-public" && code === "access-denied" ? PUBLIC_HINT : undefined
  const ownHint = publicHint ?? airflowHint ?? profileHint
  return new FetchError(
    `${registry}: ${unknown ? "AWS gave no token" : text}${forWhom}${said ? ` (${said})` : ""}`,
    { ...about, code, hint: unknown ? NO_TOKEN_HINT : (ownHint ?? hint), retryable },
  )
}

const NO_TOKEN_HINT =
  "the words in brackets are AWS's own; `aws ecr get-login-password` in the same environment shows whether the AWS CLI gets further"

const PUBLIC_HINT =
  "allow ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken on resource *: ECR Public needs both, in us-east-1"

const emptyProfileHint = (profile: string) =>
  `if the profile uses SSO, log in again (\`aws sso login --profile ${profile}\`), else give it keys (\`aws configure --profile ${profile}\`), a role_arn or a credential_process; \`aws sts get-caller-identity --profile ${profile}\` shows whether the AWS CLI finds any`

// Where what is wrong stands in an Airflow connection, and is mended there.
const IN_AIRFLOW: Readonly<Record<string, string>> = {
  "no-credentials":
    "the connection holds no keys, so ecrelay looked for default credentials, as Airflow does: give it login and password in Airflow, or this machine an instance role",
  "credentials-invalid":
    "correct login and password of the connection in Airflow, or the two keys in its extra: the key may be deleted, of another partition, or mistyped",
  "credentials-expired":
    "renew the keys and aws_session_token of the connection in Airflow, or give it keys that do not expire and a role_arn",
  signature:
    "check the connection's password, or aws_secret_access_key in its extra, for a missing or extra character, and this machine's clock",
  "tls-untrusted":
    "behind a proxy that inspects TLS, name its CA file in AWS_CA_BUNDLE or in verify of the connection's extra",
  file: "check verify and assume_role_with_web_identity_token_file in the connection's extra, and AWS_CA_BUNDLE and AWS_CONFIG_FILE: the file must be on this machine",
  endpoint:
    "check endpoint_url and service_config in the connection's extra, and AWS_ENDPOINT_URL: https:// or http://, host, port",
  proxy:
    "check config_kwargs.proxies in the connection's extra, and HTTPS_PROXY with its user name and password",
}
