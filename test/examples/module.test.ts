// The example module as a person uses it: put into a folder, named in a command, typed by what `--types` prints, and run by
// the binary, by Bun and by Deno from source.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { chmod, copyFile, mkdir, readFile, symlink, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { type StandIn, startAws } from "../../scripts/aws.ts"
import { DECLARATIONS, formatDeclarations } from "../../scripts/declarations.ts"
import { binary, ecrelay, standInEnvironment, temporaryFolder } from "../support/binary.ts"
import { RUNTIMES, runUnder } from "../support/runtimes.ts"
import { startVault, VAULT_TOKEN, type VaultServer } from "../support/vault-server.ts"

const ROOT = join(import.meta.dir, "../..")
const EXAMPLE = join(ROOT, "examples/module/vault.ts")
const HOST = "012345678901.dkr.ecr.eu-west-1.amazonaws.com"

let aws: StandIn
let vault: VaultServer
beforeAll(async () => {
  aws = startAws()
  vault = startVault()
  await binary()
}, 60_000)
afterAll(() => Promise.all([aws.stop(), vault.stop()]))

describe.each([...RUNTIMES])("under %s", (_, command) => {
  async function run(argv: readonly string[]) {
    const folder = await temporaryFolder()
    const path = join(folder, "vault.ts")
    await copyFile(EXAMPLE, path)
    await chmod(path, 0o600)
    const env = { HOME: folder, VAULT_TOKEN, ...standInEnvironment(aws.url) }
    const sink = `module,path=${path},address=${vault.url},token=env:VAULT_TOKEN`
    return { ...(await runUnder(command, [...argv, "--sink", sink], env)), path }
  }

  test("delivers, tells what it holds, and says that it would deliver", async () => {
    vault.secrets.clear()
    expect(await run(["refresh"])).toMatchObject({
      out: expect.stringMatching(
        /^delivered {2}vault {2}http:\S+ secret\/ecr\/012345678901\/eu-west-1 {2}until/,
      ),
      error: "",
      code: 0,
    })
    expect(vault.secrets.get("ecr/012345678901/eu-west-1")?.data).toMatchObject({
      host: HOST,
      username: "AWS",
    })
    expect(await run(["status"])).toMatchObject({ out: expect.stringMatching(/^fresh {2}vault/), code: 0 })
    expect(await run(["refresh", "--dry-run"])).toMatchObject({ code: 0 })
  }, 30_000)

  test("prints the configuration that says the same, without a secret", async () => {
    const { out, code, path } = await run(["config"])
    expect({ out, code }).toMatchObject({ out: expect.stringContaining(`path = "${path}"`), code: 0 })
    expect(out).not.toContain(VAULT_TOKEN)
  }, 30_000)
})

test("runs nothing of a folder above it but what its owner put there", async () => {
  const folder = await temporaryFolder()
  const inner = join(folder, "inner")
  await mkdir(inner, { mode: 0o700 })
  const evil = `require("fs").writeFileSync(${JSON.stringify(join(folder, "pwned"))}, "")`
  for (const place of [folder, inner]) {
    await writeFile(join(place, "bunfig.toml"), 'preload = ["./evil.js"]\n')
    await writeFile(join(place, "evil.js"), evil)
    await writeFile(join(place, ".env"), "AWS_REGION=us-east-1\n")
  }
  await writeFile(
    join(folder, "tsconfig.json"),
    `{"compilerOptions":{"paths":{"./beside.ts":["./evil.js"]}}}`,
  )
  await writeFile(join(inner, "beside.ts"), "export const summary: string = 'beside'")
  const plugin = join(inner, "plugin.ts")
  await writeFile(
    plugin,
    `import { summary } from "./beside.ts"
    export default ({ v, defineSink }) => defineSink({ type: "mine", summary, permissions: [], options: v.strictObject({}),
      create: () => ({ type: "mine", targets: (registry) => [{ registry, slot: "x", name: summary }], deliver: async () => [{ outcome: "delivered" }] }) })`,
  )
  await chmod(plugin, 0o600)
  const env = { HOME: folder, ...standInEnvironment(aws.url) }
  const { out, code } = await ecrelay(["--sink", `module,path=${plugin}`], { env, cwd: inner })
  expect({ out, code }).toEqual({ out: "delivered  mine  beside\n", code: 0 })
  expect(await Bun.file(join(folder, "pwned")).exists()).toBe(false)
})

describe("the types", () => {
  test("are those of the source; after a change, `bun scripts/declarations.ts` writes them anew", async () => {
    expect(await readFile(DECLARATIONS, "utf8")).toBe(await formatDeclarations())
  }, 30_000)

  /** What the compiler says of files beside the types that the binary prints. */
  async function compiled(files: Readonly<Record<string, string>>): Promise<string> {
    const folder = await temporaryFolder()
    const { out } = await ecrelay(["sinks", "module", "--types"])
    await writeFile(join(folder, "ecrelay.d.ts"), out)
    await mkdir(join(folder, "node_modules"))
    await symlink(join(ROOT, "node_modules/valibot"), join(folder, "node_modules/valibot"))
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
    const options = [
      "--noEmit",
      "--strict",
      "--target",
      "esnext",
      "--module",
      "esnext",
      "--moduleResolution",
      "bundler",
    ]
    const names = ["ecrelay.d.ts", ...Object.keys(files)]
    const child = Bun.spawnSync(
      [join(ROOT, "node_modules/.bin/tsc"), ...options, "--skipLibCheck", "false", ...names],
      {
        cwd: folder,
      },
    )
    return child.stdout.toString()
  }

  test("are all that the examples need to be checked by the strictest compiler", async () => {
    const names = ["vault.ts", "kubernetes.ts"]
    const files = names.map(async (name) => [name, await readFile(join(dirname(EXAMPLE), name), "utf8")])
    expect(await compiled(Object.fromEntries(await Promise.all(files)))).toBe("")
  }, 30_000)

  test("find what is against the contract, and allow nothing to be imported but types", async () => {
    const said = await compiled({
      "value.ts": `import { DeliveryError } from "ecrelay"; export const x = new DeliveryError("", {} as never)`,
      "result.ts": `import type { Sink } from "ecrelay"
        export const deliver: Sink["deliver"] = async () => [{ outcome: "done" }]`,
      "options.ts": `import type { Module } from "ecrelay"
        export default (({ v, defineSink }) => defineSink({ type: "x", summary: "", permissions: [],
          options: v.strictObject({ n: v.number() }), create: ({ n }) => ({ type: n, targets: () => [], deliver: async () => [] }) })) satisfies Module`,
    })
    const complaints = said.split("\n").map((line) => /^(\S+)\(\d.*(TS\d+)/.exec(line)?.slice(1).join(" "))
    expect(complaints.filter(Boolean).sort()).toEqual([
      "options.ts TS2322",
      "result.ts TS2322",
      "value.ts TS1362",
    ])
  }, 30_000)
})
