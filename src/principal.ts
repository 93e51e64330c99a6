// Principals: the AWS identity that asks for a token, as a value. The credentials that prove it are in `credentials.ts`.

/** Who asks: the default chain, a profile or an Airflow connection, and the roles assumed from there. */
export type Principal = {
  readonly profile?: string
  /** The id of the `aws` connection that Airflow holds. */
  readonly airflowConnection?: string
  /** Each assumed from the one before it. */
  readonly roleArns?: readonly [string, ...string[]]
  /** For the last of the roles. */
  readonly externalId?: string
}

/** What is wrong where a role's ARN is expected. */
export const NOT_A_ROLE_ARN = "is not the ARN of a role, such as arn:aws:iam::123456789012:role/pull"

/** Whether `text` is the ARN of a role, in whatever partition. */
export function isRoleArn(text: string): boolean {
  return /^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]+$/.test(text)
}

/** A principal without the parts that are not given. */
export function principalOf({
  profile,
  airflowConnection,
  roleArns = [],
  externalId,
}: {
  readonly profile?: string | undefined
  readonly airflowConnection?: string | undefined
  readonly roleArns?: readonly string[] | undefined
  readonly externalId?: string | undefined
}): Principal {
  const [first, ...more] = roleArns
  return {
    ...(profile ? { profile } : {}),
    ...(airflowConnection ? { airflowConnection } : {}),
    ...(first ? { roleArns: [first, ...more] as const } : {}),
    ...(externalId ? { externalId } : {}),
  }
}

/** What is wrong with the parts of an identity taken together, by the key of the part. */
export function principalProblem({
  profile,
  airflowConnection,
  roleArns,
  externalId,
}: Principal): { readonly key: string; readonly message: string } | undefined {
  if (profile && airflowConnection)
    return {
      key: "aws_conn_id",
      message: "names the AWS identity to use, and so does the profile; leave one of them out",
    }
  if (roleArns?.some((arn) => !isRoleArn(arn))) return { key: "role_arn", message: NOT_A_ROLE_ARN }
  if (externalId && !roleArns) return { key: "external_id", message: "is for a role, and none is named" }
  return undefined
}

/** The principal in words: `default credentials`, `profile ci`, `role arn:… from profile ci`. */
export function formatPrincipal({ profile, airflowConnection, roleArns = [] as never }: Principal): string {
  const base = profile
    ? `profile ${profile}`
    : airflowConnection
      ? `Airflow connection ${airflowConnection}`
      : "default credentials"
  return [...roleArns]
    .reverse()
    .map((arn) => `role ${arn} from `)
    .join("")
    .concat(base)
}
