// ECR: the call that gives an authorization token, and what it means when AWS does not give one.
// One call is one token for every registry that its principal may read in that region.
import type { FetchHttpHandler } from "@smithy/fetch-http-handler"
import { type AwsSettings, clientConfig, type Environment, loadProfileKeys, trustingFetch } from "./aws.ts"
import { decodeAuthorizationToken, type Secret } from "./credential.ts"
import { FetchError, isTransient } from "./errors.ts"
import { formatPrincipal, loadCredentials, type Principal } from "./principal.ts"
import { bareHost, parseRegistry, type Registry } from "./registry.ts"

/** Whatever decides which token comes back: equal sources share one call. */
export type Source = {
  readonly service: Registry["service"]
  readonly region: string
  readonly principal: Principal
  /** Where to send the call instead of AWS's own endpoint. */
  readonly endpointUrl?: string
}

/** A decoded authorization token. */
export type Token = {
  readonly userName: string
  readonly password: Secret
  /** Milliseconds since 1970. */
  readonly expiresAt: number
  /** The caller's own account, by the host that AWS answered with; undefined where that is not an ECR host. */
  readonly account: string | undefined
}

/** What this file uses of the world. */
export type AwsDeps = { readonly env: Environment; readonly fetch: typeof fetch }

/** What AWS is asked: a token of a source, or the account behind it. Both reject with a FetchError. */
export type Aws = {
  fetchToken(source: Source, signal: AbortSignal): Promise<Token>
  fetchAccount(source: Source, signal: AbortSignal): Promise<string>
}

/** AWS itself, over the SDK. */
export function createAws(deps: AwsDeps): Aws {
  return {
    fetchToken: (source, signal) =>
      asking(source, signal, async () => {
        const settings = await loadSettings(source, deps)
        const credentials = await loadCredentials(source.principal, settings, signal)
        const { fetchAuthorizationData } = await import("./ecr-client.ts")
        const answer = await (source.service === "ecr" ? fetchAuthorizationData : publicToken)(
          {
            ...clientConfig(settings, source.service === "ecr" ? "ecr" : "ecr_public", source.endpointUrl),
            credentials,
          },
          signal,
        )
        return decode(source, answer)
      }),
    fetchAccount: (source, signal) =>
      asking(source, signal, async () => {
        const settings = await loadSettings(source, deps)
        const { callerAccount } = await import("./sts.ts")
        return callerAccount(await loadCredentials(source.principal, settings, signal), settings, signal)
      }),
  }
}

/** A source in words: `eu-west-1`, `ECR Public`. */
export function formatSource({ service, region }: Source): string {
  return service === "ecr" ? region : "ECR Public"
}

async function loadSettings({ principal, region }: Source, deps: AwsDeps): Promise<AwsSettings> {
  const profileKeys = await loadProfileKeys(deps.env, principal.profile)
  const { FetchHttpHandler } = await import("./ecr-client.ts")
  const customFetch = trustingFetch(deps.fetch, deps.env, profileKeys)
  return {
    env: deps.env,
    region,
    profileKeys,
    requestHandler: new FetchHttpHandler({ customFetch }) as FetchHttpHandler,
  }
}

/** How to make a client, and with whose credentials. */
export type ClientConfig = ReturnType<typeof clientConfig> & {
  credentials: Awaited<ReturnType<typeof loadCredentials>>
}
/** What AWS answers, before anything is decoded. */
export type Answer = {
  authorizationToken?: string | undefined
  expiresAt?: Date | undefined
  proxyEndpoint?: string | undefined
}

async function publicToken(config: ClientConfig, signal: AbortSignal): Promise<Answer | undefined> {
  const { ECRPUBLICClient, GetAuthorizationTokenCommand } = await import("@aws-sdk/client-ecr-public")
  const { streamCollector } = await import("@smithy/fetch-http-handler")
  const client = new ECRPUBLICClient({ ...config, streamCollector })
  const answer = await client.send(new GetAuthorizationTokenCommand({}), { abortSignal: signal })
  return answer.authorizationData
}

function decode(source: Source, answer: Answer | undefined): Token {
  const login = decodeAuthorizationToken(answer?.authorizationToken ?? "")
  if (!login || !answer?.expiresAt)
    throw new FetchError(`${formatSource(source)}: AWS answered without a usable authorization token`, {
      code: "no-token",
      hint: "if an endpoint URL is set, check that ECR's API answers there",
      retryable: true,
      principal: formatPrincipal(source.principal),
      registry: formatSource(source),
    })
  const account = parseRegistry(bareHost(answer.proxyEndpoint ?? ""))?.account
  return { ...login, expiresAt: answer.expiresAt.getTime(), account }
}

async function asking<T>(source: Source, signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (cause) {
    if (cause instanceof FetchError) throw cause
    throw asFetchError(source, cause, signal)
  }
}

/** The SDK's errors by name or code: what they mean to the person who runs ecrelay, and the way out. */
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
    hint: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a --profile, or give the machine an instance role; `aws sts get-caller-identity` shows whether AWS's own tool finds any",
  },
  {
    names: ["AccessDeniedException", "AccessDenied", "UnauthorizedOperation"],
    code: "access-denied",
    text: "AWS refused access",
    hint: 'allow ecr:GetAuthorizationToken on resource "*" for this identity (ECR Public: ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken; with --role-arn also sts:AssumeRole)',
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
    hint: "the key may be deleted, of another partition, or mistyped; make a new one or fix AWS_ACCESS_KEY_ID",
  },
  {
    names: ["ExpiredTokenException", "ExpiredToken", "RequestExpired"],
    code: "credentials-expired",
    text: "the AWS credentials have expired",
    hint: "log in again (`aws sso login`) or renew the session token; a long-running service needs credentials that renew themselves, such as an instance role",
  },
  {
    names: ["SignatureDoesNotMatch", "InvalidSignatureException"],
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
    text: "AWS asks to slow down",
    hint: "other callers in this account and region use up the quota; it passes by itself",
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
    hint: "behind a proxy that inspects TLS, name its CA file in AWS_CA_BUNDLE",
  },
  {
    names: ["ERR_TLS_CERT_ALTNAME_INVALID", "CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"],
    code: "tls-certificate",
    text: "the server's certificate is not valid for this host or moment",
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
    hint: "check the region's name, the network, and HTTPS_PROXY and NO_PROXY where the machine needs a proxy",
  },
  {
    names: ["ENOENT", "EACCES", "EISDIR"],
    code: "file",
    text: "a file that the AWS settings name cannot be read",
    hint: "check AWS_CA_BUNDLE, AWS_CONFIG_FILE and AWS_WEB_IDENTITY_TOKEN_FILE",
  },
]

/** What a failed call to AWS comes to. The cause's own first line is kept in the message: AWS names what it refused. */
export function asFetchError(source: Source, cause: unknown, signal: AbortSignal): FetchError {
  const principal = formatPrincipal(source.principal)
  const registry = formatSource(source)
  const about = { principal, registry, cause }
  if (signal.aborted)
    return new FetchError(`${registry}: no answer from AWS for ${principal} in time`, {
      ...about,
      code: "timeout",
      hint: "check the network and proxies, or allow more with --timeout",
      retryable: true,
    })
  const names = namesOf(cause)
  const meaning = MEANINGS.find((row) => row.names.some((name) => names.includes(name)))
  const said = cause instanceof Error ? (cause.message.split("\n", 1)[0] ?? "") : ""
  return new FetchError(
    `${registry}: ${meaning?.text ?? "AWS gave no token"} for ${principal}${said ? ` (${said})` : ""}`,
    {
      ...about,
      code: meaning?.code ?? "aws",
      hint: meaning?.hint,
      retryable: meaning?.code === "unreachable" || meaning?.code === "throttled" || isTransient(cause),
    },
  )
}

/** Names and codes of an error and of its causes. */
function namesOf(cause: unknown): readonly string[] {
  if (typeof cause !== "object" || cause === null) return []
  const { name, code, cause: inner } = cause as { name?: unknown; code?: unknown; cause?: unknown }
  return [name, code]
    .filter((text): text is string => typeof text === "string")
    .concat(inner === cause ? [] : namesOf(inner))
}
