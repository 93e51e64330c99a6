// `aws` connections of every kind, as Airflow itself is told to write them, and what its Amazon provider and we make of
// each, in the same words.
import { loadAirflowConnection } from "../../sinks/_airflow/connection.ts"
import { parseAirflowIdentity } from "../../src/airflow-identity.ts"
import type { InstalledAirflow } from "./airflow.ts"
import { PARTNER, TEAM } from "./aws-conn-id.ts"
import { calm, testDeps } from "./sinks.ts"

const AWKWARD = "a/b+c=d%e%2Ff:g@h?i#j[k]&l ü\"m\\n'"
/** The account of the role that some of them assume. */
export const ROLE_ACCOUNT = "555555555555"
const ROLE = `arn:aws:iam::${ROLE_ACCOUNT}:role/pull`

const keysOf = ({ accessKeyId, secretAccessKey }: typeof TEAM) => ({
  aws_access_key_id: accessKeyId,
  aws_secret_access_key: secretAccessKey,
})

/** The connections, as Airflow's own model takes them. */
export const connections = [
  { conn_id: "aws_login", login: TEAM.accessKeyId, password: TEAM.secretAccessKey },
  { conn_id: "aws_extra", extra: { ...keysOf(PARTNER), aws_session_token: "a+session/token==" } },
  { conn_id: "aws_old", extra: { session_kwargs: { ...keysOf(PARTNER), aws_session_token: "old" } } },
  {
    conn_id: "aws_both",
    login: TEAM.accessKeyId,
    password: TEAM.secretAccessKey,
    extra: { ...keysOf(PARTNER), aws_session_token: "with either" },
  },
  { conn_id: "aws_awkward", login: "AKIA/+=", password: AWKWARD, extra: { region_name: "eu-west-3" } },
  { conn_id: "aws_profile", extra: { profile_name: "ci", region_name: "eu-west-2" } },
  { conn_id: "aws_nothing" },
  {
    conn_id: "aws_role",
    login: "AKIAMOTO",
    password: "moto",
    extra: {
      role_arn: ROLE,
      region_name: "eu-central-1",
      assume_role_kwargs: {
        ExternalId: "of the partner",
        DurationSeconds: 900,
        Tags: [{ Key: "team", Value: "data" }],
      },
    },
  },
  { conn_id: "aws.Role--2", extra: { ...keysOf(PARTNER), role_arn: ROLE } },
  {
    conn_id: "aws_ways",
    extra: {
      ...keysOf(TEAM),
      region_name: "eu-west-1",
      endpoint_url: "https://all.example",
      service_config: {
        ecr: { endpoint_url: "https://ecr.example" },
        sts: { endpoint_url: "https://sts.example" },
      },
      verify: false,
      config_kwargs: {
        region_name: "eu-west-2",
        proxies: { http: "http://proxy.example:3128", https: "http://proxy.example:3129" },
        retries: { max_attempts: 4, mode: "adaptive" },
      },
    },
  },
  {
    conn_id: "aws_ways_2",
    extra: {
      endpoint_url: "https://all.example",
      verify: "/etc/ssl/own.pem",
      config_kwargs: { retries: { total_max_attempts: 2, max_attempts: 9, mode: "standard" } },
    },
  },
  {
    conn_id: "aws_web_identity",
    extra: {
      role_arn: ROLE,
      region_name: "eu-central-1",
      assume_role_method: "assume_role_with_web_identity",
      assume_role_with_web_identity_federation: "file",
    },
  },
].map((connection) => ({ conn_type: "aws", ...connection }))

/** Their ids. */
export const connIds = connections.map(({ conn_id }) => conn_id)

/** What the Amazon provider would give to boto3, in the order of the connections. */
export async function readByProvider({ python }: InstalledAirflow, env: Readonly<Record<string, string>>) {
  const program = Bun.fileURLToPath(import.meta.resolve("./aws-connections.py"))
  const child = Bun.spawn([python, program], {
    // Without any keys, boto3 would make no client at all.
    env: { ...env, AWS_ACCESS_KEY_ID: "nobody", AWS_SECRET_ACCESS_KEY: "nobody" },
    stdin: new Blob([JSON.stringify(connIds)]),
    stdout: "pipe",
    stderr: "pipe",
  })
  const [out, error] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  if ((await child.exited) !== 0) throw new Error(error)
  return JSON.parse(out.trimEnd().split("\n").at(-1) ?? "")
}

/** What we would give to AWS's SDK. */
export async function readByUs(connId: string, env: Readonly<Record<string, string>>) {
  const connection = await loadAirflowConnection(connId, {}, testDeps({ env }), calm())
  const { keys, endpoints, ...said } = parseAirflowIdentity(connection, env)
  const { accessKeyId, secretAccessKey, sessionToken } = keys ?? {}
  return {
    keys: [accessKeyId, secretAccessKey?.reveal(), sessionToken?.reveal()].filter((key) => key !== undefined),
    profile: said.profile ?? null,
    region: said.region ?? env.AWS_DEFAULT_REGION,
    role: said.role ? { arn: said.role.arn, parameters: said.role.parameters } : null,
    ecr: endpoints.byService.ecr ?? endpoints.all ?? null,
    sts: endpoints.byService.sts ?? null,
    verify: said.verify ?? null,
    proxies: said.proxies ?? null,
    attempts: said.maxAttempts,
    mode: said.retryMode,
  }
}
