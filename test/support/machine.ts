// A whole machine under a systemd of its own, with our package installed on it; loopback is shared with the test.
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import { type BootedMachine, bootMachine } from "../../scripts/services/systemd.ts"

type Said = { readonly out: string; readonly code: number }

/** A booted machine. Paths are those that it sees. */
export type Machine = AsyncDisposable & {
  /** Runs a program there as root; what it printed on both streams, and its exit code. */
  run(command: string | readonly string[]): Promise<Said>
  /** Runs it again and again until its output matches; rejects with the last output after `seconds`. */
  until(command: string, pattern: RegExp, seconds?: number): Promise<string>
  read(path: string): Promise<string>
  write(path: string, text: string): Promise<void>
  /** Puts a file of this machine there. */
  copy(from: string, to: string): Promise<void>
  /** Cuts the power and boots again. */
  powerCycle(): Promise<void>
}

/** Boots a copy of the machine that the run provides. */
export async function bootCopy({
  root: origin,
  nspawn,
}: {
  readonly root: string
  readonly nspawn: string
}): Promise<Machine> {
  const folder = await mkdtemp(join(tmpdir(), "machine-"))
  const root = join(folder, basename(origin))
  Bun.spawnSync(["cp", "--archive", origin, root])
  let booted: BootedMachine = await bootMachine(root, nspawn)
  const run: Machine["run"] = async (command) => {
    const words = typeof command === "string" ? ["sh", "-c", command] : command
    const child = Bun.spawn(["nsenter", "-t", String(booted.leader), "-a", ...words], {
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", TERM: "dumb" },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    })
    const said = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
    return { out: said.join(""), code: await child.exited }
  }
  return {
    run,
    async until(command, pattern, seconds = 20) {
      const end = Date.now() + seconds * 1000
      for (;;) {
        const { out } = await run(command)
        if (pattern.test(out)) return out
        if (Date.now() > end) throw new Error(`${command} never said ${pattern}, but:\n${out}`)
        await Bun.sleep(100)
      }
    },
    read: (path) => readFile(join(root, path), "utf8"),
    async write(path, text) {
      await mkdir(dirname(join(root, path)), { recursive: true })
      await writeFile(join(root, path), text)
    },
    copy: (from, to) => cp(from, join(root, to)),
    async powerCycle() {
      await booted.halt()
      booted = await bootMachine(root, nspawn)
    },
    async [Symbol.asyncDispose]() {
      await booted.halt()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
