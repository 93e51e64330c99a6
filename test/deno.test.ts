// The same source under Deno: type-checked, and run with exactly the permissions that the README prints.
import { Database } from "bun:sqlite"
import { expect, test } from "bun:test"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { startAws } from "../scripts/aws.ts"
import { connectionTable } from "./support/airflow-tables.ts"
import { standInEnvironment, temporaryFolder } from "./support/binary.ts"

const ROOT = join(import.meta.dir, "..")
const DENO = join(ROOT, "node_modules/.bin/deno")

async function run(argv: readonly string[], env: Record<string, string> = {}) {
  const child = Bun.spawn([DENO, ...argv], {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  })
  const [out, error] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  return { said: out + error, code: await child.exited }
}

test("deno check accepts the source", async () => {
  expect(await run(["check", "--quiet", "src/main.ts"])).toEqual({ said: "", code: 0 })
}, 120_000)

/** The words of the README's line after `deno run`. */
async function readmeWords(): Promise<readonly string[]> {
  const readme = await readFile(join(ROOT, "README.md"), "utf8")
  const line = /^deno run ((?:.*\\\n)*.*)$/m.exec(readme)?.[1]?.replaceAll(/\\\n\s*/g, "") ?? ""
  return line.replaceAll("'", "").split(" ")
}

/** A home with docker's folder and an Airflow on SQLite, in which the line can be run again and again. */
async function openHome() {
  const home = await temporaryFolder()
  const folder = join(home, "airflow")
  await mkdir(folder)
  await mkdir(join(home, ".docker"))
  const key = `${Buffer.alloc(32, 1).toString("base64url")}=`
  await writeFile(join(folder, "airflow.cfg"), `[core]\nfernet_key = ${key}\n`)
  const db = new Database(join(folder, "airflow.db"), { create: true })
  for (const statement of connectionTable("3.3", "sqlite")) db.run(statement)
  db.close()
  const aws = startAws()
  const deliver = (words: readonly string[]) => {
    const meant = words.map((word) =>
      word.replaceAll("api.ecr.eu-west-1.amazonaws.com", new URL(aws.url).host).replaceAll("/home/me", home),
    )
    return run(["run", ...meant], { HOME: home, ...standInEnvironment(aws.url) })
  }
  return { deliver, [Symbol.asyncDispose]: () => aws.stop() }
}

const DELIVERED = { said: expect.stringMatching(/^delivered .*\ndelivered .*\n$/), code: 0 }

test("deno run does the demo's work with the README's permissions", async () => {
  await using home = await openHome()
  const words = await readmeWords()
  expect(words.join(" ")).not.toMatch(/-A\b|--allow-(all|run|ffi)/)
  // The first run makes file and row, the second one finds them.
  for (const turn of ["made", "found"])
    expect({ turn, ...(await home.deliver(words)) }).toMatchObject({ turn, ...DELIVERED })
}, 60_000)

test("deno run does not do it with any permission less", async () => {
  await using home = await openHome()
  const words = await readmeWords()
  const needless: string[] = []
  for (const [i, word] of words.entries()) {
    const [, flag, list = ""] = /^(--allow-\w+)=(.*)$/.exec(word) ?? []
    if (!flag) continue
    for (const item of list.split(",")) {
      const rest = list.split(",").filter((one) => one !== item)
      const fewer = words.with(i, `${flag}=${rest.join(",")}`).filter((one) => one !== `${flag}=`)
      if ((await home.deliver(fewer)).code === 0) needless.push(item)
    }
  }
  // Who called sudo is asked by root alone.
  expect(needless).toEqual(process.getuid?.() === 0 ? [] : ["SUDO_UID"])
}, 60_000)
