// One HTTP call to the web server: its address under the base path, no redirect followed, and what came back as a value.
// Whatever is nobody's fault but the network's or the server's becomes a RestError here; statuses below 500 are values.
import { isTransient } from "../../src/errors.ts"
import type { SinkDeps } from "../../src/sink.ts"
import { RestError } from "./error.ts"

/** A call: `path` is relative to the root that the option `url` names. */
export type Call = {
  readonly method: "GET" | "POST" | "PATCH"
  readonly path: string
  readonly body?: object
  /** The value of the header Authorization. */
  readonly authorization?: string | undefined
}

/** An answer. `body` is parsed JSON, undefined where it was none. Never to be printed: it may echo what was sent. */
export type Answer = { readonly status: number; readonly body: unknown }

/** Sends one call. Rejects with a RestError. */
export type Send = (call: Call) => Promise<Answer>

/** How to send calls to a root such as `https://airflow.example.com/base`. */
export function createSend(
  root: string,
  { fetch: request }: Pick<SinkDeps, "fetch">,
  signal: AbortSignal,
): Send {
  return async ({ method, path, body, authorization }) => {
    const url = `${root}/${path}`
    const headers = {
      Accept: "application/json",
      ...(body ? { "Content-Type": "application/json" } : {}),
      ...(authorization ? { Authorization: authorization } : {}),
    }
    try {
      const init = { method, headers, signal, redirect: "manual" } as const
      const response = await request(url, body ? { ...init, body: JSON.stringify(body) } : init)
      const text = await response.text()
      refuseRedirect(response)
      requireServed(response.status)
      return { status: response.status, body: parseJson(text) }
    } catch (error) {
      if (error instanceof RestError) throw error
      throw signal.aborted ? endedEarly(signal) : unreachable(error)
    }
  }
}

/** The value of a JSON text, undefined where it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

// Whoever follows takes the credentials along, to a host that nobody named.
function refuseRedirect({ status, headers, url }: Response): void {
  if (status < 300 || status > 399) return
  const location = headers.get("location") ?? ""
  const to = location && URL.canParse(location, url) ? new URL(location, url) : undefined
  throw new RestError(
    `the server redirects${to ? ` to ${`${to.origin}${to.pathname}`.slice(0, 200)}` : ""}`,
    {
      code: "redirected",
      hint: "credentials are not sent after a redirect: name the address it leads to with url, or, where that is a login page, an address that leads to Airflow itself",
      status,
    },
  )
}

/** Throws a RestError for what is nobody's fault but the server's, or its gateway's. */
export function requireServed(status: number): void {
  if (status === 407)
    throw new RestError("the proxy asks for a login (407)", {
      code: "proxy",
      hint: "check HTTPS_PROXY with its user name and password, or name Airflow's host in NO_PROXY",
      status,
    })
  if (status === 408)
    throw new RestError("the server did not get the whole call in time (408)", {
      code: "timeout",
      hint: "this clears up by itself; if it persists, check how long a gateway in front of Airflow waits for a call",
      retryable: true,
      status,
    })
  if (status === 429)
    throw new RestError("the server throttled the call (429)", {
      code: "throttled",
      hint: "this clears up by itself; a gateway in front of Airflow may have a limit that can be raised",
      retryable: true,
      status,
    })
  if (status >= 500)
    throw new RestError(`the server failed (${status})`, {
      code: "server-error",
      hint: "the log of Airflow's web server says why; 502 to 504 come from a gateway in front of it",
      retryable: true,
      status,
    })
}

/** What to say of a call that the signal ended. */
export function endedEarly({ reason }: AbortSignal): RestError {
  const late = (reason as { name?: unknown } | undefined)?.name === "TimeoutError"
  return new RestError(late ? "not done in time" : "stopped before it was done", {
    code: late ? "timeout" : "stopped",
    hint: late ? "check whether the server is slow or hangs, or allow more with --timeout" : "run it again",
    retryable: late,
  })
}

function unreachable(cause: unknown): RestError {
  const code = String((cause as { code?: unknown } | undefined)?.code)
  const { message, ...meaning } = Object.values(MEANINGS).find(({ codes }) => codes.test(code)) ?? {
    ...MEANINGS.unreachable,
    message: "the call failed",
  }
  return new RestError(`${message} [${code}]`, { ...meaning, retryable: isTransient(cause), cause })
}

const MEANINGS = {
  untrusted: {
    codes: /^(UNABLE_TO_(VERIFY|GET)_.*|SELF_SIGNED_CERT_.*|DEPTH_ZERO_SELF_SIGNED_CERT|CERT_UNTRUSTED)$/,
    code: "tls-untrusted",
    message: "the server's certificate is not trusted",
    hint: "name its CA file in the variable NODE_EXTRA_CA_CERTS; AWS_CA_BUNDLE is for AWS alone",
  },
  certificate: {
    codes: /^(ERR_TLS_CERT_.*|CERT_HAS_EXPIRED|CERT_NOT_YET_VALID)$/,
    code: "tls-certificate",
    message: "the server's certificate is not valid for this host or at this time",
    hint: "check the host in url, the certificate, and this machine's clock",
  },
  proxy: {
    codes: /^(ERR_PROXY_TUNNEL|UnsupportedProxyProtocol)$/,
    code: "proxy",
    message: "the proxy does not let the call through",
    hint: "check HTTPS_PROXY with its user name and password, or name Airflow's host in NO_PROXY",
  },
  name: {
    codes: /^(ENOTFOUND|EAI_AGAIN)$/,
    code: "unreachable",
    message: "the server's name cannot be resolved",
    hint: "check the host in url, and this machine's name resolution",
  },
  unreachable: {
    codes: /^(E[A-Z]+|Connection[A-Z]\w+|FailedToOpenSocket|Timeout)$/,
    code: "unreachable",
    message: "the server cannot be reached",
    hint: "check host and port in url, that Airflow's web server runs, and HTTPS_PROXY and NO_PROXY",
  },
} as const
