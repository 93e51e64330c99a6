// What Airflow's `aws` connection says about who asks AWS and how, with the meanings of Airflow's Amazon provider.
// What we cannot honour is refused in words, what no longer counts is a warning, never passed over in silence.
import type { Secret } from "./credential.ts"

/** A connection as Airflow holds it: in `AIRFLOW_CONN_<ID>` or in its database, decrypted. */
export type AirflowConnection = {
  readonly id: string
  readonly connType: string
  readonly login: string
  readonly password: Secret | undefined
  /** The fields of `extra`, empty where there are none. */
  readonly extra: Readonly<Record<string, unknown>>
  /** Where it was found: `AIRFLOW_CONN_AWS_DEFAULT`, or the database's name. */
  readonly from: string
}

/** Who asks AWS by an Airflow connection, and how. */
export type AirflowIdentity = {
  readonly keys?: {
    readonly accessKeyId: string
    readonly secretAccessKey: Secret
    readonly sessionToken?: Secret
  }
  readonly profile?: string
  readonly region?: string
  readonly role?: AirflowRole
  /** `all` is for every service but STS, which Airflow never sends to it. */
  readonly endpoints: { readonly all?: string; readonly byService: Readonly<Record<string, string>> }
  /** Whom to trust: the file of an authority, or `false` for anybody. */
  readonly verify?: string | false
  /** Proxies by the scheme of what is asked for: `http`, `https`. */
  readonly proxies?: Readonly<Record<string, string>>
  readonly maxAttempts?: number
  readonly retryMode?: string
  /** What the connection holds that has no effect, in words. */
  readonly warnings: readonly string[]
}

/** A role that a connection assumes. */
export type AirflowRole = {
  readonly arn: string
  /** Parameters of AssumeRole by AWS's names, RoleSessionName included. */
  readonly parameters: Readonly<Record<string, unknown>>
  /** Assumed with this web identity token instead of keys. */
  readonly webIdentityTokenFile?: string
}
