// libpq's `options` of a URL, such as `-csearch_path=airflow`: what the server is told at the start of a session.
// PgBouncer takes no such options unless it is told to ignore them, so the one that matters here is followed by naming
// the schema in each statement.
import { AirflowError } from "./error.ts"

/** The schemas that a search_path names, in order, and the options that remain for the server. */
export type ServerOptions = { readonly searchPath: readonly string[]; readonly rest: string | undefined }

/** Reads `-c name=value`, `-cname=value` and `--name=value`; a blank in a value stands behind a backslash. */
export function parseServerOptions(text: string | undefined, user: string | undefined): ServerOptions {
  const words = text?.match(/(?:\\.|\S)+/gs) ?? []
  const settings: string[] = []
  for (let i = 0; i < words.length; i += 1) {
    const word = words[i] as string
    settings.push(word === "-c" ? `-c${words[++i] ?? ""}` : word)
  }
  const isSearchPath = (setting: string) => /^(-c|--)search[_-]path=/i.test(setting)
  // The last one wins, as with the server itself.
  const path = settings
    .findLast(isSearchPath)
    ?.replace(/^[^=]*=/, "")
    .replace(/\\(.)/gs, "$1")
  const rest = settings.filter((setting) => !isSearchPath(setting))
  return {
    searchPath: path === undefined ? [] : splitNames(path, user),
    rest: rest.length > 0 ? rest.join(" ") : undefined,
  }
}

// SQLSTATE protocol_violation: PgBouncer's one code for all that keeps a client out.
const POOLER_REFUSES = "08P01"

/**
 * Opens a connection with these options. Where a pooler lets none in, one without them tells whether they are why:
 * AirflowError `pooler-options`.
 */
export async function openWithOptions<Opened extends { close(): Promise<void> }>(
  options: string | undefined,
  open: (options: string | undefined) => Promise<Opened | undefined>,
): Promise<Opened | undefined> {
  try {
    return await open(options)
  } catch (error) {
    if (options === undefined || (error as { code?: unknown }).code !== POOLER_REFUSES) throw error
    const opened = await open(undefined).catch(() => {
      throw error
    })
    await opened?.close()
    throw new AirflowError("the connection pooler refuses the startup parameter options, which the URL has", {
      code: "pooler-options",
      hint: "set ignore_startup_parameters = options in PgBouncer's configuration, or give a url without options (a search_path alone may stay)",
    })
  }
}

// Names in double quotes keep their case, others do not have any.
function splitNames(path: string, user: string | undefined): readonly string[] {
  const names = path.match(/"(?:[^"]|"")*"|[^,\s]+/g) ?? []
  return names.flatMap((name) => {
    const plain = name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase()
    return plain === "$user" ? (user ?? []) : plain
  })
}
