// Login files in a folder of their own, one for each registry, as the sink suite wants them: looked at as their readers
// would, locked as another ecrelay would lock them, with others' files beside them.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import type { Target } from "../../src/sink.ts"
import { snapshotOf } from "./docker-file.ts"
import { lockedWorld } from "./locked-world.ts"
import type { SinkRig, StoredLogin } from "./sink-suite.ts"
import { REGISTRY } from "./sinks.ts"

/** The login that a reader finds in a text, undefined if it finds none. */
export type Reader = (text: string, target: Target) => StoredLogin | undefined

const FOREIGN = "machine git.example.com login eva password c2VjcmV0\n"

/** Opens fresh files of a form, of which `reader` is a reader. */
export async function openLoginFiles(form: object, reader: Reader): Promise<SinkRig> {
  const folder = mkdtempSync(join(tmpdir(), "login-file-"))
  const home = join(folder, "home")
  const path = join(home, "{account}.{region}")
  const ours = () => join(home, `${REGISTRY.account}.${REGISTRY.region}`)
  const { clock, hold, letGo } = lockedWorld(ours())
  const isOurs = (name: string) => /^\d{12}\.[a-z\d-]+$/.test(name)
  const setup = { options: { ...form, path }, deps: { clock } }
  return {
    setup,
    stored: async (target) =>
      existsSync(target.slot) ? reader(readFileSync(target.slot, "utf8"), target) : undefined,
    snapshot: async () => snapshotOf(folder),
    seedNeighbours: async () => {
      mkdirSync(home)
      for (const name of [".netrc", "ecr", `.${REGISTRY.account}.ecrelay-mine`, `${REGISTRY.account}`])
        writeFileSync(join(home, name), FOREIGN)
    },
    neighbours: async () =>
      readdirSync(home)
        .filter((name) => !isOurs(name))
        .sort()
        .map((name) => [name, readFileSync(join(home, name), "utf8")]),
    unreachable: async () => {
      hold()
      return setup
    },
    refused: async () => {
      const foreign = join(folder, "foreign")
      writeFileSync(foreign, FOREIGN)
      return { options: { ...form, path: foreign } }
    },
    breakDelivery: async () => {
      hold()
      return letGo
    },
    spoil: async ({ slot }) => {
      mkdirSync(dirname(slot), { recursive: true })
      writeFileSync(slot, FOREIGN)
    },
    // In another form of its own.
    distort: async (target) => {
      const { host, password } = reader(readFileSync(target.slot, "utf8"), target) ?? {}
      const netrc = `machine ${host}\n  login AWS\n  password ${password}\n`
      writeFileSync(target.slot, "format" in form && form.format === "netrc" ? String(password) : netrc)
    },
    secrets: ["c2VjcmV0"],
    close: async () => rmSync(folder, { recursive: true, force: true }),
  }
}
