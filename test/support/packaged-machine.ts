// A booted machine with our .deb on it and AWS's stand-in within reach: what tests of the system's own service begin with.
import { expect } from "bun:test"
import { type StandIn, startAws } from "../../scripts/aws.ts"
import { packageDebian } from "../../scripts/package.ts"
import { binary, OFFLINE, standInEnvironment, temporaryFolder } from "./binary.ts"
import { bootCopy, type Machine } from "./machine.ts"

/** The registry that the three lines of `CONFIG` keep fresh. */
export const HOST = "012345678901.dkr.ecr.eu-west-1.amazonaws.com"

/** A person's three lines, and one more. */
export const CONFIG = '[[registry]]\nregion = "eu-west-1"\n[[sink]]\ntype = "docker-config"\n'

/** The machine and what is asked of it again and again. */
export type PackagedMachine = AsyncDisposable & {
  readonly aws: StandIn
  readonly machine: Machine
  /** The lines of `/etc/ecrelay/environment`. */
  environment(): string
  /** The package on the machine, the person's lines and their keys. */
  installed(config?: string): Promise<void>
  /** The registries of root's docker config. */
  hosts(): Promise<readonly string[]>
  /** Properties of the service, sorted. */
  show(...properties: readonly string[]): Promise<readonly string[]>
  /** Takes away what a test has left. */
  clear(): Promise<void>
}

/** Boots a copy of the machine that the run provides, with the package beside it. */
export async function bootPackaged(facts: Parameters<typeof bootCopy>[0]): Promise<PackagedMachine> {
  const aws = startAws()
  const target = process.arch === "arm64" ? "linux-arm64" : "linux-x64"
  const folder = await temporaryFolder()
  const deb = await packageDebian({ binary: await binary(), version: "0.1.0", target, folder, effort: 0 })
  const machine = await bootCopy(facts)
  await machine.copy(deb, "/root/ecrelay.deb")
  const environment = () =>
    Object.entries({ ...standInEnvironment(aws.url), ...OFFLINE })
      .map(([name, value]) => `${name}=${value}\n`)
      .join("")
  return {
    aws,
    machine,
    environment,
    async installed(config = CONFIG) {
      await machine.write("/etc/ecrelay/environment", environment())
      expect(await machine.run("dpkg -i --force-confold /root/ecrelay.deb")).toMatchObject({ code: 0 })
      await machine.write("/etc/ecrelay/config.toml", config)
    },
    async hosts() {
      return Object.keys(JSON.parse(await machine.read("/root/.docker/config.json")).auths)
    },
    async show(...properties) {
      const { out } = await machine.run(`systemctl show ecrelay.service --property=${properties.join(",")}`)
      return out.trim().split("\n").sort()
    },
    async clear() {
      await machine.run(
        "systemctl stop ecrelay.service; systemctl reset-failed; rm -rf /root/.docker /etc/systemd/system/ecrelay*",
      )
    },
    async [Symbol.asyncDispose]() {
      await machine[Symbol.asyncDispose]()
      await aws.stop()
    },
  }
}
