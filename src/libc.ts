// What no runtime offers and the C library does: a datagram to a unix socket, as systemd wants to be told things, and
// the monotonic clock that the whole machine shares. The only file that speaks to Bun or Deno themselves; without
// their foreign function interface (Deno: --allow-ffi) it cannot be opened. Linux only.

/** The two calls. */
export type Libc = {
  /** Sends text to a unix datagram socket: a path, or a name behind `@`. Throws an Error where nobody takes it. */
  sendDatagram(address: string, text: string): void
  /** Microseconds of CLOCK_MONOTONIC. */
  monotonicUsec(): bigint
}

type Native = {
  socket(domain: number, type: number, protocol: number): number
  sendto(
    socket: number,
    text: Uint8Array,
    length: number,
    flags: number,
    address: Uint8Array,
    size: number,
  ): number | bigint
  close(socket: number): number
  clock_gettime(clock: number, timespec: Uint8Array): number
}

// Their parameters and results, in words that Deno takes as they are.
const FUNCTIONS = {
  socket: [["i32", "i32", "i32"], "i32"],
  sendto: [["i32", "buffer", "usize", "i32", "buffer", "u32"], "i64"],
  close: [["i32"], "i32"],
  clock_gettime: [["i32", "buffer"], "i32"],
} as const

// Of glibc; musl takes it for itself too.
const NAME = "libc.so.6"

const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const MSG_NOSIGNAL = 0x4000
const CLOCK_MONOTONIC = 1

/** Opens the C library. Rejects with an Error where the runtime has no way to it. */
export async function openLibc(): Promise<Libc> {
  const native = await loadNative()
  return {
    sendDatagram(address, text) {
      const socket = native.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
      if (socket < 0) throw new Error("cannot create a unix socket")
      try {
        const bytes = new TextEncoder().encode(text)
        const name = socketName(address)
        const sent = native.sendto(socket, bytes, bytes.length, MSG_NOSIGNAL, name, name.length)
        if (Number(sent) !== bytes.length) throw new Error(`${address} does not accept the message`)
      } finally {
        native.close(socket)
      }
    },
    monotonicUsec() {
      const timespec = new DataView(new ArrayBuffer(16))
      native.clock_gettime(CLOCK_MONOTONIC, new Uint8Array(timespec.buffer))
      return timespec.getBigInt64(0, true) * 1_000_000n + timespec.getBigInt64(8, true) / 1000n
    },
  }
}

// struct sockaddr_un: the family, then the path with its closing zero, or a zero and the abstract name.
function socketName(address: string): Uint8Array {
  const abstract = address.startsWith("@")
  const name = new TextEncoder().encode(abstract ? `\0${address.slice(1)}` : `${address}\0`)
  return new Uint8Array([AF_UNIX, 0, ...name])
}

type DenoRuntime = { dlopen(name: string, functions: object): { readonly symbols: Native } }
type BunFfi = DenoRuntime

async function loadNative(): Promise<Native> {
  const { Deno } = globalThis as { Deno?: DenoRuntime }
  // In a variable: Deno would otherwise look for the module when it checks the types.
  const bunFfi = "bun:ffi"
  if (Deno) return Deno.dlopen(NAME, functionsAs("parameters", "result", {})).symbols
  const { dlopen }: BunFfi = await import(bunFfi)
  return dlopen(NAME, functionsAs("args", "returns", { buffer: "ptr" })).symbols
}

function functionsAs(takes: string, gives: string, words: Readonly<Record<string, string>>): object {
  return Object.fromEntries(
    Object.entries(FUNCTIONS).map(([name, [parameters, result]]) => [
      name,
      { [takes]: parameters.map((one) => words[one] ?? one), [gives]: result },
    ]),
  )
}
