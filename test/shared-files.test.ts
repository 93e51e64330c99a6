// No sink that writes a whole file does so where another target lies, by whatever name the two know it.
import { afterEach, expect, test } from "bun:test"
import * as fs from "node:fs"
import { dirname, join } from "node:path"
import dockerConfig from "../sinks/docker-config.ts"
import file from "../sinks/file.ts"
import { systemClock } from "../src/clock.ts"
import { ConfigError } from "../src/errors.ts"
import { refuseSharedFiles } from "../src/shared-files.ts"
import { fakeSink, ownIn, planOf, registryAt, START } from "./support/fakes.ts"
import { newFile, removeFiles } from "./support/files.ts"
import { makeSink } from "./support/sinks.ts"

afterEach(removeFiles)

const HOST = "012345678901.dkr.ecr.eu-west-1.amazonaws.com"
const OTHER = "999999999999.dkr.ecr.eu-west-1.amazonaws.com"
const docker = (path: string) => makeSink(dockerConfig, { path })
const login = (path: string) => makeSink(file, { path, adopt: "true" })

async function issuesOf(sinks: Parameters<typeof planOf>[0], registries = [registryAt(HOST)]) {
  try {
    await refuseSharedFiles(planOf(sinks, registries), systemClock)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.issues.map(({ path, message }) => `${path}: ${message}`)
  }
}

test("a login file that is also a config.json is refused, whichever is named first", async () => {
  const path = newFile("{}")
  expect(await issuesOf([docker(path), login(path)])).toEqual([
    `--sink file: ${path} auths["${HOST}"] and ${path} are in the same file, ${path}, which the sink file writes as a whole: give each a file of its own`,
  ])
  expect(await issuesOf([login(path), docker(path)], [ownIn("eu-west-1")])).toEqual([
    `--sink docker-config: ${path} and ${path} auths["ACCOUNT.dkr.ecr.eu-west-1.amazonaws.com"] are in the same file, ${path}, which the sink file writes as a whole: give each a file of its own`,
  ])
})

test("links are followed, to what is not there yet too", async () => {
  const path = newFile()
  const folder = dirname(path)
  fs.symlinkSync(path, join(folder, "link"))
  fs.symlinkSync(folder, join(folder, "folder"))
  expect(await issuesOf([login(path), login(join(folder, "link"))])).toEqual([
    `--sink file: ${path} and ${join(folder, "link")} are in the same file, ${path}, which the sink file writes as a whole: give each a file of its own`,
  ])
  expect(await issuesOf([docker(join(folder, "folder", "file.json")), login(path)])).toHaveLength(1)
})

test("two registries whose files are one are refused", async () => {
  const folder = dirname(newFile())
  fs.symlinkSync("012345678901", join(folder, "999999999999"))
  const both = [registryAt(HOST), registryAt(OTHER)]
  expect(await issuesOf([login(join(folder, "{account}"))], both)).toHaveLength(1)
})

test("a config.json is shared by many registries and sinks, and a file each is no fault", async () => {
  const path = newFile("{}")
  fs.symlinkSync(path, `${path}.link.json`)
  const both = [registryAt(HOST), registryAt(OTHER)]
  const others = [login(`${path}-{account}`), fakeSink("one", { now: () => START })]
  expect(await issuesOf([docker(path), docker(`${path}.link.json`), ...others], both)).toEqual([])
})

test("a file that cannot be looked at, or not in time, is left to its delivery", async () => {
  const path = newFile()
  fs.symlinkSync("loop.json", join(dirname(path), "loop.json"))
  const loop = join(dirname(path), "loop.json")
  expect(await issuesOf([docker(loop), login(loop)])).toEqual([])
  const hanging = { ...login(path), files: { whole: true, realPath: () => new Promise<string>(() => {}) } }
  await refuseSharedFiles(planOf([hanging, docker(path)], [registryAt(HOST)]), { sleep: async () => {} })
})
