// What a person reads when Airflow's database cannot be used: each of the places by its own words.
import { describe, expect, test } from "bun:test"
import { join } from "node:path"
import { parseDatabaseUrl } from "../../sinks/_airflow/database-url.ts"
import { AirflowError } from "../../sinks/_airflow/error.ts"
import { asFailure } from "../../sinks/_airflow/failure.ts"
import kind from "../../sinks/airflow-db.ts"
import type { DeliveryError } from "../../src/errors.ts"
import { CONN_ID, deliver, errorOf, fresh } from "../support/airflow-db.ts"
import { makeSink, testDeps } from "../support/sinks.ts"
import { temporaryFolder } from "./folder.ts"

const failureAt = (url: string, code: string) =>
  asFailure(Object.assign(new Error("x"), { code }), {
    sink: "airflow-db",
    target: "the place",
    url: parseDatabaseUrl(url),
  }) as DeliveryError

const POSTGRES = "postgresql:///d?host=/run/pg"
const MYSQL = "mysql:///d?unix_socket=/run/m.sock"
const SQLITE = "sqlite:////a/airflow.db"

test.each([
  [POSTGRES, "ENOENT", "unreachable", "the server's socket is not there", "/run/pg/.s.PGSQL.5432"],
  [MYSQL, "ENOENT", "unreachable", "the server's socket is not there", "/run/m.sock"],
  [
    POSTGRES,
    "ECONNREFUSED",
    "unreachable",
    "nothing listens on the server's socket",
    "/run/pg/.s.PGSQL.5432",
  ],
  [MYSQL, "ECONNREFUSED", "unreachable", "nothing listens on the server's socket", "/run/m.sock"],
  [MYSQL, "EACCES", "permission-denied", "this user may not open the server's socket", "/run/m.sock"],
  ["postgresql://h/d", "ECONNREFUSED", "unreachable", "the server does not answer", "check host and port"],
  [
    "postgresql:///d?host=/run/pg&host=h",
    "ECONNREFUSED",
    "unreachable",
    "the server does not answer",
    "host",
  ],
  [
    SQLITE,
    "SQLITE_READONLY",
    "permission-denied",
    "the file or its folder cannot be opened for writing",
    "both",
  ],
  [
    SQLITE,
    "SQLITE_CANTOPEN",
    "permission-denied",
    "the file or its folder cannot be opened for writing",
    "both",
  ],
  [SQLITE, "EACCES", "permission-denied", "the file or its folder cannot be opened for writing", "both"],
  [SQLITE, "SQLITE_IOERR_FSYNC", "file-system", "failed to read or write", "the state of that file system"],
  [SQLITE, "EROFS", "permission-denied", "the file or its folder cannot be opened for writing", "both"],
])("%s, %s: %s", (url, code, meaning, words, hint) => {
  const failure = failureAt(url, code)
  expect(failure.code).toBe(meaning)
  expect(failure.message).toContain(words)
  expect(failure.hint).toContain(hint)
})

describe("a socket", () => {
  const reach = (url: string) =>
    errorOf(deliver(makeSink(kind, { url, conn_id: CONN_ID, allow_plaintext: true }, testDeps()), fresh()))
  const urls = (folder: string) => [
    [`postgresql:///d?host=${folder}`, join(folder, ".s.PGSQL.5432")] as const,
    [`mysql:///d?unix_socket=${folder}/m.sock`, join(folder, "m.sock")] as const,
  ]

  test("that is not there is named", async () => {
    for (const [url, path] of urls("/nowhere")) {
      const error = await reach(url)
      expect(error).toMatchObject({ code: "unreachable", hint: expect.stringContaining(path) })
      expect(error.message).toContain("the server's socket is not there")
    }
  })

  test("that a server left behind is told from one that is not there", async () => {
    await using folder = await temporaryFolder()
    for (const [url, path] of urls(folder.path)) {
      // Only a server that dies leaves its socket behind.
      const program = `require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`
      Bun.spawnSync([process.execPath, "-e", program, path])
      const error = await reach(url)
      expect(error).toMatchObject({ code: "unreachable", retryable: true })
      expect(error.message).toContain("nothing listens on the server's socket")
    }
  })
})

test.each([
  ["53300", "takes no more connections at the moment"],
  ["ER_CON_COUNT_ERROR", "takes no more connections at the moment"],
  ["57P03", "is starting or shutting down"],
  ["ECONNREFUSED", "does not answer"],
])("a server that answers %s is said to be one that %s", (code, says) => {
  const cause = Object.assign(new Error("x"), { code })
  const error = asFailure(cause, { sink: "airflow-db", target: "postgresql://db/airflow" }) as DeliveryError
  expect(error).toMatchObject({ code: "unreachable", retryable: true })
  expect(error.message).toContain(`the server ${says}`)
})

test("a place that its message has for a subject already is not named twice", () => {
  const about = (message: string, target: string) =>
    (asFailure(new AirflowError(message, { code: "x" }), { sink: "airflow-db", target }) as DeliveryError)
      .message
  const missing = "url=env:NOPE: the variable NOPE is not set"
  expect(about(missing, "env:NOPE")).toBe(missing)
  expect(about(missing, "env:NO")).toBe(`env:NO: ${missing}`)
  expect(about("Airflow's database is not configured here", "Airflow's database")).toBe(
    "Airflow's database is not configured here",
  )
  expect(about("there is no such file", "sqlite:////a.db")).toBe("sqlite:////a.db: there is no such file")
})
