// SQLite: the file that SQLAlchemy's `sqlite:////…` names. It must be there already; other writers are waited for.
// The library is synchronous, so what it does cannot be interrupted, but neither does it wait for a network.
import { access, constants, stat } from "node:fs/promises"
import { dirname } from "node:path"
import type { DatabaseUrl } from "./database-url.ts"
import { AirflowError } from "./error.ts"
import type { Column, ResultRow, Session, Transaction, Value } from "./session.ts"
import { openDatabase, type SqliteDatabase } from "./sqlite-driver.ts"

// Airflow's own writers hold the lock for milliseconds. The whole program stands still while we wait.
const BUSY_TIMEOUT_MS = 500
// Room for more than ten thousand connections, so that each page is read once. Memory is taken only as it is used.
const CACHE_KIB = 64 * 1024

/** Opens Airflow's SQLite database. AirflowError `database-missing`, `table-missing`; else the driver's errors. */
export async function openSqlite(url: DatabaseUrl): Promise<Session> {
  const file = url.file ?? ""
  await requireFile(file)
  const db = await openDatabase(file)
  try {
    execute(db, `PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`)
    // WAL's own default keeps the last commit in memory for a while, and FULL does not wait until the removal of the
    // journal, which is the commit without WAL, is on the disk; what we resolved must survive a power cut.
    execute(db, "PRAGMA synchronous = EXTRA")
    // A transaction that outgrows the cache would lock Airflow's readers out from then on, and not only for its commit.
    execute(db, "PRAGMA cache_spill = OFF")
    execute(db, `PRAGMA cache_size = -${CACHE_KIB}`)
    return sessionOf(db, readColumns(db))
  } catch (error) {
    db.close()
    throw error
  }
}

// Opening creates what is missing: a typing error in the URL must not leave an empty database behind. Whether the file
// may be written, the first write tells.
async function requireFile(file: string): Promise<void> {
  try {
    await stat(file)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code !== "ENOENT" && code !== "ENOTDIR") throw cause
    throw new AirflowError("there is no such file", {
      code: "database-missing",
      hint: "check the path (an absolute one takes four slashes: sqlite:////…), or run: airflow db migrate",
      cause,
    })
  }
}

/** Rejects where no journal could be made beside the file: SQLite finds out at the first change only. */
export async function requireJournal(file: string): Promise<void> {
  await access(dirname(file), constants.W_OK | constants.X_OK)
}

function readColumns(db: SqliteDatabase): readonly Column[] {
  const rows = execute(db, `SELECT name, "notnull", dflt_value, pk FROM pragma_table_info('connection')`)
  return rows.map((row) => ({
    name: String(row.name),
    required: row.notnull === 1 && row.dflt_value === null && row.pk === 0,
    // VARCHAR(500) is a word to SQLite, not a limit.
    maxCharacters: undefined,
  }))
}

// Always by a prepared statement: the errors of Deno's `exec` have no code.
function execute(db: SqliteDatabase, text: string, values: readonly Value[] = []): readonly ResultRow[] {
  const statement = db.prepare(text)
  // better-sqlite3 throws on `all` for a statement that returns no rows; node:sqlite does not, and has no `reader`.
  if (statement.reader !== false) return statement.all(...values) as ResultRow[]
  statement.run(...values)
  return []
}

// After some errors SQLite has done so by itself, and says that there is nothing to roll back.
function rollBack(db: SqliteDatabase): void {
  try {
    execute(db, "ROLLBACK")
  } catch {}
}

function sessionOf(db: SqliteDatabase, columns: readonly Column[]): Session {
  const query = async (text: string, values?: readonly Value[]) => execute(db, text, values)
  const version = dataVersion(db)
  return {
    dialect: "sqlite",
    table: '"connection"',
    columns,
    maxStatementBytes: Number.POSITIVE_INFINITY,
    lockClause: "",
    isUntouched: async () => dataVersion(db) === version,
    query,
    transaction: async (work) => {
      // IMMEDIATE: a lock taken at the first write may be refused when others have written since the first read.
      execute(db, "BEGIN IMMEDIATE")
      try {
        await work({ query, ...writersOf(db) })
        execute(db, "COMMIT")
      } catch (error) {
        rollBack(db)
        throw error
      }
    },
    alter: async () => {},
    close: async () => db.close(),
  }
}

// Changes with every commit of another connection (sqlite.org/pragma.html#pragma_data_version).
const dataVersion = (db: SqliteDatabase) => execute(db, "PRAGMA data_version")[0]?.data_version

// One statement prepared, many executions: the fastest here, where there is no network between.
function writersOf(db: SqliteDatabase): Pick<Transaction, "update" | "insert"> {
  return {
    async update(rows, encrypted) {
      const set = `UPDATE "connection" SET conn_type = 'docker', host = ?, login = ?, port = NULL`
      const keeping = db.prepare(`${set} WHERE id = ?`)
      const replacing = db.prepare(`${set}, password = ?, is_encrypted = ${encrypted} WHERE id = ?`)
      return sum(rows, ({ id, host, login, password }) =>
        password === undefined ? keeping.run(host, login, id) : replacing.run(host, login, password, id),
      )
    },
    async insert(rows, encrypted) {
      const statement = db.prepare(
        `INSERT INTO "connection" (conn_id, conn_type, host, login, password, is_encrypted, is_extra_encrypted)
         VALUES (?, 'docker', ?, ?, ?, ${encrypted}, false)`,
      )
      return sum(rows, ({ connId, host, login, password }) => statement.run(connId, host, login, password))
    },
  }
}

function sum<Row>(rows: readonly Row[], write: (row: Row) => { readonly changes: number | bigint }): number {
  let written = 0
  for (const row of rows) written += Number(write(row).changes)
  return written
}
