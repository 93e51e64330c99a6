// Messages to systemd (sd_notify(3)): to the socket that it names in NOTIFY_SOCKET, or by its own program where the
// runtime cannot send a datagram. A message that cannot be sent is no reason to stop: that is said once, and no other is sent.
import type { Environment } from "./environment.ts"
import { openLibc } from "./libc.ts"

/** Sends assignments such as `READY=1`. Never throws. */
export type Notify = (assignments: Readonly<Record<string, string | number>>) => void

/** The way to systemd; undefined where the process was not started by it. `warn` is told once when it is closed. */
export async function openNotify(
  env: Environment,
  warn: (text: string) => void,
  open = openLibc,
): Promise<Notify | undefined> {
  const socket = env.NOTIFY_SOCKET
  if (!socket) return undefined
  const libc = await open().catch(() => undefined)
  let isOpen = true
  return (assignments) => {
    if (!isOpen) return
    const lines = Object.entries(assignments).map(([name, value]) => `${name}=${oneLine(value)}`)
    // Systemd 253 and later want to know when a reload began.
    if (libc && "RELOADING" in assignments) lines.push(`MONOTONIC_USEC=${libc.monotonicUsec()}`)
    const closed = (error: unknown) => {
      if (isOpen) warn(`cannot report the state to systemd: ${(error as Error).message}`)
      isOpen = false
    }
    try {
      if (libc) libc.sendDatagram(socket, lines.join("\n"))
      else void sendByProgram(lines, env).catch(closed)
    } catch (error) {
      closed(error)
    }
  }
}

// Each line of a message is an assignment of its own.
function oneLine(value: string | number): string {
  return String(value).replaceAll(/\s+/g, " ")
}

// Counts only where the unit says NotifyAccess=all: the program is not the service's main process.
async function sendByProgram(lines: readonly string[], env: Environment): Promise<void> {
  const { execFile } = await import("node:child_process")
  await new Promise<void>((resolve, reject) => {
    execFile("systemd-notify", ["--no-block", ...lines], { env: { ...env } }, (error) =>
      error ? reject(error) : resolve(),
    )
  })
}
