// The doctor put to the proof: a fault is made, `ecrelay check` finds it and says the fix, the fix is done in its words,
// and the finding is gone; and whatever was looked at is as it was. With the compiled binary, in a world that is well
// but for the fault.
import { expect } from "bun:test"
import { createHash } from "node:crypto"
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import type { Finding } from "../../src/sink.ts"
import { binary, standInEnvironment, temporaryFolder } from "./binary.ts"
import type { Company } from "./company.ts"
import { testUnless } from "./files.ts"

/** One person of the company, with a home of their own. */
export type Site = {
  readonly company: Company
  readonly home: string
  /** Writes a file at home and returns its path. */
  write(name: string, content: string | Uint8Array): Promise<string>
}

/** How `check` is run: with what beside the company's own variables, and within what. */
export type Run = {
  readonly env?: Readonly<Record<string, string>>
  /** The sinks and flags; docker's config at home where nothing is said. */
  readonly argv?: readonly string[]
  /** A command to run it by. */
  readonly within?: readonly string[]
}

/** A fault as the doctor knows it. */
export type Fault = {
  readonly name: string
  readonly level: "error" | "warning"
  readonly code: string
  /** Words of the finding, and of its fix. */
  readonly says: string
  readonly fix: string
  /** Makes it. */
  readonly fault: (site: Site) => Run | Promise<Run>
  /** Does what the fix says; without it, the variables and flags of the fault are what is taken back. */
  readonly mend?: (site: Site) => Run | Promise<Run>
  /** What may not change by looking, beside the home. */
  readonly state?: (site: Site) => unknown
  /** Why it cannot be tried here. */
  readonly lack?: string | undefined
}

/** A test for each fault. */
export function proveEach(company: () => Company, faults: readonly Fault[]): void {
  for (const fault of faults)
    testUnless(fault.lack, `finds ${fault.name}, until it is mended`, () => prove(company(), fault))
}

async function prove(company: Company, { fault, mend = () => ({}), level, code, says, fix, state }: Fault) {
  const site = await openSite(company)
  const made = await look(site, await fault(site), state)
  const finding = made.findings.find((one) => one.code === code) ?? made
  expect(finding).toMatchObject({
    level,
    message: expect.stringContaining(says),
    fix: expect.stringContaining(fix),
  })
  expect(made.code).toBe(level === "error" ? 1 : 0)
  const mended = await look(site, await mend(site), state)
  expect(mended.findings.filter((one) => one.level !== "ok")).toEqual([])
  expect(mended.code).toBe(0)
}

/** A new home. */
export async function openSite(company: Company): Promise<Site> {
  const home = await temporaryFolder()
  await writeFile(join(home, "ca.pem"), company.authority.certificate)
  return {
    company,
    home,
    async write(name, content) {
      const path = join(home, name)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, content)
      return path
    },
  }
}

/** Runs `check`, and sees that nothing at home has changed by it. */
export async function look(site: Site, run: Run, state: Fault["state"] = () => undefined) {
  const before = [await snapshot(site.home), await state(site)]
  const { out, error, code } = await ecrelayAt(site, ["check", "--output", "json"], run)
  expect([await snapshot(site.home), await state(site)]).toEqual(before)
  expect(error).toBe("")
  const findings: readonly Finding[] = JSON.parse(out).findings
  return { code, findings }
}

/** Runs the binary as this person. */
export async function ecrelayAt(
  { company, home }: Site,
  command: readonly string[],
  { env = {}, argv = ["--sink", "docker-config"], within = [] }: Run,
) {
  const child = Bun.spawn([...within, await binary(), ...command, ...argv], {
    env: {
      PATH: process.env.PATH,
      HOME: home,
      AWS_EC2_METADATA_DISABLED: "true",
      ...standInEnvironment(company.awsUrl()),
      AWS_CA_BUNDLE: join(home, "ca.pem"),
      HTTPS_PROXY: company.proxy,
      ...env,
    },
    cwd: home,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  })
  const [out, error] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  return { out, error, code: await child.exited }
}

// Every file and folder with its content, its rights and when it was written.
async function snapshot(folder: string): Promise<readonly unknown[]> {
  const names = (await readdir(folder, { recursive: true })).sort()
  return Promise.all(
    names.map(async (name) => {
      const path = join(folder, name)
      const { mode, mtimeMs, uid } = await stat(path)
      const content = (await stat(path)).isFile() ? await readFile(path) : ""
      return [name, mode, uid, mtimeMs, createHash("sha256").update(content).digest("hex")]
    }),
  )
}
