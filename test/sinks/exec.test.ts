// The sink contract for commands: one that answers all that can be answered, and one that has only its exit code.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import kind from "../../sinks/exec.ts"
import { snapshotOf } from "../support/docker-file.ts"
import { readsNothing } from "../support/sink-promises.ts"
import { type SinkRig, testSink } from "../support/sink-suite.ts"

const file = import.meta.resolve("../../sinks/exec.ts")
const COMMAND = [process.execPath, Bun.fileURLToPath(import.meta.resolve("../support/exec-command.ts"))]

/** A folder in which the command keeps logins. */
function opened(answers: readonly string[], ...ways: readonly string[]): () => Promise<SinkRig> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "exec-"))
    const logins = join(folder, "logins")
    mkdirSync(logins)
    const loginFile = (host: string) => join(logins, `${host}.json`)
    const optionsFor = (...more: readonly string[]) => ({
      command: [...COMMAND, folder, ...ways, ...more],
      ...(answers.length > 0 ? { answers } : {}),
    })
    const beside = ["beside.json", "123456789012.dkr.ecr.eu-central-1.amazonaws.com.json.old"]
    return {
      setup: { options: optionsFor() },
      stored: async ({ slot }) => {
        const text = await Bun.file(loginFile(slot))
          .text()
          .catch(() => "")
        if (text === "" || text.includes("theirs")) return undefined
        const { host, username, password } = JSON.parse(text)
        return { host, userName: username, password }
      },
      snapshot: async () => snapshotOf(folder),
      seedNeighbours: async () => {
        for (const name of beside) writeFileSync(join(logins, name), "{}")
      },
      neighbours: async () => beside.map((name) => readFileSync(join(logins, name), "utf8")),
      unreachable: async () => ({ options: optionsFor("unreachable") }),
      refused: async () => ({ options: optionsFor("refused") }),
      breakDelivery: async () => {
        writeFileSync(join(folder, "broken"), "")
        return async () => rmSync(join(folder, "broken"))
      },
      spoil: async ({ slot }) => writeFileSync(loginFile(slot), JSON.stringify({ username: "theirs" })),
      distort: async ({ slot }) => {
        const login = JSON.parse(readFileSync(loginFile(slot), "utf8"))
        writeFileSync(loginFile(slot), JSON.stringify({ ...login, host: `https://${slot}` }))
      },
      close: async () => rmSync(folder, { recursive: true, force: true }),
    }
  }
}

const NO_SERVER = {
  "ends with the signal's reason when that is aborted while the place keeps silent":
    "a command is no server; one that hangs is stopped in its midst in test/sinks/exec-command.test.ts",
} as const

testSink({
  kind,
  file,
  place: "a command that answers everything",
  open: opened(["deliver", "read", "check"]),
  cannot: NO_SERVER,
})

const ONLY_EXIT_CODE = "a command without answers= has its exit code and nothing else to say what it holds"

testSink({
  kind,
  file,
  place: "a command with an exit code only",
  open: opened([], "plain"),
  cannot: {
    ...NO_SERVER,
    "does not replace a newer credential with an older one": ONLY_EXIT_CODE,
    "changes nothing when the same is delivered twice": ONLY_EXIT_CODE,
    "delivers to 500 registries at once": `${ONLY_EXIT_CODE}, so the second time is no \`unchanged\``,
    "fails one slot alone where only that one cannot be written": ONLY_EXIT_CODE,
    ...readsNothing(ONLY_EXIT_CODE),
    "finds that all is well, and otherwise what is wrong and what to do": `${ONLY_EXIT_CODE}, and it is asked for deliveries alone`,
    "finds in a check what a delivery would refuse": `${ONLY_EXIT_CODE}, and it is asked for deliveries alone`,
  },
})
