// The sink `file` in the program, under the binary, Bun and Deno: what a person sees, and what other programs then read.
import { describe, expect, test } from "bun:test"
import { chmod, chown, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { awsForAll, binary, standInEnvironment, temporaryFolder } from "../support/binary.ts"
import { LACKS, POWERLESS, testUnless } from "../support/files.ts"
import { RUNTIMES, runUnder } from "../support/runtimes.ts"

const HOST = "012345678901.dkr.ecr.eu-west-1.amazonaws.com"
const UNTIL = "until .* UTC \\(11h 59m\\)\\n$"

const aws = awsForAll()

const modeOf = async (path: string) => ((await stat(path)).mode & 0o7777).toString(8)

describe.each([...RUNTIMES])("under %s", (_, command) => {
  const run = (argv: readonly string[]) => runUnder(command, argv, standInEnvironment(aws.url))

  test("a login is written, read and left as it is", async () => {
    const folder = await temporaryFolder()
    const file = join(folder, "012345678901", "eu-west-1")
    const group = Bun.spawnSync(["id", "-gn"]).stdout.toString().trim()
    const sink = `file,path=${folder}/{account}/{region},mode=0640,owner=:${group}`
    expect(await run(["--sink", sink])).toMatchObject({
      out: expect.stringMatching(new RegExp(`^delivered {2}file {2}${file} {2}${UNTIL}`)),
      error: "",
      code: 0,
    })
    expect(await readFile(file, "utf8")).toMatch(/^[A-Za-z0-9+/=]{2000,}$/)
    expect([await modeOf(file), await modeOf(join(folder, "012345678901"))]).toEqual(["640", "711"])
    expect(await run(["status", "--sink", sink])).toMatchObject({
      out: expect.stringMatching(new RegExp(`^fresh {2}file {2}${file}`)),
      code: 0,
    })
    const before = await stat(file)
    const again = await run(["--sink", sink, "--min-remaining", "4h"])
    expect(again).toMatchObject({ out: expect.stringMatching(/^skipped {2}file/), code: 0 })
    expect((await stat(file)).ino).toBe(before.ino)
  }, 30_000)

  test("a text of one's own may hold a comma", async () => {
    const file = join(await temporaryFolder(), "login.csv")
    const sink = `file,path=${file},"template={host},{username},{password}"`
    expect(await run(["--sink", sink])).toMatchObject({ error: "", code: 0 })
    expect(await readFile(file, "utf8")).toMatch(new RegExp(`^${HOST},AWS,[A-Za-z0-9+/=]{2000,}$`))
  }, 30_000)

  test("one file for two registries is refused before anything is written", async () => {
    const folder = await temporaryFolder()
    const file = join(folder, "ecr")
    const regions = ["--region", "eu-west-1", "--region", "us-east-1"]
    const { error, code } = await run([...regions, "--sink", `file,path=${folder}/./ecr`])
    expect({ error, code }).toMatchObject({
      error: expect.stringContaining("put {account} or {region}"),
      code: 2,
    })
    expect(error).toContain(`${file} would be written for`)
    const twice = await run(["--sink", `file,path=${file}`, "--sink", `file,path=${file},format=json`])
    expect(twice).toMatchObject({ error: expect.stringContaining("would be written twice"), code: 2 })
    expect(await Bun.file(file).exists()).toBe(false)
  }, 30_000)

  test("somebody else's file stays, and the report tells the way out and no secret", async () => {
    const file = join(await temporaryFolder(), ".netrc")
    const theirs = "machine git.example.com login eva password c2VjcmV0\n"
    await writeFile(file, theirs)
    const { out, error, code } = await run(["--sink", `file,path=${file},format=netrc`])
    expect({ out, code }).toMatchObject({
      out: expect.stringMatching(/^failed .*holds something other than one ECR login.*hint: .*adopt=true/s),
      code: 1,
    })
    expect(out + error).not.toContain("c2VjcmV0")
    expect(await readFile(file, "utf8")).toBe(theirs)
  }, 30_000)
})

/** The binary as root without root's powers, or as whoever runs the tests. */
const runPowerless = (argv: readonly string[]) =>
  runUnder(async () => [...POWERLESS, await binary()], argv, standInEnvironment(aws.url))

testUnless(
  LACKS.powerless,
  "who may not give a file away is told who may, and nothing is left behind",
  async () => {
    const folder = join(await temporaryFolder(), "home")
    await mkdir(folder)
    const { out, code } = await runPowerless(["--sink", `file,path=${folder}/ecr,owner=12345`])
    expect({ out, code }).toMatchObject({
      out: expect.stringMatching(/^failed .*may not give it to the owner.*hint: run as root; or/s),
      code: 1,
    })
    expect(await readdir(folder)).toEqual([])
  },
)

testUnless(LACKS.powerless, "a file that its mode makes read-only is replaced by its owner", async () => {
  const file = join(await temporaryFolder(), "ecr")
  const passwords = new Set<string>()
  for (let count = 0; count < 2; count++) {
    expect(await runPowerless(["--sink", `file,path=${file},mode=0400`])).toMatchObject({ code: 0 })
    passwords.add(await readFile(file, "utf8"))
  }
  expect([await modeOf(file), passwords.size]).toEqual(["400", 2])
})

testUnless(
  LACKS.root ?? LACKS.powerless,
  "in place, somebody else's file gets no login by its old mode",
  async () => {
    const file = join(await temporaryFolder(), "ecr")
    await writeFile(file, "")
    await chmod(file, 0o666)
    await chown(file, 12345, 12345)
    const refused = await runPowerless(["--sink", `file,path=${file},in_place=true`])
    expect(refused).toMatchObject({ out: expect.stringContaining("its mode cannot be made 0600"), code: 1 })
    expect(await readFile(file, "utf8")).toBe("")
    const argv = ["--sink", `file,path=${file},in_place=true,mode=0666`]
    expect(await runPowerless(argv)).toMatchObject({ code: 0 })
    expect((await readFile(file, "utf8")).length).toBeGreaterThan(2000)
  },
)
