// Builds dist/ecrelay: one binary that needs nothing beside it. `bun run build [TARGET…|all]`, with checksums.
import { createHash } from "node:crypto"
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import type { BunPlugin } from "bun"

/** What can be built. Tested where it runs in CI; darwin and windows are built and never run here. */
export const TARGETS = [
  "linux-x64",
  "linux-x64-baseline",
  "linux-x64-musl",
  "linux-arm64",
  "linux-arm64-musl",
  "darwin-arm64",
  "darwin-x64",
  "windows-x64",
] as const

/** One of the targets. */
export type Target = (typeof TARGETS)[number]

const ROOT = join(import.meta.dir, "..")

/** Compiles the program for a target (this machine's by default) and returns the path of the binary. */
export async function build(target: Target | undefined, outfile: string): Promise<string> {
  const staging = join(ROOT, "dist", ".staging", basename(outfile))
  const client = await bundleClient(staging)
  const result = await Bun.build({
    entrypoints: [join(ROOT, "src/main.ts")],
    target: "bun",
    format: "esm",
    minify: true,
    bytecode: true,
    // Makes `await import()` lazy in the binary: a run pays only for what it uses.
    splitting: true,
    define: {
      ECRELAY_VERSION: JSON.stringify(await version()),
      ECRELAY_TYPES: JSON.stringify(await readFile(join(ROOT, "examples/module/ecrelay.d.ts"), "utf8")),
      LIBC: JSON.stringify(target?.endsWith("musl") ? "musl" : "glibc"),
    },
    plugins: [
      {
        name: "browser build of the ECR client",
        setup: (builder) => void builder.onResolve({ filter: /\/ecr-client\.ts$/ }, () => ({ path: client })),
      },
      VALIBOT_FOR_MODULES,
    ],
    compile: {
      outfile,
      ...(target ? { target: `bun-${target}` as Bun.Build.CompileTarget } : {}),
      // Otherwise a bunfig.toml or .env in whatever folder we are started in would run a stranger's code.
      autoloadBunfig: false,
      autoloadDotenv: false,
      autoloadTsconfig: false,
      autoloadPackageJson: false,
      jitPolicy: 100,
    },
  })
  await rm(staging, { recursive: true, force: true })
  if (!result.success) throw new AggregateError(result.logs, `build of ${outfile} failed`)
  return outfile
}

// A user's own module may call anything in valibot, which is five times as much as the rest of the program uses. It gets a copy
// of its own, so that no other run loads all of that.
const VALIBOT_FOR_MODULES: BunPlugin = {
  name: "a valibot for modules",
  setup(builder) {
    const valibot = Bun.fileURLToPath(import.meta.resolve("valibot"))
    const copy = join(dirname(valibot), "copy.mjs")
    builder.onResolve({ filter: /^valibot$/ }, ({ importer }) =>
      importer.endsWith("_module/host.ts") ? { path: copy } : undefined,
    )
    builder.onLoad({ filter: /valibot\/dist\/copy\.mjs$/ }, async () => ({
      contents: await readFile(valibot, "utf8"),
      loader: "js",
    }))
  },
}

// The SDK's packages name their browser files in the `browser` field, which Bun heeds for target browser only.
async function bundleClient(staging: string): Promise<string> {
  const result = await Bun.build({
    entrypoints: [join(ROOT, "src/ecr-client.ts")],
    target: "browser",
    format: "esm",
    minify: true,
    outdir: staging,
    naming: "ecr-client.js",
  })
  if (!result.success) throw new AggregateError(result.logs, "bundling the ECR client failed")
  return join(staging, "ecr-client.js")
}

async function version(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"))
  const git = Bun.which("git")
  if (!git) return version
  const commit = Bun.spawnSync([git, "rev-parse", "--short=7", "HEAD"], { cwd: ROOT, stderr: "ignore" })
  return commit.success ? `${version} (${commit.stdout.toString().trim()})` : version
}

function outfileOf(target: Target | undefined): string {
  const suffix = target?.startsWith("windows") ? ".exe" : ""
  return join(ROOT, "dist", `ecrelay${target ? `-${target}` : ""}${suffix}`)
}

async function main(words: readonly string[]): Promise<void> {
  const unknown = words.filter((word) => word !== "all" && !TARGETS.includes(word as Target))
  if (unknown.length > 0) {
    console.error(`unknown target ${unknown.join(", ")} (targets: ${TARGETS.join(", ")}, all)`)
    process.exit(2)
  }
  const targets: readonly (Target | undefined)[] = words.includes("all")
    ? TARGETS
    : words.length > 0
      ? (words as Target[])
      : [undefined]
  await mkdir(join(ROOT, "dist"), { recursive: true })
  for (const target of targets) {
    const path = await build(target, outfileOf(target))
    console.log(
      `${path.slice(ROOT.length + 1)}${/darwin|windows/.test(target ?? "") ? "  (untested: nothing here can run it)" : ""}`,
    )
  }
  await writeChecksums(join(ROOT, "dist"))
}

/** Checksums of everything that lies in the folder by now, in the form that `sha256sum -c` reads. */
export async function writeChecksums(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name.startsWith("ecrelay")).sort()
  const sums = await Promise.all(
    names.map(async (name) => {
      const sum = createHash("sha256")
        .update(await readFile(join(folder, name)))
        .digest("hex")
      return `${sum}  ${name}\n`
    }),
  )
  await writeFile(join(folder, "SHA256SUMS"), sums.join(""))
}

if (import.meta.main) await main(process.argv.slice(2))
