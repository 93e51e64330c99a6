// Writes examples/module/ecrelay.d.ts, the types that a sink of the user's own names: the declarations of the contract, as
// the compiler emits them from the source, in one module. `bun scripts/declarations.ts`; a test runs it and compares.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"

const ROOT = join(import.meta.dir, "..")

/** Where the declarations stand. */
export const DECLARATIONS = join(ROOT, "examples/module/ecrelay.d.ts")

const HEADER = `// The types of a sink of your own for ecrelay: \`import type { Module } from "ecrelay"\`, and nothing but types, for at run
// time there is no such package. They name valibot's: \`npm install --save-dev valibot\` beside your file.
// Made by \`ecrelay sinks module --types\`; do not edit.
`

// In the order in which a person reads them.
const FILES = [
  "sinks/_module/host",
  "src/sink",
  "src/sink-options",
  "src/credential",
  "src/registry",
  "src/errors",
  "src/clock",
]
const ROOTS = [
  "Module",
  "Host",
  "Sink",
  "Delivery",
  "DeliveryResult",
  "Held",
  "Finding",
  "Target",
  "Credential",
]
// Members that a module is not given, or that only ecrelay's own sinks have: cut out of the emitted text.
const WITHHELD =
  /\n(?: {4}\/\*\*[^\n]*\*\/\n)? {4}readonly (?:aws|files|prints|airflowDefaults|loadActual)\??:[^\n]*/g
const WITHHELD_METHOD = /\n {4}\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n {4}loadActual\?[^\n]*/g

/** The text that the file is to hold. */
export async function formatDeclarations(): Promise<string> {
  const statements = new Map<string, string>()
  for (const text of await emitDeclarations())
    for (const statement of splitStatements(text)) statements.set(nameOf(statement), statement)
  const wanted = new Set<string>()
  const visit = (name: string) => {
    const statement = statements.get(name)
    if (!statement || wanted.has(name)) return
    wanted.add(name)
    for (const [word] of statement.replaceAll(/\/\*\*[\s\S]*?\*\//g, "").matchAll(/\b[A-Za-z]\w*\b/g))
      visit(word)
  }
  ROOTS.forEach(visit)
  const chosen = [...statements].filter(([name]) => wanted.has(name))
  const types = chosen.filter(([, text]) => !/^(declare )?function /m.test(text)).map(([name]) => name)
  const body = [
    'import type * as v from "valibot"',
    ...chosen.map(([, text]) => text.replaceAll("    ", "  ")),
    `export type {\n${types
      .sort()
      .map((name) => `  ${name},\n`)
      .join("")}}`,
  ]
  const indented = body.join("\n\n").replaceAll(/^(?=.)/gm, "  ")
  return format(`${HEADER}\ndeclare module "ecrelay" {\n${indented}\n}\n`)
}

function format(text: string): string {
  const biome = join(ROOT, "node_modules/.bin/biome")
  const child = Bun.spawnSync([biome, "format", "--stdin-file-path=types.d.ts"], {
    cwd: ROOT,
    stdin: Buffer.from(text),
  })
  if (!child.success) throw new Error(`biome: ${child.stderr}`)
  return child.stdout.toString()
}

async function emitDeclarations(): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), "ecrelay-declarations-"))
  try {
    const config = {
      extends: join(ROOT, "tsconfig.json"),
      compilerOptions: {
        ...{ noEmit: false, declaration: true, emitDeclarationOnly: true, outDir: folder, rootDir: ROOT },
        typeRoots: [join(ROOT, "node_modules/@types")],
      },
      include: [],
      files: [join(ROOT, "sinks/_module/host.ts")],
    }
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config))
    const child = Bun.spawnSync([join(ROOT, "node_modules/.bin/tsc"), "-p", folder])
    if (!child.success) throw new Error(`tsc: ${child.stdout}${child.stderr}`)
    return await Promise.all(FILES.map((file) => readFile(join(folder, `${file}.d.ts`), "utf8")))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The declarations of a file, each with its comment, without `export`. */
function splitStatements(text: string): readonly string[] {
  // Each has its comment, as a test of the house demands.
  return text
    .split(/\n(?=\/\*\*|import |export \{)/)
    .filter((statement) => statement.startsWith("/**"))
    .map((statement) =>
      statement
        .trim()
        .replace(/^export /m, "")
        .replace(/^declare (?=class|function)/m, "")
        .replaceAll(WITHHELD_METHOD, "")
        .replaceAll(WITHHELD, ""),
    )
}

function nameOf(statement: string): string {
  return /^(?:type|class|function) (\w+)/m.exec(statement)?.[1] ?? ""
}

if (import.meta.main) await writeFile(DECLARATIONS, await formatDeclarations())
