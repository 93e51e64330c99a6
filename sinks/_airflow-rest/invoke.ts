// InvokeRestApi of Amazon MWAA: signs a call for Airflow, has MWAA pass it on, and gives back Airflow's own answer. AWS's
// SDK for JavaScript as it can be had here ends before that call, so it is signed with the SDK's own signer.
import type { SinkDeps } from "../../src/sink.ts"
import type { StoreConfig } from "../_aws/visit.ts"
import { RestError } from "./error.ts"
import { mwaaRefusal } from "./mwaa-failure.ts"
import { type Call, endedEarly, parseJson, requireServed, type Send } from "./transport.ts"

/** How to have MWAA send calls: `path` is relative to the API's own root, `api/v2/` or `api/v1/`. */
export async function openInvoke(
  config: StoreConfig,
  name: string,
  { aws, clock }: Pick<SinkDeps, "aws" | "clock">,
  signal: AbortSignal,
): Promise<Send> {
  const [{ SignatureV4 }, { Sha256 }, { HttpRequest }, { streamCollector }] = await Promise.all([
    import("@smithy/signature-v4"),
    import("@smithy/core/checksum"),
    import("@smithy/core/protocols"),
    import("@smithy/fetch-http-handler"),
  ])
  const { region, credentials, requestHandler, customUserAgent } = config
  const { protocol, hostname, port, host, pathname } = endpointOf(config)
  const signer = new SignatureV4({ service: "airflow", region, credentials, sha256: Sha256 })
  const userAgent = customUserAgent.map(([name, version]) => `${name}/${version}`).join(" ")
  const strategy = await retryStrategy(config)

  async function attempt(body: string): Promise<Reply> {
    const headers = { host, "content-type": "application/json", "user-agent": userAgent }
    const path = `${pathname.replace(/\/+$/, "")}/restapi/${name}`
    const where = { protocol, hostname, path, ...(port ? { port: Number(port) } : {}) }
    const unsigned = new HttpRequest({ method: "POST", ...where, headers, body })
    const signed = await signer.sign(unsigned, { signingDate: new Date(clock.now()) })
    const { response } = await requestHandler.handle(new HttpRequest(signed), { abortSignal: signal })
    const bytes = await streamCollector(response.body)
    return readReply(response.statusCode, response.headers, new TextDecoder().decode(bytes))
  }

  return async (call) => {
    const request = JSON.stringify(requestOf(call))
    const { status, body } = await withRetries(strategy, async () => {
      try {
        return await attempt(request)
      } catch (error) {
        if (signal.aborted) throw endedEarly(signal)
        throw mwaaRefusal(error as Error, { name, region }, aws.explain, call.body === undefined)
      }
    })
    requireServed(status)
    return { status, body }
  }
}

// MWAA's calls that concern the inside of an environment have a host of their own. Suffixes: the SDK's partition data.
function endpointOf({ endpoint, region, useFipsEndpoint, useDualstackEndpoint }: StoreConfig): URL {
  if (endpoint) return new URL(endpoint)
  const { suffix, dualStack } = SUFFIXES[region.split("-")[0] ?? ""] ?? COMMERCIAL
  const service = useFipsEndpoint ? "airflow-fips" : "airflow"
  return new URL(`https://env.${service}.${region}.${useDualstackEndpoint ? dualStack : suffix}`)
}

const COMMERCIAL = { suffix: "amazonaws.com", dualStack: "api.aws" }
const SUFFIXES: Readonly<Record<string, typeof COMMERCIAL>> = {
  cn: { suffix: "amazonaws.com.cn", dualStack: "api.amazonwebservices.com.cn" },
  eusc: { suffix: "amazonaws.eu", dualStack: "api.amazonwebservices.eu" },
}

/** What MWAA is told: Airflow's query apart from its path, which is short. */
function requestOf({ method, path, body }: Call) {
  const [pathname = "", query = ""] = path.split("?")
  const parameters = Object.fromEntries(new URLSearchParams(query))
  return {
    Path: `/${pathname}`,
    Method: method,
    ...(query ? { QueryParameters: parameters } : {}),
    ...(body ? { Body: body } : {}),
  }
}

type Reply = { readonly status: number; readonly body: unknown }

/** Airflow's answer, whether MWAA calls it an error or not. Throws an error by AWS's name where there is none. */
function readReply(httpStatusCode: number, headers: Readonly<Record<string, string>>, text: string): Reply {
  const json = parseJson(text)
  const fields = (typeof json === "object" && json !== null ? json : {}) as Record<string, unknown>
  const type = String(headers["x-amzn-errortype"] ?? fields.__type ?? fields.code ?? "")
  const name = type.replace(/:.*$/s, "").replace(/^.*#/s, "")
  const { RestApiStatusCode: status, RestApiResponse: answer = {} } = fields
  const isAirflows = httpStatusCode === 200 || /^RestApi(Client|Server)Exception$/.test(name)
  if (isAirflows && typeof status === "number")
    return { status, body: typeof answer === "string" ? (parseJson(answer) ?? {}) : answer }
  // Airflow did not answer in the ten seconds that MWAA waits, or not in JSON.
  if (name === "RestApiServerException") return { status: 504, body: {} }
  const words = fields.message ?? fields.Message ?? (/^[^<{]{1,200}$/.test(text) ? text : "")
  throw Object.assign(new Error(String(words)), { name, $metadata: { httpStatusCode } })
}

type StandardRetryToken = Parameters<
  InstanceType<typeof import("@smithy/core/retry").StandardRetryStrategy>["recordSuccess"]
>[0]

async function retryStrategy({ retryMode, maxAttempts }: StoreConfig) {
  const { AdaptiveRetryStrategy, StandardRetryStrategy } = await import("@smithy/core/retry")
  return new (retryMode === "adaptive" ? AdaptiveRetryStrategy : StandardRetryStrategy)(maxAttempts)
}

// As the SDK's own clients: a call is repeated a few times, and all are slowed down where MWAA throttles.
async function withRetries<T>(
  strategy: Awaited<ReturnType<typeof retryStrategy>>,
  work: () => Promise<T>,
): Promise<T> {
  let token = (await strategy.acquireInitialRetryToken("mwaa")) as StandardRetryToken
  for (;;)
    try {
      const done = await work()
      strategy.recordSuccess(token)
      return done
    } catch (error) {
      if (!(error instanceof RestError) || !error.retryable || error.code === "timeout") throw error
      const errorType = error.code === "throttled" ? "THROTTLING" : "TRANSIENT"
      const next = await strategy.refreshRetryTokenForRetry(token, { errorType }).catch(() => undefined)
      if (!next) throw error
      token = next as StandardRetryToken
    }
}
