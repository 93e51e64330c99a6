// systemd's end of the notification socket: takes the messages and shows them as they came.
import { dlopen } from "bun:ffi"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const libc = dlopen("libc.so.6", {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  recv: { args: ["i32", "ptr", "usize", "i32"], returns: "i64" },
  close: { args: ["i32"], returns: "i32" },
}).symbols

const MSG_DONTWAIT = 0x40

export type NotifySocket = Disposable & {
  /** What NOTIFY_SOCKET is to hold. */
  readonly address: string
  /** All messages so far, each with a line per assignment. */
  messages(): readonly string[]
  /** Resolves with the messages as soon as one of them matches. Rejects after ten seconds. */
  until(pattern: RegExp): Promise<readonly string[]>
}

/** Listens on a path of its own, or on an abstract name. */
export function openNotifySocket({ abstract = false } = {}): NotifySocket {
  const folder = mkdtempSync(join(tmpdir(), "notify-"))
  const address = abstract ? `@${folder}` : join(folder, "notify")
  const socket = libc.socket(1, 2, 0)
  const name = Buffer.from(abstract ? `\0${folder}` : `${address}\0`)
  const sockaddr = Buffer.concat([Buffer.from([1, 0]), name])
  if (libc.bind(socket, sockaddr, sockaddr.length) !== 0) throw new Error(`cannot listen at ${address}`)
  const received: string[] = []
  const buffer = Buffer.alloc(65_536)
  const messages = () => {
    for (;;) {
      const length = Number(libc.recv(socket, buffer, buffer.length, MSG_DONTWAIT))
      if (length < 0) return received
      received.push(buffer.toString("utf8", 0, length))
    }
  }
  return {
    address,
    messages,
    async until(pattern) {
      const end = Date.now() + 10_000
      while (!messages().some((message) => pattern.test(message))) {
        if (Date.now() > end)
          throw new Error(`no message like ${pattern}; there are ${JSON.stringify(received)}`)
        await Bun.sleep(10)
      }
      return received
    },
    [Symbol.dispose]() {
      libc.close(socket)
      rmSync(folder, { recursive: true })
    },
  }
}
