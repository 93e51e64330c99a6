// What keeps a call of Airflow's REST API from doing its work, before it is known for which target. The message never
// holds anything that a server said: its answers echo what was sent, passwords included.

/** Message, stable code, what to do next, and whether the same call may succeed in a moment. */
export class RestError extends Error {
  override readonly name = "RestError"
  readonly code: string
  readonly hint: string
  readonly retryable: boolean
  /** Airflow's HTTP status, where it gave one. */
  readonly status: number | undefined

  constructor(
    message: string,
    about: {
      readonly code: string
      readonly hint: string
      readonly retryable?: boolean
      readonly status?: number
      readonly cause?: unknown
    },
  ) {
    super(message, { cause: about.cause })
    this.code = about.code
    this.hint = about.hint
    this.retryable = about.retryable ?? false
    this.status = about.status
  }
}
