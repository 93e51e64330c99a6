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
    env: { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", NO_COLOR: "1", ...env },
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

test("deno run does the demo's work with the README's permissions and no more", async () => {
  const readme = await readFile(join(ROOT, "README.md"), "utf8")
  const line = /^deno run ((?:.*\\\n)*.*)$/m.exec(readme)?.[1]?.replaceAll(/\\\n\s*/g, "") ?? ""
  expect(line).not.toMatch(/-A\b|--allow-all/)
  const aws = startAws()
  try {
    const home = await temporaryFolder()
    const folder = join(home, "airflow")
    await mkdir(folder)
    await mkdir(join(home, ".docker"))
    await writeFile(
      join(folder, "airflow.cfg"),
      `[core]\nfernet_key = ${Buffer.alloc(32, 1).toString("base64url")}=\n`,
    )
    const db = new Database(join(folder, "airflow.db"), { create: true })
    for (const statement of connectionTable("3.3", "sqlite")) db.run(statement)
    db.close()
    const words = line
      .replaceAll("api.ecr.eu-west-1.amazonaws.com", new URL(aws.url).host)
      .replaceAll("/home/me", home)
      .replaceAll("'", "")
      .split(" ")
    const env = { HOME: home, ...standInEnvironment(aws.url) }
    // The first run makes file and row, the second one finds them.
    for (const turn of ["made", "found"]) {
      const { said, code } = await run(["run", ...words], env)
      expect({ turn, said, code }).toMatchObject({
        said: expect.stringMatching(/^delivered .*\ndelivered .*\n$/),
        code: 0,
      })
    }
  } finally {
    await aws.stop()
  }
}, 60_000)
