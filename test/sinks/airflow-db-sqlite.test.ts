// The airflow-db sink on SQLite: the shared contract on a real file, and what is special about files.
import { expect, test } from "bun:test"
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import Sqlite from "better-sqlite3"
import { parseDatabaseUrl } from "../../sinks/_airflow/database-url.ts"
import { areUnchanged, findRows } from "../../sinks/_airflow/lookup.ts"
import { openSqlite } from "../../sinks/_airflow/sqlite.ts"
import { openDatabase } from "../../sinks/_airflow/sqlite-driver.ts"
import kind from "../../sinks/airflow-db.ts"
import { Secret } from "../../src/credential.ts"
import {
  CONN_ID,
  deliver,
  errorOf,
  fresh,
  openAirflow,
  openRig,
  otherKey,
  outcomesOf,
} from "../support/airflow-db.ts"
import { fernetKey } from "../support/airflow-rows.ts"
import { awsForAll, binary, standInEnvironment } from "../support/binary.ts"
import { LACKS, testUnless, UNSHARE } from "../support/files.ts"
import { type SinkRig, testSink } from "../support/sink-suite.ts"
import { makeSink, REGISTRY, testDeps } from "../support/sinks.ts"

const aws = awsForAll()

const ROOT = fileURLToPath(new URL("../..", import.meta.url))
const PROGRAM = join(ROOT, "test/support/deliver-many.ts")

// In a process of its own, as another program would: one process does not lock itself out.
async function lockFile(file: string): Promise<AsyncDisposable> {
  const script = `
    const Sqlite = require("better-sqlite3")
    globalThis.db = new Sqlite(process.argv[1])
    db.exec("BEGIN EXCLUSIVE")
    console.log("locked")
    setInterval(() => {}, 1000)`
  const child = Bun.spawn([process.execPath, "-e", script, file], {
    stdout: "pipe",
    stderr: "ignore",
    cwd: import.meta.dir,
  })
  await child.stdout.getReader().read()
  return {
    async [Symbol.asyncDispose]() {
      child.kill()
      await child.exited
    },
  }
}

async function openSqliteRig(): Promise<SinkRig> {
  const folder = mkdtempSync(join(tmpdir(), "airflow-db-"))
  const opened = new AsyncDisposableStack()
  return openRig("sqlite", {
    unreachable: async () => {
      const other = await openAirflow("sqlite")
      opened.use(other)
      opened.use(await lockFile(other.url.replace("sqlite:///", "")))
      return { options: other.options() }
    },
    refused: async (airflow) => {
      const file = join(folder, "garbage.db")
      writeFileSync(file, "not a database, though long enough to look like one\n".repeat(100))
      return { options: airflow.options({ url: `sqlite:///${file}` }) }
    },
    close: async () => {
      await opened.disposeAsync()
      rmSync(folder, { recursive: true })
    },
  })
}

testSink({
  kind,
  file: import.meta.resolve("../../sinks/airflow-db.ts"),
  place: "SQLite",
  cannot: {
    "tells the folders and the file that it writes":
      "its targets are rows of a database; that it tells the folder of it is shown in test/install.test.ts",
    "ends with the signal's reason when that is aborted while the place keeps silent":
      "a file is no server, and its calls cannot be called off; a lock is waited for no longer than its own bound",
  },
  open: openSqliteRig,
})

test("creates no file where the URL names one that is not there", async () => {
  await using airflow = await openAirflow("sqlite")
  for (const file of [`${airflow.url}x`, airflow.url.replace(/[^/]*$/, "nowhere/airflow.db")]) {
    const error = await errorOf(deliver(airflow.sink({ url: file }), fresh()))
    expect(error).toMatchObject({ code: "database-missing", retryable: false })
    expect(error.hint).toContain("four slashes")
    expect(existsSync(file.replace("sqlite:///", ""))).toBe(false)
  }
})

const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
const maySwitch = process.getuid?.() === 0 && Bun.which("setpriv") !== null
if (!maySwitch)
  console.info("skipped: who may not write the file: needs root and setpriv to become somebody else")

test.skipIf(!maySwitch)("says so where the file may not be written", async () => {
  await using airflow = await openAirflow("sqlite")
  chmodSync(dirname(airflow.url.replace("sqlite:///", "")), 0o755)
  const argv = [...asNobody, process.execPath, PROGRAM, JSON.stringify(airflow.options())]
  const child = Bun.spawnSync(argv, { env: { HOME: "/nonexistent", TMPDIR: tmpdir() } })
  expect(child.stdout.toString()).toContain("failed: permission-denied, for good")
  expect(await airflow.rows()).toEqual([])
})

test.each(["delete", "wal"])("delivers durably in journal mode %s, without changing it", async (mode) => {
  await using airflow = await openAirflow("sqlite")
  await airflow.run(`PRAGMA journal_mode = ${mode}`)
  const credential = fresh()
  expect(await outcomesOf(deliver(airflow.sink(), credential))).toEqual(["delivered"])
  expect(await airflow.login(CONN_ID)).toMatchObject({ password: credential.password.reveal() })
  expect(await airflow.run("PRAGMA journal_mode")).toEqual([{ journal_mode: mode }])
})

test.each(["delete", "wal"])(
  "waits at the commit until the disk has all of it, in journal mode %s",
  async (mode) => {
    await using airflow = await openAirflow("sqlite")
    await airflow.run(`PRAGMA journal_mode = ${mode}`)
    const session = await openSqlite(parseDatabaseUrl(airflow.url))
    // 3 is EXTRA: FULL leaves open whether the journal comes back after a power cut, and takes the commit back.
    expect(await session.query("PRAGMA synchronous")).toEqual([{ synchronous: 3 }])
    await session.close()
  },
)

test("says of a folder that went away between two looks what of any that cannot be opened", async () => {
  await expect(openDatabase("/nowhere/airflow.db")).rejects.toMatchObject({ code: "SQLITE_CANTOPEN" })
})

test("sees whether somebody changed the rows between the look and the write, and minds nothing else", async () => {
  await using airflow = await openAirflow("sqlite")
  for (const conn_id of ["ours", "other"])
    await airflow.insert({ conn_id, conn_type: "docker", host: "", plain: "x" })
  const session = await openSqlite(parseDatabaseUrl(airflow.url))
  const rows = await findRows(session, ["ours"])
  const seen: boolean[] = []
  const look = () => session.transaction(async () => void seen.push(await areUnchanged(session, rows)))
  await look()
  await airflow.run("UPDATE connection SET host = 'h' WHERE conn_id = 'other'")
  await look()
  await airflow.run("UPDATE connection SET login = 'eva' WHERE conn_id = 'ours'")
  await look()
  await session.close()
  expect(seen).toEqual([true, true, false])
})

// A transaction that does not fit SQLite's cache takes the file for itself long before it commits.
test("lets Airflow read until the moment of the commit, however much is written", async () => {
  await using airflow = await openAirflow("sqlite")
  const session = await openSqlite(parseDatabaseUrl(airflow.url))
  const reader = new Sqlite(airflow.url.replace("sqlite:///", ""), { timeout: 0 })
  const count = () => reader.prepare("SELECT count(*) AS n FROM connection").get()
  const rows = Array.from({ length: 6000 }, (_, i) => ({
    ...{ connId: `ecr_${i}`, host: REGISTRY.host, login: "AWS" },
    password: "x".repeat(4000),
  }))
  try {
    await session.transaction(async ({ insert }) => {
      await insert(rows, false)
      expect(count()).toEqual({ n: 0 })
    })
    expect(count()).toEqual({ n: 6000 })
  } finally {
    reader.close()
    await session.close()
  }
}, 60_000)

// Without --allow-ffi Deno loads no native library, as a machine with an old libc or without a temporary folder.
test("delivers by the runtime's own SQLite where the native part cannot be loaded", async () => {
  await using airflow = await openAirflow("sqlite", "2.7")
  const folder = join(airflow.url.replace("sqlite:///", ""), "..")
  const deno = join(ROOT, "node_modules/.bin/deno")
  const may = [
    "--quiet",
    "--no-prompt",
    "--allow-sys=uid",
    `--allow-read=${folder},${ROOT}`,
    `--allow-write=${folder}`,
  ]
  const run = (file: string) =>
    Bun.spawnSync([deno, "run", ...may, PROGRAM, JSON.stringify(airflow.options({ url: file })), "600"], {
      cwd: ROOT,
    })
  const child = run(airflow.url)
  expect([child.stdout.toString(), child.stderr.toString()]).toEqual(["delivering\n600 delivered\n", ""])
  expect(await airflow.rows()).toHaveLength(600)
  expect(await airflow.login("ecr_000000000599_eu-west-1")).toMatchObject({
    host: "000000000599.dkr.ecr.eu-west-1.amazonaws.com",
  })
  const again = run(airflow.url)
  expect(again.stdout.toString()).toContain("600 delivered")
  expect(run(`${airflow.url}x`).stdout.toString()).toContain("failed: database-missing, for good")
  await using _locked = await lockFile(airflow.url.replace("sqlite:///", ""))
  expect(run(airflow.url).stdout.toString()).toContain("failed: locked, for now")
}, 30_000)

test("finds database and key where Airflow finds them", async () => {
  await using airflow = await openAirflow("sqlite", "2.11")
  const home = join(airflow.url.replace("sqlite:///", ""), "..")
  writeFileSync(
    join(home, "airflow.cfg"),
    `[core]\nfernet_key = ${fernetKey}\n[database]\nsql_alchemy_conn = ${airflow.url}\n`,
  )
  const sink = makeSink(kind, { conn_id: CONN_ID }, testDeps({ env: { AIRFLOW_HOME: home } }))
  const credential = fresh()
  expect(await outcomesOf(deliver(sink, credential))).toEqual(["delivered"])
  expect(await airflow.login(CONN_ID)).toMatchObject({ password: credential.password.reveal() })
  const nowhere = makeSink(kind, { conn_id: CONN_ID }, testDeps({ env: { AIRFLOW_HOME: `${home}/nowhere` } }))
  const error = await errorOf(deliver(nowhere, credential))
  expect(error).toMatchObject({
    code: "airflow-config-missing",
    target: "Airflow's database",
    retryable: false,
  })
  expect(error.hint).toContain("url")
})

test("resolves references anew at every delivery", async () => {
  await using first = await openAirflow("sqlite")
  await using second = await openAirflow("sqlite")
  const world = new Map([
    ["env:URL", first.url],
    ["env:KEY", fernetKey],
  ])
  const secret = async (reference: string) => {
    const text = world.get(reference)
    if (text === undefined) throw new Error("the variable URL is not set")
    return new Secret(text)
  }
  const sink = makeSink(
    kind,
    { conn_id: CONN_ID, url: "env:URL", fernet_key: "env:KEY" },
    testDeps({ secret }),
  )
  await deliver(sink, fresh())
  world.set("env:URL", second.url).set("env:KEY", otherKey)
  const credential = fresh()
  await deliver(sink, credential)
  expect(await first.login(CONN_ID)).not.toMatchObject({ password: credential.password.reveal() })
  expect(await second.login(CONN_ID, otherKey)).toMatchObject({ password: credential.password.reveal() })
  world.delete("env:URL")
  const error = await errorOf(deliver(sink, credential))
  expect(error).toMatchObject({ code: "reference-unresolved", target: "env:URL" })
  expect(error.message).toBe("env:URL: url=the variable URL is not set")
})

testUnless(LACKS.mounts, "a full disk is called one, and the database holds what it held", async () => {
  await using airflow = await openAirflow("sqlite")
  const folder = mkdtempSync(join(tmpdir(), "airflow-full-"))
  const script = `mount -t tmpfs -o size=512k none "$D"; cp "$DB" "$D/airflow.db"
    cat /dev/zero > "$D/rest" 2>/dev/null || true
    "$@" || true
    cmp "$DB" "$D/airflow.db" && echo as it was`
  const sink = `airflow-db,conn_id=new_one,url=sqlite:///${folder}/airflow.db,allow_plaintext=true`
  const run = Bun.spawn(
    [...UNSHARE, "sh", "-c", script, "", await binary(), "--sink", sink, "--timeout", "2s"],
    {
      env: {
        PATH: process.env.PATH,
        ...standInEnvironment(aws.url),
        D: folder,
        DB: airflow.url.replace("sqlite:///", ""),
      },
    },
  )
  const said = await new Response(run.stdout).text()
  await run.exited
  rmSync(folder, { recursive: true })
  expect(said).toMatch(
    /no space is left where the database is.*\[SQLITE_FULL\]\n +hint: free some space there.*as it was\n/s,
  )
})
