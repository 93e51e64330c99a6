// Reads the machine's own apt sources and picks Debian's archive out of them, in the form that apt reads (deb822),
// so that no archive's address stands in this repository.
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { Unavailable } from "./command.ts"

type Source = {
  readonly uris: string
  readonly suites: readonly string[]
  readonly signedBy: string | undefined
}

/** The machine's own entries for its release, or for `unstable` in place of it, as the text of a `.sources` file. */
export async function sourcesOf(release: "own" | "unstable", codename: string): Promise<string> {
  const own = (await readSources("/etc/apt")).filter((source) => isOfRelease(source, codename))
  if (own.length === 0) throw new Unavailable(`apt on this machine has no source of main for ${codename}`)
  if (release === "own") return own.map(formatSource).join("\n")
  const archive = own.find((source) => source.suites.includes(codename)) ?? own[0]
  return archive ? formatSource({ ...archive, suites: [release] }) : ""
}

function isOfRelease({ suites }: Source, codename: string): boolean {
  return suites.some((suite) => [codename, `${codename}-updates`, `${codename}-security`].includes(suite))
}

async function readSources(folder: string): Promise<readonly Source[]> {
  const parts = await readdir(join(folder, "sources.list.d")).catch(() => [])
  const files = ["sources.list", ...parts.map((name) => join("sources.list.d", name))]
  const sources = files.map(async (file) => {
    const text = await readFile(join(folder, file), "utf8").catch(() => "")
    return file.endsWith(".sources") ? parseStanzas(text) : parseLines(text)
  })
  return (await Promise.all(sources)).flat()
}

/** Entries of a `.sources` file: stanzas of `Field: value`, where a value goes on in lines that begin with a space. */
function parseStanzas(text: string): readonly Source[] {
  const uncommented = text.replace(/^#.*\n?/gm, "")
  return uncommented.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name: string) => stanza.match(new RegExp(`^${name}:(.*(?:\n[ \t].*)*)`, "im"))?.[1]?.trim()
    const [types, uris, suites, components] = ["Types", "URIs", "Suites", "Components"].map(field)
    const disabled = field("Enabled")?.toLowerCase() === "no"
    if (disabled || !uris || !suites || !types?.split(/\s+/).includes("deb")) return []
    if (!components?.split(/\s+/).includes("main")) return []
    return [{ uris, suites: suites.split(/\s+/), signedBy: field("Signed-By") }]
  })
}

/** Entries of a `.list` file: `deb [option=value …] URI suite component …`. */
function parseLines(text: string): readonly Source[] {
  return text.split("\n").flatMap((line) => {
    const [, options, uris, suite, components] =
      line.match(/^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]*)/) ?? []
    if (!uris || !suite || !components?.split(/\s+/).includes("main")) return []
    return [{ uris, suites: [suite], signedBy: options?.match(/signed-by=(\S+)/)?.[1] }]
  })
}

function formatSource({ uris, suites, signedBy }: Source): string {
  const lines = ["Types: deb", `URIs: ${uris}`, `Suites: ${suites.join(" ")}`, "Components: main"]
  // A key in the file itself begins on a line of its own.
  if (signedBy) lines.push(`Signed-By: ${signedBy.includes("\n") ? "\n " : ""}${signedBy}`)
  return `${lines.join("\n")}\n`
}
