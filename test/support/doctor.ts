// The doctor put to the proof: a fault is made, `ecrelay check` finds it and says the fix, the fix is done in its words,
// and the finding is gone; and whatever was looked at is as it was. With the compiled binary, in a world that is well
// but for the fault.
import { expect } from "bun:test"
import { createHash } from "node:crypto"
import { lstat, mkdir, readdir, readFile, readlink, writeFile } from "node:fs/promises"
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
  readonly env?: Readonly<Record<string, string | undefined>>
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
  readonly mend?: (site: Site, finding: Finding) => Run | Promise<Run>
  /** What may not change by looking, beside the home. */
  readonly state?: (site: Site) => unknown
  /** Why it cannot be tried here. */
  readonly lack?: string | undefined
  readonly close?: () => unknown
}

/** A test for each fault. */
export function proveEach(company: () => Company, faults: readonly Fault[]): void {
  for (const fault of faults)
    testUnless(fault.lack, `finds ${fault.name}, until it is mended`, () => prove(company(), fault))
}

async function prove(
  company: Company,
  { fault, mend = () => ({}), level, code, says, fix, state, close }: Fault,
) {
  company.reset()
  const site = await openSite(company)
  try {
    const made = await look(site, await fault(site), state)
    const wrong = made.findings.filter((one) => one.level !== "ok")
    const finding = wrong.find((one) => one.code === code)
    // A copy: bun's toMatchObject leaves its matchers in what it has compared.
    expect(structuredClone(finding ?? made)).toMatchObject({
      level,
      message: expect.stringContaining(says),
      fix: expect.stringContaining(fix),
    })
    // Said once, and nothing beside it that would lead astray.
    expect(wrong.map((one) => one.code)).toEqual([code])
    expect(made.code).toBe(level === "error" ? 1 : 0)
    const mended = await look(site, await mend(site, finding as Finding), state)
    expect(mended.findings.filter((one) => one.level !== "ok")).toEqual([])
    expect(mended.code).toBe(0)
  } finally {
    await close?.()
  }
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

/** Every file, folder and link below a folder with its content, its rights and when it was written. */
export async function snapshot(folder: string): Promise<readonly unknown[]> {
  const entries = (await readdir(folder, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1))
  const shots = entries.map(async (entry) => {
    const path = join(folder, entry.name)
    const { mode, uid, mtimeMs } = await lstat(path)
    const within = entry.isDirectory()
      ? await snapshot(path)
      : entry.isSymbolicLink()
        ? await readlink(path)
        : createHash("sha256")
            .update(await readFile(path))
            .digest("hex")
    return [entry.name, mode, uid, mtimeMs, within]
  })
  return Promise.all(shots)
}
