// The airflow-db sink on SQLite: the shared contract on a real file, and what is special about files.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import kind from "../../sinks/airflow-db.ts"
import { openAirflow, openRig } from "../support/airflow-db.ts"
import { type SinkRig, testSink } from "../support/sink-suite.ts"

// In a process of its own, as another program would: one process does not lock itself out.
async function lockFile(file: string): Promise<() => Promise<void>> {
  const script = `
    const Sqlite = require("better-sqlite3")
    globalThis.db = new Sqlite(process.argv[1])
    db.exec("BEGIN EXCLUSIVE")
    console.log("locked")
    setInterval(() => {}, 1000)`
  const child = Bun.spawn([process.execPath, "-e", script, file], { stdout: "pipe", cwd: import.meta.dir })
  await child.stdout.getReader().read()
  return async () => {
    child.kill()
    await child.exited
  }
}

async function openSqliteRig(): Promise<SinkRig> {
  const folder = mkdtempSync(join(tmpdir(), "airflow-db-"))
  const closers: (() => Promise<unknown>)[] = []
  return openRig("sqlite", {
    unreachable: async () => {
      const other = await openAirflow("sqlite")
      closers.push(await lockFile(other.url.replace("sqlite:///", "")))
      closers.push(async () => other[Symbol.asyncDispose]())
      return { options: other.options() }
    },
    refused: async (airflow) => {
      const file = join(folder, "garbage.db")
      writeFileSync(file, "not a database, though long enough to look like one\n".repeat(100))
      return { options: airflow.options({ url: `sqlite:///${file}` }) }
    },
    close: async () => {
      for (const close of closers) await close()
      rmSync(folder, { recursive: true })
    },
  })
}

testSink({
  kind,
  file: import.meta.resolve("../../sinks/airflow-db.ts"),
  place: "SQLite",
  open: openSqliteRig,
})
