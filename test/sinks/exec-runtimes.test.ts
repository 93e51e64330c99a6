// The sink `exec` in the program: the same under the binary, Bun and Deno, whose ways to start and end a process differ.
import { describe, expect, test } from "bun:test"
import { existsSync } from "node:fs"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { awsForAll, standInEnvironment, temporaryFolder } from "../support/binary.ts"
import { RUNTIMES, runUnder } from "../support/runtimes.ts"

const COMMAND = `${process.execPath} ${Bun.fileURLToPath(import.meta.resolve("../support/exec-command.ts"))}`
const HOST = "012345678901.dkr.ecr.eu-west-1.amazonaws.com"

const aws = awsForAll()

describe.each([...RUNTIMES])("under %s", (_, command) => {
  const run = (argv: readonly string[]) => runUnder(command, argv, standInEnvironment(aws.url))

  test("a command is given the login, and asked what it holds", async () => {
    const folder = await temporaryFolder()
    await mkdir(join(folder, "logins"))
    const sink = `exec,command=${COMMAND} ${folder},answers=deliver read check`
    const delivered = expect.stringMatching(new RegExp(`^delivered {2}exec {2}\\S+ .* ${HOST} {2}until`))
    expect(await run(["--sink", sink])).toMatchObject({ out: delivered, error: "", code: 0 })
    const { username, password } = JSON.parse(await readFile(join(folder, "logins", `${HOST}.json`), "utf8"))
    expect([username, password.length > 2000]).toEqual(["AWS", true])
    expect(await run(["status", "--sink", sink])).toMatchObject({
      out: expect.stringMatching(/^fresh {2}exec/),
      code: 0,
    })
    await writeFile(join(folder, "broken"), "")
    const { out, code } = await run(["--sink", sink])
    expect({ out, code }).toMatchObject({
      out: expect.stringMatching(/^failed .*exit code 1: .*hint: /s),
      code: 1,
    })
    expect(out).not.toContain(password.slice(0, 40))
  }, 30_000)

  test("a command that hangs is ended with all that it started", async () => {
    const folder = await temporaryFolder()
    const script = join(folder, "hang")
    await writeFile(script, `#!/bin/sh\nsleep 600 & echo $! > ${folder}/pid\nwait\n`, { mode: 0o700 })
    const { out, code } = await run(["--sink", `exec,command=${script},timeout=2s`, "--timeout", "3s"])
    expect({ out, code }).toMatchObject({ out: expect.stringContaining("not done within 2 s"), code: 1 })
    const pid = (await readFile(join(folder, "pid"), "utf8")).trim()
    expect(pid).toMatch(/^\d+$/)
    while (existsSync(`/proc/${pid}`) && !/\) Z /.test(await readFile(`/proc/${pid}/stat`, "utf8")))
      await Bun.sleep(5)
  }, 30_000)

  test("a command that will not end is ended by a second SIGTERM", async () => {
    const folder = await temporaryFolder()
    const script = join(folder, "stubborn")
    await writeFile(
      script,
      `#!/bin/sh\ntrap 'echo > ${folder}/asked' TERM\nsleep 600 & echo $$ > ${folder}/pid\nwait\nsleep 600\n`,
      {
        mode: 0o700,
      },
    )
    const child = Bun.spawn([...(await command()), "--sink", `exec,command=${script}`], {
      env: { PATH: process.env.PATH, HOME: folder, ...standInEnvironment(aws.url) },
      stdout: "ignore",
      stderr: "ignore",
    })
    while (!existsSync(join(folder, "pid")) || !(await readFile(join(folder, "pid"), "utf8")))
      await Bun.sleep(5)
    const pid = (await readFile(join(folder, "pid"), "utf8")).trim()
    // What starts Deno is a program of its own, which passes no signal on.
    const [, , starter] = (await readFile(`/proc/${pid}/stat`, "utf8")).replace(/^.*\) /, "pid ").split(" ")
    process.kill(Number(starter), "SIGTERM")
    while (!existsSync(join(folder, "asked"))) await Bun.sleep(5)
    process.kill(Number(starter), "SIGTERM")
    expect(await child.exited).toBe(143)
    while (existsSync(`/proc/${pid}`) && !/\) Z /.test(await readFile(`/proc/${pid}/stat`, "utf8")))
      await Bun.sleep(5)
  }, 30_000)
})
