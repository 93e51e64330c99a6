// The three errors that ecrelay expects, and the one table that says which causes pass by themselves.
// A message says *who: what went wrong*, lower case, no full stop; `hint` says what to do next.
// No message, hint or code ever holds a secret; `cause` keeps the original for those who debug.

/** One thing wrong with argv, the environment or the config file: where, and what. */
export type ConfigIssue = { readonly path: string; readonly message: string }

/** Wrong by argv, environment and config file alone, found before any other I/O. Exit code 2. */
export class ConfigError extends Error {
  override readonly name = "ConfigError"
  readonly code = "config"
  readonly issues: readonly ConfigIssue[]

  constructor(issues: readonly ConfigIssue[]) {
    super(issues.map((issue) => (issue.path ? `${issue.path}: ${issue.message}` : issue.message)).join("\n"))
    this.issues = issues
  }
}

/** What a person at 3 a.m. needs to know beside the message. */
type Failure = {
  /** A stable string for programs, such as `throttled` or `fernet-key-wrong`. */
  readonly code: string
  /** What to do next, in words. */
  readonly hint?: string | undefined
  /** Whether the same call may well succeed in a moment. Not retryable means slow, not dead. */
  readonly retryable: boolean
  readonly cause?: unknown
}

/** AWS gave no authorization token. Exit code 1. */
export class FetchError extends Error {
  override readonly name = "FetchError"
  readonly code: string
  readonly hint: string | undefined
  readonly retryable: boolean
  /** Who asked, in words: `default credentials`, `profile ci`, `role arn:…`. */
  readonly principal: string
  /** What was asked for, in words: a region, or `ECR Public`. */
  readonly registry: string

  constructor(message: string, about: Failure & { readonly principal: string; readonly registry: string }) {
    super(message, { cause: about.cause })
    this.code = about.code
    this.hint = about.hint
    this.retryable = about.retryable
    this.principal = about.principal
    this.registry = about.registry
  }
}

/** A sink did not take a credential, or could not be read. Exit code 1. */
export class DeliveryError extends Error {
  override readonly name = "DeliveryError"
  readonly code: string
  readonly hint: string | undefined
  readonly retryable: boolean
  /** The sink's type, such as `docker-config`. */
  readonly sink: string
  /** The target's name, or the place as a whole where the failure is not one slot's. */
  readonly target: string

  constructor(message: string, about: Failure & { readonly sink: string; readonly target: string }) {
    super(message, { cause: about.cause })
    this.code = about.code
    this.hint = about.hint
    this.retryable = about.retryable
    this.sink = about.sink
    this.target = about.target
  }
}

/** Error code: an answer without anything that AWS answers with. */
export const NO_ANSWER_OF_AWS = "NO_ANSWER_OF_AWS"

/** Whether an error says of itself that the same call may succeed in a moment. */
export function isRetryable(error: unknown): boolean {
  return (error instanceof FetchError || error instanceof DeliveryError) && error.retryable
}

// Node's and Bun's socket codes, the SDK's throttling and time-out names, SQLSTATE classes and codes,
// MySQL's and SQLite's names: what passes by itself, or by somebody else's restart.
const TRANSIENT_CODES = new Set(
  `ECONNREFUSED ECONNRESET ECONNABORTED EPIPE ETIMEDOUT ESOCKETTIMEDOUT EHOSTUNREACH ENETUNREACH EHOSTDOWN ENETDOWN
  ENOTFOUND EAI_AGAIN EAGAIN EINTR EBUSY ENOSPC EMFILE ENFILE ESTALE ConnectionRefused ConnectionClosed FailedToOpenSocket Timeout
  TimeoutError RequestTimeout RequestTimeoutException ThrottlingException Throttling ThrottledException
  TooManyRequestsException RequestLimitExceeded SlowDown ServerException InternalFailure InternalServerError
  ServiceUnavailable ServiceUnavailableException CONNECT_TIMEOUT CONNECTION_CLOSED CONNECTION_ENDED
  CONNECTION_DESTROYED PROTOCOL_CONNECTION_LOST PROTOCOL_SEQUENCE_TIMEOUT ER_CON_COUNT_ERROR
  ER_TOO_MANY_USER_CONNECTIONS ER_USER_LIMIT_REACHED ER_LOCK_DEADLOCK ER_LOCK_WAIT_TIMEOUT ER_SERVER_SHUTDOWN
  ER_SERVER_OFFLINE_MODE ER_CHECKREAD ER_OPTION_PREVENTS_STATEMENT ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
  ER_1969 ER_QUERY_TIMEOUT ER_QUERY_INTERRUPTED ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC
  ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC ERR_SSL_TLSV1_ALERT_DECODE_ERROR SQLITE_BUSY SQLITE_LOCKED
  SQLITE_FULL 40001 40P01 55P03 25006`.split(/\s+/),
)
const TRANSIENT_SQLSTATE_CLASSES = /^(08|53|57)[0-9A-Z]{3}$/

/** Whether what went wrong is likely to pass: the one place that decides, on codes and never on message text. */
export function isTransient(cause: unknown): boolean {
  if (typeof cause !== "object" || cause === null) return false
  const { code, name, status, $retryable, $metadata } = cause as {
    code?: unknown
    name?: unknown
    status?: unknown
    $retryable?: unknown
    $metadata?: { httpStatusCode?: number }
  }
  if ($retryable !== undefined) return true
  const answered = Number($metadata?.httpStatusCode ?? status ?? 0)
  if (answered === 408 || answered === 429 || answered >= 500) return true
  for (const key of [code, name]) {
    if (typeof key !== "string") continue
    if (TRANSIENT_CODES.has(key) || TRANSIENT_SQLSTATE_CLASSES.test(key)) return true
  }
  const inner = (cause as { cause?: unknown }).cause
  return inner !== undefined && inner !== cause && isTransient(inner)
}
