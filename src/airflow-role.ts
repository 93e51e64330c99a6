// The role that Airflow's `aws` connection assumes, and by what: keys or a web identity token from a file. SAML and
// Google's federation are refused; so is a parameter that AWS does not know, as the SDK would drop it in silence.
import type { Fields, Reading } from "./airflow-fields.ts"
import { isRoleArn, NOT_A_ROLE_ARN } from "./principal.ts"

/** A role that a connection assumes. */
export type AirflowRole = {
  readonly arn: string
  /** Parameters of AssumeRole by AWS's names, RoleSessionName included. */
  readonly parameters: Readonly<Record<string, unknown>>
  /** Assumed with this web identity token instead of keys. */
  readonly webIdentityTokenFile?: string
}

/** The role of a connection, undefined where it names none. */
export function readRole(extra: Fields, reading: Reading): AirflowRole | undefined {
  const arn = readArn(extra, reading)
  if (!arn) {
    warnOfUseless(extra, reading)
    return undefined
  }
  const method = extra.text("assume_role_method") ?? "assume_role"
  if (method === "assume_role")
    return { arn, parameters: readParameters(extra, ASSUME_ROLE, method, reading) }
  if (method === "assume_role_with_web_identity") return readWebIdentity(extra, arn, method, reading)
  throw reading.refuse(
    method === "assume_role_with_saml"
      ? "it assumes its role with SAML, which ecrelay does not support"
      : "its assume_role_method is not one that ecrelay knows",
    "ecrelay supports assume_role, and assume_role_with_web_identity with a token file; give ecrelay a connection of its own, or --profile with a credential_process",
    "connection-unsupported",
  )
}

// Airflow's Amazon provider takes `role_arn` alone; 1.10 and early 2.x built one of the two parts.
function readArn(extra: Fields, { refuse, warn }: Reading): string | undefined {
  const given = extra.text("role_arn")
  const account = extra.value("aws_account_id")
  const name = extra.text("aws_iam_role")
  if (given && !isRoleArn(given))
    throw refuse(`${extra.path("role_arn")} ${NOT_A_ROLE_ARN}`, "correct it in Airflow")
  if (given || !name || account === undefined) return given
  const arn = `arn:aws:iam::${String(account).padStart(12, "0")}:role/${name}`
  if (!isRoleArn(arn))
    throw refuse("its aws_account_id and aws_iam_role do not make a valid role ARN", "write role_arn instead")
  warn("aws_account_id and aws_iam_role work here, but no longer in Airflow: write role_arn instead")
  return arn
}

const ROLE_FIELDS = ["assume_role_kwargs", "assume_role_method", "external_id"]

function warnOfUseless(extra: Fields, { warn }: Reading): void {
  const useless = ROLE_FIELDS.filter((name) => extra.has(name))
  if (useless.length > 0)
    warn(`${useless.join(", ")} ${useless.length > 1 ? "have" : "has"} no effect without role_arn`)
}

type Parameters = Readonly<Record<string, (kwargs: Fields, name: string) => unknown>>

const text = (kwargs: Fields, name: string) => kwargs.text(name)
const list =
  (...fields: readonly string[]) =>
  (kwargs: Fields, name: string) =>
    kwargs.list(name, fields.length > 0 ? fields : undefined)

// AWS's API reference: AssumeRoleWithWebIdentity, and what AssumeRole takes beside that.
const FOR_BOTH: Parameters = {
  RoleSessionName: text,
  DurationSeconds: (kwargs, name) => kwargs.count(name),
  Policy: text,
  PolicyArns: list("arn"),
}
const WEB_IDENTITY: Parameters = { ...FOR_BOTH, ProviderId: text }
const ASSUME_ROLE: Parameters = {
  ...FOR_BOTH,
  ExternalId: text,
  SerialNumber: text,
  SourceIdentity: text,
  Tags: list("Key", "Value"),
  TokenCode: text,
  TransitiveTagKeys: list(),
  ProvidedContexts: list("ProviderArn", "ContextAssertion"),
}

function readParameters(
  extra: Fields,
  known: Parameters,
  method: string,
  { connId, refuse, warn }: Reading,
): Readonly<Record<string, unknown>> {
  const kwargs = extra.object("assume_role_kwargs")
  const parameters: Record<string, unknown> = { RoleSessionName: sessionName(connId) }
  for (const name of kwargs.names) {
    // Airflow, too, takes role_arn in its place.
    if (name === "RoleArn") continue
    const read = Object.hasOwn(known, name) ? known[name] : undefined
    if (!read)
      throw refuse(
        `${extra.path("assume_role_kwargs")} holds a parameter that ${method} does not take`,
        `it takes ${Object.keys(known).join(", ")}`,
      )
    parameters[name] = read(kwargs, name)
  }
  const externalId = extra.text("external_id")
  if (!externalId || !("ExternalId" in known)) return parameters
  warn(
    parameters.ExternalId
      ? "external_id has no effect next to assume_role_kwargs.ExternalId"
      : "external_id works here, but no longer in Airflow: write assume_role_kwargs.ExternalId instead",
  )
  return { ExternalId: externalId, ...parameters }
}

function readWebIdentity(extra: Fields, arn: string, method: string, reading: Reading): AirflowRole {
  const { env, refuse } = reading
  if (extra.text("assume_role_with_web_identity_federation") !== "file")
    throw refuse(
      "its web identity does not come from a file, the only way that ecrelay supports",
      "write assume_role_with_web_identity_federation=file and let assume_role_with_web_identity_token_file name the file; Google's federation is not supported",
      "connection-unsupported",
    )
  const file = extra.text("assume_role_with_web_identity_token_file") ?? env.AWS_WEB_IDENTITY_TOKEN_FILE
  if (!file)
    throw refuse(
      "it names no file that holds its web identity token",
      "name one in assume_role_with_web_identity_token_file or AWS_WEB_IDENTITY_TOKEN_FILE",
    )
  return { arn, parameters: readParameters(extra, WEB_IDENTITY, method, reading), webIdentityTokenFile: file }
}

// As Airflow's `slugify` leaves it, lower case included; STS takes 64 characters.
function sessionName(connId: string): string {
  return `Airflow_${connId}`
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[^\w+=,.@-]+/g, "-")
    .replace(/-{2,}/g, "-")
    .slice(0, 64)
    .replace(/-$/, "")
}
