// Binaries for other machines than this one: run by an emulator or loader that `bun run test` provides. What each carries
// for its machine alone is what may be wrong: SQLite's native part, and the way to the C library by which systemd is told.
import { afterAll, beforeAll, expect, test } from "bun:test"
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { type StandIn, startAws } from "../scripts/aws.ts"
import { build } from "../scripts/build.ts"
import { openAirflow } from "./support/airflow-db.ts"
import { fernetKey } from "./support/airflow-rows.ts"
import { standInEnvironment, temporaryFolder } from "./support/binary.ts"
import { openNotifySocket } from "./support/notify-socket.ts"
import { describeWithService } from "./support/services.ts"

const PREBUILDS = fileURLToPath(new URL("../prebuilds/", import.meta.resolve("better-sqlite3")))

for (const { target, runner, nativePart } of [
  { target: "linux-arm64", runner: "arm64", nativePart: "linux-arm64.node" },
  { target: "linux-x64-musl", runner: "musl", nativePart: "linuxmusl-x64.node" },
] as const)
  describeWithService(runner, `the binary for ${target}`, ({ command }) => {
    let aws: StandIn
    let home: string
    const start = (argv: readonly string[], env: Record<string, string> = {}) =>
      Bun.spawn([command, join(home, "ecrelay"), ...argv], {
        env: { HOME: home, TMPDIR: home, ...standInEnvironment(aws.url), ...env },
        stdout: "pipe",
        stderr: "pipe",
      })

    beforeAll(async () => {
      aws = startAws()
      home = await temporaryFolder()
      await build(target, join(home, "ecrelay"))
    }, 120_000)
    afterAll(() => aws.stop())

    test("delivers to docker's config and to Airflow's database, by the SQLite of its machine, and reads both", async () => {
      await using airflow = await openAirflow("sqlite")
      const sinks = ["--sink", "docker-config", "--sink", `airflow-db,url=${airflow.url},conn_id=ecr`]
      const run = async (command: string) => {
        const child = start([command, ...sinks], { AIRFLOW__CORE__FERNET_KEY: fernetKey })
        const [out, error] = await Promise.all([
          new Response(child.stdout).text(),
          new Response(child.stderr).text(),
        ])
        return { words: out.match(/^\w+/gm), error, code: await child.exited }
      }
      expect(await run("refresh")).toEqual({ words: ["delivered", "delivered"], error: "", code: 0 })
      expect(await run("status")).toEqual({ words: ["fresh", "fresh"], error: "", code: 0 })
      expect(await airflow.login("ecr")).toMatchObject({ userName: "AWS" })
      // Unpacked to be loaded. Another machine's would not do, and the runtime's own SQLite step in unseen.
      const unpacked = (await readdir(home)).filter((name) => name.endsWith(".node"))
      const parts = unpacked.map((name) => readFile(join(home, name)))
      expect(await Promise.all(parts)).toEqual([await readFile(PREBUILDS + nativePart)])
    }, 60_000)

    test("tells systemd that it is ready, and ends well", async () => {
      using socket = openNotifySocket()
      const service = start(["run", "--sink", "docker-config"], { NOTIFY_SOCKET: socket.address })
      await socket.until(/^READY=1$/)
      service.kill("SIGTERM")
      expect(await service.exited).toBe(0)
    }, 60_000)
  })
