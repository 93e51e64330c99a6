// What it means when AWS does not do what it was asked: the SDK's errors by name or code, in words for whoever runs
// ecrelay, with the way out. Decided on names and codes, never on message text.
import { FetchError, isTransient, NO_ANSWER_OF_AWS } from "./errors.ts"

/** A failed call to AWS in words. */
export type AwsFailure = {
  /** A stable string, such as `access-denied`. */
  readonly code: string
  /** What went wrong: `AWS refused access`. */
  readonly text: string
  /** The first sentence of AWS's own words, empty where it said nothing. */
  readonly said: string
  readonly hint: string
  readonly retryable: boolean
}

/** Error code: a file that should hold certificates holds none. */
export const NO_PEM = "NO_PEM"

const MEANINGS: readonly {
  readonly names: readonly string[]
  readonly code: string
  readonly text: string
  readonly hint: string
}[] = [
  {
    names: ["CredentialsProviderError", "TokenProviderError"],
    code: "no-credentials",
    text: "no AWS credentials found",
    hint: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a --profile, log in again if it uses SSO (`aws sso login`), or give the machine an instance role; `aws sts get-caller-identity` shows whether the AWS CLI finds any",
  },
  {
    names: ["AccessDeniedException", "AccessDenied", "UnauthorizedOperation"],
    code: "access-denied",
    text: "AWS refused access",
    hint: 'allow ecr:GetAuthorizationToken on resource "*" for this identity (ECR Public: ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken; with --role-arn also sts:AssumeRole, and --external-id where the role asks for one)',
  },
  {
    names: [
      "UnrecognizedClientException",
      "InvalidClientTokenId",
      "IncompleteSignature",
      "MissingAuthenticationTokenException",
    ],
    code: "credentials-invalid",
    text: "AWS does not know this access key",
    hint: "the key may be deleted, of another partition or mistyped, or begin with ASIA and lack its AWS_SESSION_TOKEN; make a new one or fix AWS_ACCESS_KEY_ID",
  },
  {
    names: ["ExpiredTokenException", "ExpiredToken"],
    code: "credentials-expired",
    text: "the AWS credentials have expired",
    hint: "renew the keys with their session token; a long-running service needs credentials that renew themselves, such as an instance role",
  },
  {
    // The last two are about the time of the call alone.
    names: ["SignatureDoesNotMatch", "InvalidSignatureException", "RequestExpired", "RequestInTheFuture"],
    code: "signature",
    text: "AWS did not accept the signature",
    hint: "check AWS_SECRET_ACCESS_KEY for a missing or extra character, and this machine's clock",
  },
  {
    names: [
      "ThrottlingException",
      "Throttling",
      "TooManyRequestsException",
      "RequestLimitExceeded",
      "SlowDown",
    ],
    code: "throttled",
    text: "AWS throttled the call",
    hint: "other callers in this account and region use up the quota; this clears up by itself",
  },
  {
    names: [
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
      "UNABLE_TO_GET_ISSUER_CERT",
      "SELF_SIGNED_CERT_IN_CHAIN",
      "DEPTH_ZERO_SELF_SIGNED_CERT",
      "CERT_UNTRUSTED",
    ],
    code: "tls-untrusted",
    text: "the server's certificate is not trusted",
    hint: "name the CA file of whoever signed it in AWS_CA_BUNDLE: a proxy that inspects TLS has its own; if AWS_CA_BUNDLE is set, that file holds a different CA",
  },
  {
    names: ["ERR_TLS_CERT_ALTNAME_INVALID", "CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"],
    code: "tls-certificate",
    text: "the server's certificate is not valid for this host or at this time",
    hint: "check the endpoint URL and this machine's clock",
  },
  {
    names: [
      "ENOTFOUND",
      "EAI_AGAIN",
      "ECONNREFUSED",
      "ECONNRESET",
      "ConnectionRefused",
      "ConnectionClosed",
      "FailedToOpenSocket",
      "ETIMEDOUT",
      "EHOSTUNREACH",
      "ENETUNREACH",
    ],
    code: "unreachable",
    text: "AWS cannot be reached",
    hint: "check the region's name, the network, AWS_ENDPOINT_URL if set, and that the proxy in HTTPS_PROXY is up; or name AWS's host in NO_PROXY",
  },
  {
    names: ["ERR_PROXY_TUNNEL", "UnsupportedProxyProtocol"],
    code: "proxy",
    text: "the proxy does not let the call through",
    hint: "check HTTPS_PROXY with its user name and password, or name AWS's host in NO_PROXY",
  },
  {
    names: [NO_PEM],
    code: "ca-bundle",
    text: "the CA file holds no certificate",
    hint: "name a PEM file, which begins with -----BEGIN CERTIFICATE-----, in AWS_CA_BUNDLE (in the profile: ca_bundle); `openssl x509 -inform der` makes one from a DER file",
  },
  {
    // What the SDK cannot make sense of: a page where JSON or XML was expected, an error without a name.
    names: [
      "SyntaxError",
      "Unknown",
      "UnknownError",
      "NotFound",
      "Malformed_HTTP_Response",
      NO_ANSWER_OF_AWS,
    ],
    code: "not-aws",
    text: "what answers there is not AWS",
    hint: "check --endpoint-url, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_ECR and the profile's endpoint_url; if none is set, a proxy is answering with a page of its own",
  },
  {
    names: ["ENOENT", "EACCES", "EISDIR", "ConfigError"],
    code: "file",
    text: "a file that the AWS settings name cannot be read",
    hint: "check AWS_CA_BUNDLE, AWS_CONFIG_FILE and AWS_WEB_IDENTITY_TOKEN_FILE",
  },
  {
    names: ["ERR_INVALID_URL", "EPROTO", "ERR_SSL_WRONG_VERSION_NUMBER"],
    code: "endpoint",
    text: "AWS is not behind this endpoint URL",
    hint: "check --endpoint-url, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_ECR and the profile's endpoint_url: https:// or http://, host, port",
  },
]

const UNKNOWN = {
  code: "aws",
  text: "the call to AWS failed",
  hint: "the words in brackets are AWS's own; make the same call with the AWS CLI in the same environment to see whether it gets further",
}

/** What a failed call comes to. */
export function explainAws(cause: unknown): AwsFailure {
  if (cause instanceof FetchError)
    return {
      code: cause.code,
      text: cause.message,
      said: "",
      hint: cause.hint ?? "",
      retryable: cause.retryable,
    }
  const names = namesOf(cause)
  const { code, text, hint } =
    MEANINGS.find((row) => row.names.some((name) => names.includes(name))) ?? UNKNOWN
  const said = cause instanceof Error ? withPlace(firstSentence(cause.message), cause) : ""
  return {
    code,
    text,
    said,
    hint,
    retryable: code === "unreachable" || code === "throttled" || isTransient(cause),
  }
}

// The sentences after it are advice to programmers.
function firstSentence(text: string): string {
  return text.replace(/(?:[.?!] |\n).*$/s, "")
}

// The runtime's errors carry the URL but seldom name it. Only its scheme, host and port are shown.
function withPlace(said: string, cause: Error): string {
  const { path } = cause as Error & { readonly path?: unknown }
  if (typeof path !== "string" || !URL.canParse(path)) return said
  const { origin, hostname } = new URL(path)
  return origin === "null" || said.includes(hostname) ? said : `${said}, asking ${origin}`
}

/** Names and codes of an error and of its causes. */
function namesOf(cause: unknown): readonly string[] {
  if (typeof cause !== "object" || cause === null) return []
  const { name, code, cause: inner } = cause as { name?: unknown; code?: unknown; cause?: unknown }
  return [name, code]
    .filter((text): text is string => typeof text === "string")
    .concat(inner === cause ? [] : namesOf(inner))
}
