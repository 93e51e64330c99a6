// Messages to systemd, at a socket of the kind that it opens.
import { expect, test } from "bun:test"
import { existsSync } from "node:fs"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { openNotify } from "../src/notify.ts"
import { temporaryFolder } from "./support/binary.ts"
import { openNotifySocket } from "./support/notify-socket.ts"

const ROOT = join(import.meta.dir, "..")

/** Warnings, and the way to systemd for an environment. */
async function opened(env: Record<string, string>) {
  const warnings: string[] = []
  return { warnings, notify: await openNotify(env, (text) => void warnings.push(text)) }
}

test.each([{ abstract: false }, { abstract: true }])("a message arrives whole, %p", async (kind) => {
  using socket = openNotifySocket(kind)
  const { notify, warnings } = await opened({ NOTIFY_SOCKET: socket.address })
  notify?.({ READY: 1, STATUS: "2 targets fresh – next refresh 14:02" })
  expect(socket.messages()).toEqual(["READY=1\nSTATUS=2 targets fresh – next refresh 14:02"])
  expect(warnings).toEqual([])
})

test("a value stays on its line, so that no text becomes an assignment", async () => {
  using socket = openNotifySocket()
  const { notify } = await opened({ NOTIFY_SOCKET: socket.address })
  notify?.({ STATUS: "first\nSTOPPING=1" })
  expect(socket.messages()).toEqual(["STATUS=first STOPPING=1"])
})

test("a reload says when it began, by the clock of the whole machine", async () => {
  using socket = openNotifySocket()
  const { notify } = await opened({ NOTIFY_SOCKET: socket.address })
  notify?.({ RELOADING: 1 })
  const [, usec] = /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(socket.messages()[0] ?? "") ?? []
  const uptime = Number((await Bun.file("/proc/uptime").text()).split(" ")[0])
  // The uptime includes suspend, the monotonic clock does not.
  expect(Number(usec) / 1e6).toBeGreaterThan(0)
  expect(Number(usec) / 1e6).toBeLessThanOrEqual(uptime + 1)
})

test("without systemd there is nobody to tell", async () => {
  expect((await opened({})).notify).toBeUndefined()
  expect((await opened({ NOTIFY_SOCKET: "" })).notify).toBeUndefined()
})

test("a socket that takes nothing is said once", async () => {
  const { notify, warnings } = await opened({ NOTIFY_SOCKET: "/nowhere/notify" })
  notify?.({ READY: 1 })
  notify?.({ WATCHDOG: 1 })
  expect(warnings).toEqual([
    "cannot report the state to systemd: /nowhere/notify does not accept the message",
  ])
})

test("where no datagram can be sent, systemd's own program is asked", async () => {
  const folder = await temporaryFolder()
  const said = join(folder, "said")
  const program = `#!/bin/sh\nprintf '%s\\n' "$@" > ${said}.new && mv ${said}.new ${said}\n`
  await writeFile(join(folder, "systemd-notify"), program, { mode: 0o755 })
  const env = { NOTIFY_SOCKET: "/run/notify", PATH: `${folder}:${process.env.PATH}` }
  const none = () => Promise.reject(new Error("no foreign functions here"))
  const notify = await openNotify(env, () => undefined, none)
  notify?.({ READY: 1, STATUS: "1 target fresh" })
  while (!existsSync(said)) await Bun.sleep(10)
  expect(await readFile(said, "utf8")).toBe("--no-block\nREADY=1\nSTATUS=1 target fresh\n")
})

test("Deno sends the same where it may", async () => {
  using socket = openNotifySocket()
  const program = `import { openNotify } from "${ROOT}/src/notify.ts"
    const notify = await openNotify({ NOTIFY_SOCKET: "${socket.address}" }, console.error)
    notify({ READY: 1 })`
  const deno = join(ROOT, "node_modules/.bin/deno")
  const child = Bun.spawnSync([deno, "run", "--quiet", "--no-prompt", "--allow-ffi", "-"], {
    cwd: ROOT,
    stdin: new TextEncoder().encode(program),
  })
  expect([child.stderr.toString(), socket.messages()]).toEqual(["", ["READY=1"]])
})
