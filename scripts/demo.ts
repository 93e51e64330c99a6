// Shows ecrelay at work without an AWS account: a docker config and an Airflow database with stale logins, the real
// binary, a local stand-in for AWS. Everything lies in a temporary folder that is removed at the end.
import { Database } from "bun:sqlite"
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { encrypt, parseFernetKeys } from "../sinks/_airflow/fernet.ts"
import { connectionTable } from "../test/support/airflow-tables.ts"
import { DEMO_IDENTITY, makePassword, startAws } from "./aws.ts"
import { build } from "./build.ts"

const REGION = "eu-west-1"
const HOST = `${DEMO_IDENTITY.account}.dkr.ecr.${REGION}.amazonaws.com`
const FERNET_KEY = Buffer.from("a fernet key of the demo, not on").toString("base64url").concat("=")
const SINKS = ["--sink", "docker-config", "--sink", "airflow-db,conn_id=ecr_docker"]

type Stage = { readonly binary: string; readonly env: Record<string, string> }

/** A config.json as a person has it: a Docker Hub login, and an ECR login that died two days ago. */
async function seedDocker(home: string, stale: string): Promise<void> {
  const auth = (login: string) => ({ auth: Buffer.from(login).toString("base64") })
  const config = {
    auths: {
      "https://index.docker.io/v1/": auth("me:hub-password"),
      [`https://${HOST}`]: auth(`AWS:${stale}`),
    },
    detachKeys: "ctrl-e,e",
  }
  await mkdir(join(home, ".docker"), { mode: 0o700 })
  await writeFile(join(home, ".docker/config.json"), `${JSON.stringify(config, null, "\t")}\n`, {
    mode: 0o600,
  })
}

/** An Airflow home: its configuration, its metadata table, and the row that airflow-ecr-plugin left behind. */
async function seedAirflow(home: string, stale: string): Promise<void> {
  const folder = join(home, "airflow")
  await mkdir(folder)
  await writeFile(
    join(folder, "airflow.cfg"),
    `[core]\nfernet_key = ${FERNET_KEY}\n\n[database]\nsql_alchemy_conn = sqlite:///${folder}/airflow.db\n`,
  )
  const keys = parseFernetKeys(FERNET_KEY)
  if (!keys) throw new Error("the demo's Fernet key is not one")
  const db = new Database(join(folder, "airflow.db"), { create: true })
  for (const statement of connectionTable("3.3", "sqlite")) db.run(statement)
  const insert = db.query(
    "INSERT INTO connection (conn_id, conn_type, host, login, password, is_encrypted, is_extra_encrypted) VALUES (?, ?, ?, ?, ?, 1, 0)",
  )
  insert.run(
    "ecr_docker",
    "docker",
    `https://${HOST}`,
    "AWS",
    encrypt(keys, stale, Date.now() - 60 * 3_600_000),
  )
  insert.run("postgres_default", "postgres", "db", "airflow", encrypt(keys, "airflow", Date.now()))
  db.close()
}

async function show({ binary, env }: Stage, title: string, argv: readonly string[]): Promise<void> {
  console.log(`\n${title}\n  $ ecrelay ${argv.map((arg) => (/[ {]/.test(arg) ? `'${arg}'` : arg)).join(" ")}`)
  const child = Bun.spawn([binary, ...argv], { env, stdout: "pipe", stderr: "pipe" })
  const [out, error] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  console.log(indent(out + error, env.HOME ?? ""))
  const code = await child.exited
  if (argv[0] !== "status" && code !== 0) throw new Error(`ecrelay ended with ${code}`)
}

/** Runs the service until every target has been refreshed twice, then asks it to stop. */
async function showRun({ binary, env }: Stage, argv: readonly string[]): Promise<void> {
  console.log(
    `\nAs a service, with an interval of two seconds to see it happen\n  $ ecrelay ${argv.join(" ")}`,
  )
  const child = Bun.spawn([binary, ...argv], { env, stdout: "ignore", stderr: "pipe" })
  let deliveries = 0
  const decoder = new TextDecoder()
  for await (const chunk of child.stderr) {
    const text = decoder.decode(chunk, { stream: true })
    process.stdout.write(`${indent(text, env.HOME ?? "")}\n`)
    deliveries += text.split(": delivered").length - 1
    if (deliveries >= 4) child.kill("SIGTERM")
  }
  if ((await child.exited) !== 0 || deliveries < 4) throw new Error("the service did not refresh twice")
}

function indent(text: string, home: string): string {
  return text.trimEnd().replaceAll(home, "~").replaceAll(/^/gm, "  ")
}

/** What stands beside our logins, to show that nobody touched it. */
async function neighbours(home: string): Promise<string> {
  const { auths, detachKeys } = JSON.parse(await readFile(join(home, ".docker/config.json"), "utf8"))
  const db = new Database(join(home, "airflow/airflow.db"), { readonly: true })
  const row = db.query("SELECT * FROM connection WHERE conn_id = 'postgres_default'").get()
  db.close()
  return JSON.stringify([auths["https://index.docker.io/v1/"], detachKeys, row])
}

async function demo(): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), "ecrelay-demo-"))
  const aws = startAws()
  try {
    console.log("building dist/ecrelay …")
    const binary = await build(undefined, join(import.meta.dir, "../dist/ecrelay"))
    const stale = makePassword(Math.floor(Date.now() / 1000) - 48 * 3600)
    await seedDocker(home, stale)
    await seedAirflow(home, stale)
    const before = await neighbours(home)
    const env = {
      HOME: home,
      AIRFLOW_HOME: join(home, "airflow"),
      AWS_ACCESS_KEY_ID: DEMO_IDENTITY.accessKeyId,
      AWS_SECRET_ACCESS_KEY: DEMO_IDENTITY.secretAccessKey,
      AWS_REGION: REGION,
      AWS_ENDPOINT_URL: aws.url,
    }
    const stage = { binary, env }
    await show(stage, "What the targets hold before", ["status", ...SINKS])
    await show(stage, "One refresh: one call to AWS, two targets", SINKS)
    await show(stage, "What they hold now", ["status", ...SINKS])
    await showRun(stage, ["run", "--interval", "2s", ...SINKS])
    await show(stage, "And at the end", ["status", ...SINKS])
    if ((await neighbours(home)) !== before) throw new Error("something other than the logins has changed")
    const tokens = aws.calls.filter(({ operation }) => operation === "GetAuthorizationToken").length
    console.log(
      `\n${tokens} tokens were fetched for three refreshes of two targets; the Docker Hub login, docker's other`,
    )
    console.log(
      "settings and Airflow's other connection are byte for byte what they were. Now with AWS itself:",
    )
    console.log(`\n  $ AWS_REGION=${REGION} ./dist/ecrelay --sink docker-config --dry-run\n`)
  } finally {
    await aws.stop()
    await rm(home, { recursive: true, force: true })
  }
}

await demo()
