// The binary asked with an Airflow connection `aws_eu`, beside a stand-in for AWS that counts who calls it.
import { expect } from "bun:test"
import { DEMO_IDENTITY, type Identity, type StandIn } from "../../scripts/aws.ts"
import { fernetKey } from "./airflow-rows.ts"
import { ecrelay, standInEnvironment } from "./binary.ts"
import { secretForms } from "./secrets.ts"

/** Whom the connections name; nobody else on the machine has these keys. */
export const TEAM: Identity = {
  accessKeyId: "AKIDTEAM",
  secretAccessKey: "the/team's+key@of:AWS",
  account: "222222222222",
}
export const PARTNER: Identity = {
  accessKeyId: "AKIDPARTNER",
  secretAccessKey: "the-partner's-key",
  account: "333333333333",
}
export const NOBODY: Identity = { accessKeyId: "", secretAccessKey: "", account: "" }

/** Whom the stand-in knows: these and the one in the environment, whose keys must not count. */
export const IDENTITIES: readonly Identity[] = [DEMO_IDENTITY, TEAM, PARTNER]

/** A role that asks for the external id `abc`. */
export const ROLE = "arn:aws:iam::444444444444:role/external-abc"

/** The variable that holds the connection, with TEAM's keys unless others are given. */
export function variable(
  extra: Readonly<Record<string, unknown>> = {},
  { accessKeyId, secretAccessKey }: Identity = TEAM,
) {
  const connection = { conn_type: "aws", login: accessKeyId, password: secretAccessKey, extra }
  return { AIRFLOW_CONN_AWS_EU: JSON.stringify(connection) }
}

/** Runs a command with the connection and `docker-config`, in a world that has keys of its own. */
export async function askAs(
  { aws, home }: { readonly aws: StandIn; readonly home: string },
  [command = "", ...flags]: readonly string[],
  env: Readonly<Record<string, string>> = {},
) {
  const before = aws.calls.length
  const argv = [command, "--aws-conn-id", "aws_eu", "--sink", "docker-config", "--timeout", "5s", ...flags]
  const transcript = await ecrelay(argv, { env: { HOME: home, ...standInEnvironment(aws.url), ...env } })
  const printed = transcript.out + transcript.error
  for (const secret of [TEAM.secretAccessKey, PARTNER.secretAccessKey, fernetKey])
    for (const form of secretForms(secret)) expect(printed).not.toContain(form)
  const calls = aws.calls.slice(before)
  const asked = calls.map(({ operation, account, region }) => `${operation} ${account} ${region}`)
  return { ...transcript, calls, asked }
}
