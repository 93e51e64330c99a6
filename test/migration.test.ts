// The README's migration page: its line takes over what airflow-ecr-plugin left, with the operator's own parameters.
import { Database } from "bun:sqlite"
import { expect, test } from "bun:test"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { DEMO_IDENTITY } from "../scripts/aws.ts"
import { decrypt, encrypt, parseFernetKeys } from "../sinks/_airflow/fernet.ts"
import { expiryOf } from "../src/credential.ts"
import { fernetKey } from "./support/airflow-rows.ts"
import { connectionTable } from "./support/airflow-tables.ts"
import { awsForAll, ecrelay, standInEnvironment, temporaryFolder } from "./support/binary.ts"
import { makeCredential } from "./support/credentials.ts"
import { hours, NOW, REGISTRY } from "./support/sinks.ts"

const readme = await readFile(join(import.meta.dir, "../README.md"), "utf8")
const [, page = ""] = /## Coming from airflow-ecr-plugin\n(.*?)\n## /s.exec(readme) ?? []
const [, dag = ""] = /```python\n(.*?)```/s.exec(page) ?? []
const [, line = ""] = /```sh\necrelay (.*)\n```/.exec(page) ?? []
const argv = line.split(" ")
const parameter = (name: string) => new RegExp(`\\b${name}="([^"]+)"`).exec(dag)?.[1] ?? "absent"

const keys = parseFernetKeys(fernetKey)
if (!keys) throw new Error("the test's own key is none")
const HOST = `${DEMO_IDENTITY.account}.dkr.ecr.${parameter("ecr_region")}.amazonaws.com`

const aws = awsForAll()

/** An Airflow 1.10 whose connections are as the plugin and its own command line left them. */
async function oldAirflow(rows: number): Promise<{ home: string; database: string }> {
  const home = await temporaryFolder()
  await mkdir(join(home, "airflow"))
  await writeFile(join(home, "airflow/airflow.cfg"), `[core]\nfernet_key = ${fernetKey}\n`)
  const database = join(home, "airflow/airflow.db")
  const db = new Database(database, { create: true })
  for (const statement of connectionTable("1.10.15", "sqlite")) db.run(statement)
  const insert = `INSERT INTO connection (conn_id, conn_type, host, login, password, is_encrypted, is_extra_encrypted)
    VALUES (?, ?, ?, ?, ?, true, false)`
  const stale = makeCredential({ registry: REGISTRY, expiresAt: NOW - hours(30) })
  const seal = (text: string) => encrypt(keys as NonNullable<typeof keys>, text, NOW - hours(42))
  for (let i = 0; i < rows; i += 1)
    db.run(insert, [
      parameter("ecr_docker_conn_id"),
      "docker",
      `https://${HOST}`,
      "AWS",
      seal(stale.password.reveal()),
    ])
  const { accessKeyId, secretAccessKey } = DEMO_IDENTITY
  db.run(insert, [parameter("aws_conn_id"), "aws", "", accessKeyId, seal(secretAccessKey)])
  db.close()
  return { home, database }
}

function loginsIn(database: string) {
  const db = new Database(database, { readonly: true })
  const rows = db
    .query<Record<string, string>, [string]>(
      "SELECT conn_type, host, login, password, port FROM connection WHERE conn_id = ?",
    )
    .all(parameter("ecr_docker_conn_id"))
  db.close()
  return rows.map(({ password = "", ...row }) => ({
    ...row,
    hoursLeft: Math.round(
      ((expiryOf(decrypt(keys as NonNullable<typeof keys>, password) ?? "") ?? 0) - Date.now()) / 3_600_000,
    ),
  }))
}

test("the line says what the operator's parameters said", () => {
  expect(argv).toEqual([
    "--sink",
    `airflow-db,conn_id=${parameter("ecr_docker_conn_id")}`,
    "--region",
    parameter("ecr_region"),
    "--aws-conn-id",
    parameter("aws_conn_id"),
  ])
})

test.each([1, 2])(
  "the line makes what the plugin left in %d rows fresh, with the key that Airflow holds",
  async (rows) => {
    const { home, database } = await oldAirflow(rows)
    const { AWS_ENDPOINT_URL = "" } = standInEnvironment(aws.url)
    const result = await ecrelay(argv, { env: { HOME: home, AWS_ENDPOINT_URL } })
    expect(result).toMatchObject({ out: expect.stringMatching(/^delivered/), code: 0 })
    const fresh = { conn_type: "docker", host: HOST, login: "AWS", port: null, hoursLeft: 12 }
    expect(loginsIn(database) as unknown[]).toEqual(Array(rows).fill(fresh))
  },
)
