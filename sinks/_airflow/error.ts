// The error that Airflow's configuration, database URL and keys fail with, before any target is known.
// The sink that asked makes a DeliveryError of it, taking message, hint, code and cause over; never a secret in any.

/** What is wrong with what we were given, found beside a delivery: message, stable code and what to do next. */
export class AirflowError extends Error {
  override readonly name = "AirflowError"
  readonly code: string
  readonly hint: string | undefined

  constructor(
    message: string,
    about: { readonly code: string; readonly hint?: string; readonly cause?: unknown },
  ) {
    super(message, { cause: about.cause })
    this.code = about.code
    this.hint = about.hint
  }
}
