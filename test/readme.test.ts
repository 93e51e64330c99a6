// The README is true: every command in it runs, every config block is accepted, every sink, flag and dependency stands
// there. That the program says what the troubleshooting table explains has a test of its own.

import { Database } from "bun:sqlite"
import { describe, expect, test } from "bun:test"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { DEMO_IDENTITY } from "../scripts/aws.ts"
import { sinkKinds } from "../sinks/index.ts"
import { describe as describeSink } from "../src/commands/sinks.ts"
import { flagOf, SETTINGS } from "../src/settings.ts"
import { formatUnits, type UnitOptions } from "../src/units.ts"
import { connectionTable } from "./support/airflow-tables.ts"
import { awsForAll, binary, ecrelay, OFFLINE, standInEnvironment, temporaryFolder } from "./support/binary.ts"

const ROOT = join(import.meta.dir, "..")
const readme = await readFile(join(ROOT, "README.md"), "utf8")
const { scripts } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"))
const blocks = [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language = "", text = ""]) => ({
  language,
  text,
}))
const commands = blocks
  .filter(({ language }) => language === "sh")
  .flatMap(({ text }) =>
    text
      .replaceAll(/\\\n\s*/g, "")
      .trim()
      .split("\n"),
  )

const aws = awsForAll()

/** A machine as the README speaks of: Airflow on SQLite, AWS within reach. */
async function machine(): Promise<Record<string, string>> {
  const home = await temporaryFolder()
  const folder = join(home, "airflow")
  await mkdir(folder)
  await writeFile(
    join(folder, "airflow.cfg"),
    `[core]\nfernet_key = ${Buffer.alloc(32, 1).toString("base64url")}=\n`,
  )
  const db = new Database(join(folder, "airflow.db"), { create: true })
  for (const statement of connectionTable("2.11", "sqlite")) db.run(statement)
  db.run("INSERT INTO connection (conn_id, conn_type, login, password) VALUES ('aws_default', 'aws', ?, ?)", [
    DEMO_IDENTITY.accessKeyId,
    DEMO_IDENTITY.secretAccessKey,
  ])
  db.close()
  return { HOME: home, ...standInEnvironment(aws.url), ...OFFLINE }
}

function words(command: string): readonly string[] {
  return [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? "")
}

describe("a command of the README", () => {
  for (const command of commands) {
    // What docker makes of the pipe is a test of the sink's.
    const [program, ...argv] = words(command.replace(/^sudo /, "").replace(/ \| docker login .*$/, ""))
    if (program === "npx")
      test(`${command} is a script of the project`, () => {
        expect(argv.slice(0, 3)).toEqual(["--yes", "bun@1.4.5", "run"])
        expect(scripts).toHaveProperty(argv[3] ?? "")
      })
    else if (program === "ecrelay" || program === "./dist/ecrelay")
      test(`${command} does its work`, async () => {
        const env = await machine()
        // The units of this machine stay as they are; under a booted systemd they have a test of their own.
        if (argv[0] === "install") argv.push("--dry-run")
        if (argv[0] === "status" || argv[0] === "wait") await ecrelay(["refresh", ...argv.slice(1)], { env })
        if (argv[0] !== "run") return expect((await ecrelay(argv, { env })).code).toBe(0)
        const child = Bun.spawn([await binary(), ...argv], { env, stderr: "pipe", stdout: "ignore" })
        let said = ""
        for await (const chunk of child.stderr) {
          said += new TextDecoder().decode(chunk)
          if (said.includes("ready:")) child.kill("SIGTERM")
        }
        expect(await child.exited).toBe(0)
      }, 20_000)
    else
      test(`${command} is of a kind that a test knows`, () => {
        // `deno run` has a test of its own.
        expect(["export", "deno", "install", "systemctl"]).toContain(program as string)
      })
  }
})

describe("a config file of the README", () => {
  for (const [i, { text }] of blocks.filter(({ language }) => language === "toml").entries())
    test(`number ${i + 1} is accepted as it stands`, async () => {
      const env = await machine()
      const path = join(env.HOME ?? "", "config.toml")
      await writeFile(path, text)
      expect(await ecrelay(["config", "--config", path], { env })).toMatchObject({ error: "", code: 0 })
    })
})

test("every sink of the program stands in the README with its options", async () => {
  for (const load of Object.values(sinkKinds)) {
    const { type, options } = describeSink(await load())
    const row = readme.split("\n").find((line) => line.startsWith(`| \`${type}\` |`)) ?? ""
    for (const { key } of options.filter(({ key }) => key !== "optional" && key !== "registries"))
      expect([type, row]).toEqual([type, expect.stringContaining(`\`${key}\``)])
  }
})

test("the README asks for every permission that a sink asks for", async () => {
  for (const load of Object.values(sinkKinds)) {
    const { type, permissions } = await load()
    const row = readme.split("\n").find((line) => line.startsWith(`| \`${type}\` |`)) ?? ""
    // Actions of AWS and privileges of SQL.
    for (const [, name = ""] of permissions.join(" ").matchAll(/\b((?:[A-Z][a-z]+){2,}|[A-Z]{5,})\b/g))
      if (!/^(ACCOUNT|REGION|ENVIRONMENT|Postgre|SQLite)/.test(name))
        expect([type, row]).toEqual([type, expect.stringContaining(name)])
  }
})

test("every flag stands in the README", () => {
  for (const setting of SETTINGS) expect(readme).toContain(flagOf(setting))
})

test("every dependency has its reason in the README", async () => {
  const { dependencies } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"))
  for (const name of Object.keys(dependencies)) expect(readme).toContain(`\`${name}\``)
})

test("the example units are those that `install systemd` writes", async () => {
  for (const { name, text } of [
    ...formatUnits(exampleUnits("ecrelay", false)),
    ...formatUnits(exampleUnits("ecrelay-refresh", true)),
  ])
    expect(await readFile(join(ROOT, "scripts/systemd", name), "utf8")).toBe(text)
})

function exampleUnits(name: string, timer: boolean): UnitOptions {
  return {
    name,
    timer,
    program: ["/usr/local/bin/ecrelay", "--config", "/etc/ecrelay/config.toml"],
    settled: [],
    manager: { kind: "system", user: "root" },
    environment: { HOME: "/root" },
    environmentFile: "/etc/ecrelay/environment",
    credentials: [],
    writable: ["/root/.docker"],
  }
}
