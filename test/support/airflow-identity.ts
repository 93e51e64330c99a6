// Airflow connections as tests give them, and what they come to, with the secrets readable.
import { type AirflowConnection, parseAirflowIdentity } from "../../src/airflow-identity.ts"
import { Secret } from "../../src/credential.ts"
import { FetchError } from "../../src/errors.ts"

/** What a test says of a connection; the rest is as Airflow leaves it. */
type Given = {
  readonly id?: string
  readonly connType?: string
  readonly login?: string
  readonly password?: string
  readonly extra?: Readonly<Record<string, unknown>>
  readonly env?: Readonly<Record<string, string>>
}

/** A role that nobody refuses. */
export const ROLE = "arn:aws:iam::123456789012:role/pull"

/** What an empty connection comes to. */
export const NOTHING = { keys: undefined, endpoints: { byService: {} }, warnings: [] }

/** The connection as it was found. */
export function connectionOf({
  id = "aws_default",
  connType = "aws",
  login = "",
  password,
  extra = {},
}: Given): AirflowConnection {
  const secret = password ? new Secret(password) : undefined
  return { id, connType, login, password: secret, extra, from: "here" }
}

/** What a connection comes to; `keys` are the id, the secret and the session token. */
export function identityOf(given: Given) {
  const { keys, ...others } = parseAirflowIdentity(connectionOf(given), given.env ?? {})
  const { accessKeyId, secretAccessKey, sessionToken } = keys ?? {}
  const readable = [accessKeyId, secretAccessKey?.reveal(), sessionToken?.reveal()].filter(
    (text) => text !== undefined,
  )
  return { ...others, keys: keys && readable }
}

/** What a connection comes to that holds nothing but this extra. */
export function ofExtra(extra: Readonly<Record<string, unknown>>, given: Given = {}) {
  return identityOf({ ...given, extra })
}

/** The error with which a connection is refused. */
export function refusalOf(given: Given): FetchError {
  try {
    identityOf(given)
  } catch (error) {
    if (error instanceof FetchError) return error
    throw error
  }
  throw new Error(`taken: ${JSON.stringify(given)}`)
}
