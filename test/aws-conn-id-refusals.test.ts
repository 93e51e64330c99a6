// What --aws-conn-id says where it cannot ask: each message and its way out as they are printed, for a person who knows
// the connection by its id. Whatever was wrong, nobody else's keys are used and no piece of the connection is shown.
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test"
import { createServer } from "node:net"
import { join } from "node:path"
import { type StandIn, startAws } from "../scripts/aws.ts"
import { openAirflow, otherKey } from "./support/airflow-db.ts"
import { fernetKey } from "./support/airflow-rows.ts"
import { askAs, IDENTITIES, NOBODY, ROLE, TEAM, variable } from "./support/aws-conn-id.ts"
import { binary, temporaryFolder } from "./support/binary.ts"

let aws: StandIn
let home: string
beforeAll(async () => {
  aws = startAws({ identities: IDENTITIES })
  await binary()
}, 60_000)
afterAll(() => aws.stop())
beforeEach(async () => {
  home = await temporaryFolder()
})

const uri = (text: string) => ({ AIRFLOW_CONN_AWS_EU: text })
const refresh = (env: Record<string, string>, ...flags: readonly string[]) =>
  askAs({ aws, home }, ["refresh", "--region", "eu-west-1", ...flags], env)

/** What is printed of a failure: the line of its reason and the hint, without what stands before both. */
function toldIn(out: string): readonly string[] {
  const [outcome = "", reason = "", hint = "", ...more] = out.trimEnd().split("\n")
  const target = `${home}/.docker/config.json auths["ACCOUNT.dkr.ecr.eu-west-1.amazonaws.com"]`
  expect({ outcome, more }).toEqual({ outcome: `failed  docker-config  ${target}`, more: [] })
  return [reason.trim().replace(/^eu-west-1: /, ""), hint.trim()]
}

const HALF = { aws_access_key_id: "AKIDHALF" }
const SAML = { role_arn: ROLE, assume_role_method: "assume_role_with_saml" }
const BY_FILE = {
  role_arn: ROLE,
  assume_role_method: "assume_role_with_web_identity",
  assume_role_with_web_identity_federation: "file",
  assume_role_with_web_identity_token_file: "/not/there",
}

test.each([
  [
    "a raw secret key in a URI",
    uri("aws://AKIDTEAM:the/team's+key@/"),
    "Airflow connection aws_eu: AIRFLOW_CONN_AWS_EU: user and password cannot be told from the host",
    "percent-encode user, password and the values after the ?, a / as %2F",
  ],
  [
    "a URL in a URI that is not encoded",
    uri("aws://AKIDTEAM:key@/?endpoint_url=https://ecr.example"),
    "Airflow connection aws_eu: AIRFLOW_CONN_AWS_EU: has a :// behind user or password",
    "percent-encode user, password and the values after the ?",
  ],
  [
    "broken JSON",
    uri('{"conn_type": "aws", "password": "the-partner\'s-key"'),
    "Airflow connection aws_eu: AIRFLOW_CONN_AWS_EU: is not valid JSON",
    "write one JSON object, or an aws:// URI",
  ],
  [
    "half of the keys",
    variable(HALF, NOBODY),
    "Airflow connection aws_eu: its AWS keys are not complete",
    "an access key id and its secret access key belong together",
  ],
  [
    "SAML",
    variable(SAML),
    "Airflow connection aws_eu: it assumes its role with SAML, which ecrelay does not support",
    "ecrelay supports assume_role, and assume_role_with_web_identity with a token file",
  ],
  [
    "keys that AWS does not know",
    variable({}, { ...TEAM, accessKeyId: "AKIDNONE" }),
    "AWS does not know this access key for Airflow connection aws_eu (",
    "correct login and password of the connection in Airflow",
  ],
  [
    "a wrong secret key",
    variable({}, { ...TEAM, secretAccessKey: "mistyped" }),
    "AWS did not accept the signature for Airflow connection aws_eu (",
    "check the connection's password",
  ],
  [
    "a role that it may not assume",
    variable({ role_arn: ROLE, assume_role_kwargs: { ExternalId: "wrong" } }),
    "AWS refused access for Airflow connection aws_eu (",
    "allow ecr:GetAuthorizationToken",
  ],
  [
    "a profile that is not there",
    variable({ profile_name: "ci" }, NOBODY),
    "AWS's config and credentials files have no profile ci",
    "profile_name in the connection's extra names it; `aws configure list-profiles`",
  ],
  [
    "a token file that is not there",
    variable(BY_FILE, NOBODY),
    "a file that the AWS settings name cannot be read for Airflow connection aws_eu (",
    "check verify and assume_role_with_web_identity_token_file",
  ],
])("%s", async (_, env, reason, hint) => {
  const { out, error, code, asked } = await refresh(env)
  expect({ code, error }).toEqual({ code: 1, error: "" })
  const [toldReason, toldHint] = toldIn(out)
  expect(toldReason).toStartWith(reason)
  expect(toldHint).toStartWith(`hint: ${hint}`)
  expect(asked.filter((call) => !call.startsWith("AssumeRole 222222222222"))).toEqual([])
})

test("no keys anywhere", async () => {
  const none = { AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "" }
  const [reason, hint] = toldIn((await refresh({ ...none, ...variable({}, NOBODY) })).out)
  expect(reason).toStartWith("no AWS credentials found for Airflow connection aws_eu")
  expect(hint).toStartWith("hint: the connection holds no keys")
})

test("no Airflow at all", async () => {
  const [reason, hint] = toldIn((await refresh({})).out)
  expect(reason).toBe("Airflow connection aws_eu: Airflow's database is not configured here")
  expect(hint).toMatch(/^hint: set AIRFLOW_CONN_AWS_EU, or give .*--airflow-url is the same url$/)
})

test("an Airflow that holds no such connection, or one that the key does not open", async () => {
  await using airflow = await openAirflow("sqlite")
  const flag = ["--airflow-url", airflow.url]
  const missing = toldIn((await refresh({}, ...flag)).out)
  expect(missing[0]).toStartWith("Airflow connection aws_eu: Airflow holds no such connection (sqlite:")
  expect(missing[1]).toStartWith("hint: create it in Airflow, or set AIRFLOW_CONN_AWS_EU; looked at ")
  await airflow.insert({
    conn_id: "aws_eu",
    conn_type: "aws",
    login: TEAM.accessKeyId,
    plain: TEAM.secretAccessKey,
  })
  const closed = toldIn((await refresh({ AIRFLOW__CORE__FERNET_KEY: otherKey }, ...flag)).out)
  expect(closed[0]).toStartWith(
    "Airflow connection aws_eu: the fernet key of AIRFLOW__CORE__FERNET_KEY does not decrypt its password",
  )
  expect(closed[1]).toStartWith("hint: give the key that Airflow itself uses")
})

test("with a profile as well it is wrong before anything is read", async () => {
  const both = await refresh({}, "--profile", "ci")
  expect(both).toMatchObject({
    code: 2,
    error:
      "ecrelay: --aws-conn-id: names the AWS identity to use, and so does the profile; leave one of them out\n",
  })
})

test("where the connection is to name the region, its absence is no fault of the configuration", async () => {
  const { code, error, out } = await askAs({ aws, home }, ["refresh"])
  expect({ code, out }).toEqual({ code: 1, out: "" })
  expect(error).toStartWith(
    "ecrelay: Airflow connection aws_eu: Airflow's database is not configured here\nhint: set AIRFLOW_CONN_AWS_EU",
  )
})

test("a service waits for the connection that is to name its region, and ends well when told to", async () => {
  const late = join(home, "late.db")
  const argv = [
    "run",
    "--aws-conn-id",
    "aws_eu",
    "--sink",
    "docker-config",
    "--airflow-url",
    `sqlite:///${late}`,
  ]
  const child = Bun.spawn([await binary(), ...argv], {
    env: { HOME: home, AIRFLOW__CORE__FERNET_KEY: fernetKey },
    stderr: "pipe",
  })
  let told = ""
  for await (const piece of child.stderr) {
    told += new TextDecoder().decode(piece)
    if (told.includes("hint: ")) child.kill("SIGTERM")
  }
  expect(told.replace(/\d+s$/m, "…")).toStartWith(
    `ecrelay: Airflow connection aws_eu: there is no such file (sqlite:///${late}); retrying in …\nhint: check the path`,
  )
  expect(await child.exited).toBe(0)
})

test("a stop while the database keeps silent is a stop", async () => {
  const silent = createServer()
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve))
  const { port } = silent.address() as { port: number }
  const url = `postgresql://airflow:hunter2@127.0.0.1:${port}/airflow`
  const argv = ["run", "--aws-conn-id", "aws_eu", "--sink", "docker-config", "--airflow-url", url]
  const child = Bun.spawn([await binary(), ...argv], {
    env: { HOME: home, AIRFLOW__CORE__FERNET_KEY: fernetKey },
    stderr: "pipe",
  })
  await new Promise((resolve) => silent.once("connection", resolve))
  child.kill("SIGTERM")
  expect(await new Response(child.stderr).text()).toBe("ecrelay: stopped by SIGTERM\n")
  expect(await child.exited).toBe(1)
  silent.close()
})
