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
      hint: "check the network and proxies, or allow more with --timeout",
      retryable: true,
    })
  // One that was thrown before it was known which registry it was about.
  if (cause instanceof FetchError)
    return cause.registry
      ? cause
      : new FetchError(`${registry}: ${cause.message}`, { ...cause, ...about, cause: cause.cause })
  const { code, text, said, hint, retryable } = explainAws(cause)
  const unknown = code === "aws"
  return new FetchError(
    `${registry}: ${unknown ? "AWS gave no token" : text}${forWhom}${said ? ` (${said})` : ""}`,
    { ...about, code, hint: unknown ? NO_TOKEN_HINT : hint, retryable },
  )
}

const NO_TOKEN_HINT =
  "the words in brackets are AWS's own; `aws ecr get-login-password` with the same environment shows whether AWS's own tool gets further"
