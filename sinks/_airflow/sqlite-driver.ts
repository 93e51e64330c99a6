// The SQLite library: better-sqlite3 by the entry of the platform that this program was built for, and the runtime's
// own node:sqlite where the native part cannot be loaded (no writable temporary folder, an old libc, Deno without FFI).
// The bundler folds comparisons of `process.platform` and `process.arch`, so that a binary carries one native part:
// for that alone the global `process` is named here, and nowhere else in sinks/.

/** What both libraries have in common. A path that does not exist is created: see to that first. */
export type SqliteDatabase = {
  prepare(sql: string): {
    /** Whether it returns rows; better-sqlite3 only. */
    readonly reader?: boolean
    all(...values: readonly (string | number | null)[]): unknown[]
    run(...values: readonly (string | number | null)[]): { readonly changes: number | bigint }
  }
  close(): void
}

type Constructor = new (file: string) => SqliteDatabase

// Set by the build for musl; unknown when the source is run as it is.
declare const LIBC: string | undefined

/** Opens a database file for reading and writing. */
export async function openDatabase(file: string): Promise<SqliteDatabase> {
  const Database = await loadLibrary()
  try {
    return new Database(file)
  } catch (cause) {
    // better-sqlite3 looks for the folder itself, and has no code for one that it does not see.
    throw cause instanceof TypeError ? Object.assign(cause, { code: "SQLITE_CANTOPEN" }) : cause
  }
}

async function loadLibrary(): Promise<Constructor> {
  try {
    const Database = await loadNative()
    // The native part is loaded with the first database: what fails here is the library, not the file.
    new Database(":memory:").close()
    return Database
  } catch (cause) {
    const fallback = await import("node:sqlite").catch(() => undefined)
    if (!fallback) throw cause
    return fallback.DatabaseSync
  }
}

async function loadNative(): Promise<Constructor> {
  if (process.platform === "linux" && process.arch === "x64")
    return typeof LIBC === "string" && LIBC === "musl"
      ? (await import("better-sqlite3/linuxmusl-x64" as string)).default
      : (await import("better-sqlite3/linux-x64" as string)).default
  if (process.platform === "linux" && process.arch === "arm64")
    return typeof LIBC === "string" && LIBC === "musl"
      ? (await import("better-sqlite3/linuxmusl-arm64" as string)).default
      : (await import("better-sqlite3/linux-arm64" as string)).default
  if (process.platform === "darwin" && process.arch === "arm64")
    return (await import("better-sqlite3/darwin-arm64" as string)).default
  if (process.platform === "darwin" && process.arch === "x64")
    return (await import("better-sqlite3/darwin-x64" as string)).default
  if (process.platform === "win32" && process.arch === "x64")
    return (await import("better-sqlite3/win32-x64" as string)).default
  throw new Error(`there is no better-sqlite3 for ${process.platform} ${process.arch}`)
}
