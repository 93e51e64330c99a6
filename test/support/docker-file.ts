// A docker config in a folder of its own, as the sink suite wants it: read back as docker reads it, locked as another
// ecrelay would lock it, and full of what a careless writer would damage.
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { lockedWorld } from "./locked-world.ts"
import type { SinkRig, StoredLogin } from "./sink-suite.ts"

/** The login in a file as docker reads it. */
export function loginIn(file: string, host: string): StoredLogin | undefined {
  return existsSync(file) ? loginInText(readFileSync(file, "utf8"), host) : undefined
}

/** The login in a docker config as docker reads it. */
export function loginInText(text: string, host: string): StoredLogin | undefined {
  const auth = JSON.parse(text).auths?.[host]?.auth
  if (!auth) return undefined
  const bytes = Buffer.from(auth, "base64")
  if (bytes.toString("base64") !== auth) throw new Error("docker reads nothing but standard base64")
  const [userName = "", ...password] = bytes.toString().split(":")
  return { host, userName, password: password.join(":") }
}

/** Everything in a folder, and whether anything was written: content, inode and times of each file. */
export function snapshotOf(folder: string): unknown {
  return readdirSync(folder, { recursive: true })
    .map(String)
    .sort()
    .map((name) => {
      const stat = lstatSync(join(folder, name), { bigint: true })
      const content = stat.isFile() ? readFileSync(join(folder, name), "utf8") : undefined
      return { name, content, inode: stat.ino, changed: stat.isFile() && stat.ctimeNs, mode: stat.mode }
    })
}

const OTHERS = `{
\t"auths": {
\t\t"https://index.docker.io/v1/": { "auth": "dTpw",  "email":"a@b.c" },
\t\t"ghcr.io": {"auth": "dTpw"}, "ghcr.io": {"auth": "eDp5"},
\t\t"__proto__": {"auth": "dTpw"}
\t},
\t"HttpHeaders": {"User-Agent": "Docker-Client\\/27 \\u00e9 é"},
\t"big": 12345678901234567890.1234567890, "__proto__": {"auths": 1},
\t"constructor" : [ 1e400, -0, {"a": "}"} ]
}
`
const OTHER_PARTS = [
  '"https://index.docker.io/v1/": { "auth": "dTpw",  "email":"a@b.c" },\n',
  '"ghcr.io": {"auth": "dTpw"}, "ghcr.io": {"auth": "eDp5"},\n\t\t"__proto__": {"auth": "dTpw"}',
  OTHERS.slice(OTHERS.indexOf('\t"HttpHeaders"')),
]

/** A fresh docker config. */
export async function openDockerConfig(): Promise<SinkRig> {
  const folder = mkdtempSync(join(tmpdir(), "docker-config-"))
  const file = join(folder, "home", "config.json")
  const { clock, hold, letGo } = lockedWorld(file)
  const setup = { options: { path: file }, deps: { clock } }
  return {
    setup,
    stored: async (target) => loginIn(file, target.slot),
    snapshot: async () => snapshotOf(folder),
    seedNeighbours: async () => {
      mkdirSync(dirname(file))
      writeFileSync(file, OTHERS)
      writeFileSync(join(dirname(file), "beside.json"), "{}")
    },
    neighbours: async () => {
      const content = readFileSync(file, "utf8")
      const names = readdirSync(dirname(file)).sort()
      return { parts: OTHER_PARTS.map((part) => content.includes(part)), names }
    },
    unreachable: async () => {
      hold()
      return setup
    },
    refused: async () => {
      writeFileSync(join(folder, "broken.json"), `{"auths": {"a": {"auth": "c2VjcmV0"`)
      return { options: { path: join(folder, "broken.json") } }
    },
    breakDelivery: async () => {
      hold()
      return letGo
    },
    spoil: async (target) => {
      mkdirSync(dirname(file))
      writeFileSync(file, JSON.stringify({ credHelpers: { [target.slot]: "ecr-login" } }))
    },
    distort: async ({ slot }) =>
      writeFileSync(file, readFileSync(file, "utf8").replace(`"${slot}"`, `"https://${slot}"`)),
    secrets: ["c2VjcmV0"],
    close: async () => rmSync(folder, { recursive: true, force: true }),
  }
}
