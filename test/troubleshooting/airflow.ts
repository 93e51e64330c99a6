// What goes wrong with Airflow: its database, its REST API, its `aws` connections, and MWAA in front of it.
import { openAirflow, otherKey } from "../support/airflow-db.ts"
import { innerAirflow } from "../support/airflow-rest-mwaa.ts"
import { startAirflowRest, USERS } from "../support/airflow-rest-server.ts"
import { fernetKey } from "../support/airflow-rows.ts"
import { variable } from "../support/aws-conn-id.ts"
import { ENVIRONMENT, INVOKERS, type MwaaServer, startMwaa } from "../support/mwaa-server.ts"
import { absenceOf } from "../support/services.ts"
import type { Case, Lab } from "./lab.ts"

/** Runs a delivery with this sink. */
const deliver = async (lab: Lab, sink: string, more: Readonly<Record<string, string>> = {}) =>
  (await lab.person(more)).ecrelay(["refresh", "--timeout", "10s", "--sink", sink])

/** Runs a delivery that is asked for with the connection `aws_eu`. */
const deliverAs = async (lab: Lab, more: Readonly<Record<string, string>>) =>
  (await lab.person(more)).ecrelay(["refresh", "--aws-conn-id", "aws_eu", "--sink", "docker-config"])

const rest = async (lab: Lab, url: string, user: keyof typeof USERS) =>
  (await lab.person({ AIRFLOW_PASSWORD: USERS[user] })).ecrelay([
    "refresh",
    "--sink",
    `airflow-rest,url=${url},conn_id=ecr,username=${user},password=env:AIRFLOW_PASSWORD`,
  ])

/** Delivers through MWAA as this identity, after its environment was given to `prepare`. */
async function throughMwaa(
  lab: Lab,
  who: { readonly accessKeyId: string; readonly secretAccessKey: string },
  environment = ENVIRONMENT,
  prepare: (mwaa: MwaaServer) => void = () => undefined,
): Promise<string> {
  const airflow = lab.keep(startAirflowRest({ api: "v2" }))
  const mwaa = lab.keep(startMwaa({ airflow: innerAirflow(airflow, "v2"), region: "eu-west-1" }))
  prepare(mwaa)
  const person = await lab.person({ AWS_ENDPOINT_URL_MWAA: mwaa.url })
  await person.write(
    ".aws/config",
    `[profile ops]\naws_access_key_id = ${who.accessKeyId}\naws_secret_access_key = ${who.secretAccessKey}\n`,
  )
  const sink = `airflow-rest,mwaa_environment=${environment},conn_id=ecr,profile=ops`
  return person.ecrelay(["refresh", "--sink", sink])
}

export const airflowCases: readonly Case[] = [
  {
    text: "is not an ECR login: it holds",
    fault: "a conn_id that is somebody else's",
    async make(lab) {
      const airflow = lab.keep(await openAirflow("sqlite"))
      await airflow.insert({ conn_id: "warehouse", conn_type: "postgres", host: "db", plain: "secret" })
      return deliver(lab, `airflow-db,url=${airflow.url},fernet_key=${fernetKey},conn_id=warehouse`)
    },
  },
  {
    text: "decrypts none of the",
    fault: "another Fernet key than Airflow's",
    async make(lab) {
      const airflow = lab.keep(await openAirflow("sqlite"))
      await airflow.insert({ conn_id: "warehouse", conn_type: "postgres", host: "db", plain: "secret" })
      return deliver(lab, `airflow-db,url=${airflow.url},fernet_key=${otherKey},conn_id=ecr`)
    },
  },
  {
    text: "refuses the startup parameter options",
    fault: "PgBouncer before a URL with options",
    lack: absenceOf("pgbouncer"),
    async make(lab) {
      const airflow = lab.keep(await openAirflow("pgbouncer"))
      const url = `${airflow.url}?options=-cstatement_timeout%3D9000`
      return deliver(lab, `airflow-db,url=${url},fernet_key=${fernetKey},conn_id=ecr`)
    },
  },
  {
    text: "the server's socket is not there",
    fault: "a URL without a host, and no server on this machine",
    make: (lab) =>
      deliver(lab, "airflow-db,url=postgresql:///airflow?host=/nowhere,allow_plaintext=true,conn_id=ecr"),
  },
  {
    text: "the root certificate file",
    fault: "a URL of Airflow's that verifies, and no authority in libpq's folder",
    make: (lab) =>
      deliver(lab, "airflow-db,conn_id=ecr", {
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: "postgresql://airflow:pw@db/airflow?sslmode=verify-full",
      }),
  },
  {
    text: "is not supported",
    fault: "a URL of Airflow's that rules out logins without a password",
    make: (lab) =>
      deliver(lab, "airflow-db,conn_id=ecr", {
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: "postgresql://airflow:pw@db/airflow?require_auth=scram-sha-256",
      }),
  },
  ...(["postgres", "mysql"] as const).map(
    (place): Case => ({
      text: "ALTER TABLE",
      fault: `a password column of Airflow 1.10, on ${place}`,
      lack: absenceOf(place),
      async make(lab) {
        const airflow = lab.keep(await openAirflow(place, "1.10.6"))
        const sink = `airflow-db,url=${airflow.url},fernet_key=${fernetKey},conn_id=ecr,allow_plaintext=false`
        return deliver(lab, sink)
      },
    }),
  ),
  {
    text: "no Airflow REST API answers here",
    fault: "a login page in front",
    async make(lab) {
      const page = () =>
        new Response("<html><form>Please log in</form></html>", { headers: { "content-type": "text/html" } })
      const server = lab.keep(Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: page }))
      return rest(lab, `http://127.0.0.1:${server.port}`, "admin")
    },
  },
  {
    text: "Airflow refused access",
    fault: "a user who may only look",
    make: (lab) => rest(lab, lab.keep(startAirflowRest({ api: "v2" })).url, "viewer"),
  },
  {
    text: "Airflow refused access",
    fault: "a user of Airflow 2 who may only look",
    make: (lab) => rest(lab, lab.keep(startAirflowRest({ api: "v1" })).url, "viewer"),
  },
  {
    text: "allow airflow:InvokeRestApi on",
    fault: "no policy that lets us call MWAA",
    make: (lab) => throughMwaa(lab, INVOKERS.stranger),
  },
  {
    text: "MWAA has no such environment here",
    fault: "a mistyped environment",
    make: (lab) => throughMwaa(lab, INVOKERS.admin, "mistyped"),
  },
  {
    text: "MWAA rejected the call",
    fault: "an environment that is not available",
    make: (lab) =>
      throughMwaa(lab, INVOKERS.admin, ENVIRONMENT, (mwaa) =>
        mwaa.fail({ status: 400, type: "ValidationException", message: "Environment is not available" }),
      ),
  },
  {
    text: "Airflow holds no such connection",
    fault: "a mistyped --aws-conn-id",
    async make(lab) {
      const airflow = lab.keep(await openAirflow("sqlite"))
      return deliverAs(lab, {
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: airflow.url,
        AIRFLOW__CORE__FERNET_KEY: fernetKey,
      })
    },
  },
  {
    text: "its AWS keys are not complete",
    fault: "an access key id without its secret",
    make: (lab) =>
      deliverAs(
        lab,
        variable({ aws_access_key_id: "AKIDHALF" }, { accessKeyId: "", secretAccessKey: "", account: "" }),
      ),
  },
  {
    text: "user and password cannot be told from the host",
    fault: "a secret key with a slash in a URI",
    make: (lab) => deliverAs(lab, { AIRFLOW_CONN_AWS_EU: "aws://AKIDTEAM:the/team's+key@/" }),
  },
  {
    text: "does not decrypt its",
    fault: "another Fernet key than the one that sealed the aws connection",
    async make(lab) {
      const airflow = lab.keep(await openAirflow("sqlite"))
      await airflow.insert({ conn_id: "aws_eu", conn_type: "aws", login: "AKIDTEAM", plain: "secret" })
      return deliverAs(lab, {
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: airflow.url,
        AIRFLOW__CORE__FERNET_KEY: otherKey,
      })
    },
  },
]
