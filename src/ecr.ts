// ECR: the call that gives an authorization token. One call is one token for every registry that its principal may read
// in that region. What it means when AWS gives none is said in `fetch-failure.ts`.
import { type AwsDeps, type ClientConfig, loadClientConfig } from "./aws-client.ts"
import { explainAws } from "./aws-failure.ts"
import { decodeAuthorizationToken, type Secret } from "./credential.ts"
import type { Answer } from "./ecr-client.ts"
import { FetchError } from "./errors.ts"
import { asFetchError } from "./fetch-failure.ts"
import { formatPrincipal } from "./principal.ts"
import { bareHost, parseRegistry } from "./registry.ts"
import { formatSource, type Source } from "./source.ts"

/** A decoded authorization token. */
export type Token = {
  readonly userName: string
  readonly password: Secret
  /** Milliseconds since 1970. */
  readonly expiresAt: number
  /** The caller's own account, by the host that AWS answered with; undefined where that is not an ECR host. */
  readonly account: string | undefined
}

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
        const { principal, region, endpointUrl } = source
        const service = source.service === "ecr" ? "ecr" : "ecr_public"
        const config = await loadClientConfig({ service, principal, region, endpointUrl }, deps, signal)
        const { fetchAuthorizationData } = await import("./ecr-client.ts")
        return decode(
          source,
          await (service === "ecr" ? fetchAuthorizationData : publicToken)(config, signal),
        )
      }),
    fetchAccount: (source, signal) =>
      asking(source, signal, async () => {
        const { principal, region } = source
        const config = await loadClientConfig({ service: "sts", principal, region }, deps, signal)
        const { callerAccount } = await import("./sts.ts")
        return callerAccount(config, signal).catch((cause) => {
          throw asAccountRefusal(cause)
        })
      }),
  }
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
  const expiresAt = answer?.expiresAt?.getTime()
  if (!login || !answer || !expiresAt)
    throw new FetchError(`${formatSource(source)}: AWS answered without a usable authorization token`, {
      code: "no-token",
      hint: "if an endpoint URL is set, check that ECR's API answers there",
      retryable: true,
      principal: formatPrincipal(source.principal),
      registry: formatSource(source),
    })
  const account = parseRegistry(bareHost(answer.proxyEndpoint ?? ""))?.account
  return { ...login, expiresAt, account }
}

// An identity that may not ask this may well be allowed all that a refresh needs.
function asAccountRefusal(cause: unknown): unknown {
  const { code, said } = explainAws(cause)
  if (code !== "access-denied") return cause
  return new FetchError(`AWS refused to say which account is asking${said ? ` (${said})` : ""}`, {
    code: "identity-denied",
    hint: "allow sts:GetCallerIdentity, which only an explicit deny takes away, or name the registries with --registry; `ecrelay refresh` does not need it",
    retryable: false,
    principal: "",
    registry: "",
    cause,
  })
}

async function asking<T>(source: Source, signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  try {
    return await orAborted(ask, signal)
  } catch (cause) {
    throw asFetchError(source, cause, signal)
  }
}

// The SDK's search for credentials takes no signal: a `credential_process` that hangs would hold us up for ever.
function orAborted<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const giveUp = () => reject(signal.reason)
    signal.addEventListener("abort", giveUp, { once: true })
    ask()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener("abort", giveUp))
  })
}
