// `ecrelay check` on the other sinks: programs and modules of the user's own, files, AWS's stores. Each fault is made,
// found with its fix, and gone after the fix.
import { afterAll, beforeAll, describe } from "bun:test"
import { chmod } from "node:fs/promises"
import { type Company, openCompany } from "./support/company.ts"
import { type Fault, proveEach, type Run, type Site } from "./support/doctor.ts"
import { LACKS } from "./support/files.ts"

let company: Company
beforeAll(async () => {
  company = await openCompany()
}, 60_000)
afterAll(() => company.stop())

/** A script at home, and a sink that runs it. */
async function script({ write, home }: Site, text: string, mode = 0o755, more = ""): Promise<Run> {
  await chmod(home, 0o755)
  const file = await write("push", text)
  await chmod(file, mode)
  return { argv: ["--sink", `exec,command=${file}${more}`] }
}

const ANSWERS = ",answers=check"
const GOOD = "#!/bin/sh\ncat > /dev/null; echo '{\"findings\": []}'\n"
const programs: readonly Fault[] = [
  {
    name: "a program that is not there",
    level: "error",
    code: "command-missing",
    says: "there is no such program",
    fix: "correct command=",
    fault: () => ({ argv: ["--sink", "exec,command=/nowhere/push"] }),
    mend: (site) => script(site, GOOD),
  },
  {
    name: "a program that may not be executed",
    level: "error",
    code: "command-not-executable",
    says: "this user may not execute it",
    fix: "`chmod +x` it",
    fault: (site) => script(site, GOOD, 0o644),
    mend: (site) => script(site, GOOD),
  },
  {
    name: "a program that anybody can change",
    level: "warning",
    code: "untrusted",
    says: "can be written by everybody (mode 0777)",
    fix: "`chmod go-w ",
    fault: (site) => script(site, GOOD, 0o777),
    mend: (site) => script(site, GOOD),
  },
  {
    name: "a program that fails when it is asked",
    level: "error",
    code: "command-failed",
    says: "exit code 1: no route",
    fix: "fix what it complains about",
    fault: (site) => script(site, "#!/bin/sh\ncat > /dev/null; echo no route >&2; exit 1\n", 0o755, ANSWERS),
    mend: (site) => script(site, GOOD, 0o755, ANSWERS),
  },
  {
    name: "a program that is killed",
    level: "error",
    code: "command-killed",
    says: "was ended by SIGKILL",
    fix: "find out what ended it",
    fault: (site) => script(site, "#!/bin/sh\nkill -9 $$\n", 0o755, ANSWERS),
    mend: (site) => script(site, GOOD, 0o755, ANSWERS),
  },
  {
    name: "a program that answers something else",
    level: "error",
    code: "answer-invalid",
    says: "answered",
    fix: "leave check out of answers= if it does not answer",
    fault: (site) => script(site, "#!/bin/sh\ncat > /dev/null; echo fine\n", 0o755, ANSWERS),
    mend: (site) => script(site, GOOD),
  },
]

const files: readonly Fault[] = [
  {
    name: "a file that everybody may read",
    level: "warning",
    code: "open-to-all",
    says: "mode 0644 lets everybody on this machine read the login",
    fix: "mode=0640 with owner=:GROUP",
    lack: LACKS.root,
    fault: ({ home }) => ({ argv: ["--sink", `file,path=${home}/login,mode=0644`] }),
    mend: ({ home }) => ({ argv: ["--sink", `file,path=${home}/login,mode=0640,owner=:root`] }),
  },
  {
    name: "an owner whom nobody knows",
    level: "error",
    code: "unknown-owner",
    says: "this machine knows no group nosuchgroup",
    fix: "correct owner=; `getent group` lists them",
    fault: ({ home }) => ({
      argv: ["--sink", `file,path=${home}/login,mode=0640,owner=:nosuchgroup`],
    }),
  },
]

const STORED = { value: btoa("AWS:x"), type: "SecureString" } as const
/** A parameter at the company's own Parameter Store. */
const stored = (more = ""): Run => ({
  env: { AWS_ENDPOINT_URL_SSM: company.ssm.url, AWS_MAX_ATTEMPTS: "1" },
  argv: ["--sink", `aws-ssm,name=/ecr${more}`],
})
const TAGGED = { ecrelay: "managed" }

const parameters: readonly Fault[] = [
  {
    name: "a parameter that ecrelay did not make",
    level: "error",
    code: "not-ours",
    says: "was not made by ecrelay",
    fix: "take it over with adopt=true",
    fault: () => {
      company.ssm.seed("/ecr", STORED)
      return stored()
    },
    mend: () => stored(",adopt=true"),
  },
  {
    name: "a parameter that may not be read",
    level: "warning",
    code: "unread",
    says: "may not be read, so every delivery writes it",
    fix: "allow ssm:GetParameters on it",
    fault: () => {
      allowed = company.ssm.refuse("ssm:GetParameters")
      return stored(",adopt=true")
    },
    mend: () => {
      allowed()
      return stored(",adopt=true")
    },
  },
  {
    name: "a parameter that AWS does not encrypt",
    level: "warning",
    code: "plaintext",
    says: "it is a String, which AWS does not encrypt",
    fix: "delete it, and the next delivery makes it a SecureString",
    fault: () => {
      company.ssm.seed("/ecr", { ...STORED, type: "String", tags: TAGGED })
      return stored()
    },
    mend: () => {
      company.ssm.parameters.delete("/ecr")
      return stored()
    },
  },
  {
    name: "a parameter that cannot be encrypted with the key that is asked for",
    level: "error",
    code: "not-encrypted",
    says: "is a String, which AWS does not encrypt with kms_key",
    fix: "delete it",
    fault: () => {
      company.ssm.seed("/ecr", { ...STORED, type: "String", tags: TAGGED })
      return stored(",kms_key=alias/ours")
    },
    mend: () => {
      company.ssm.parameters.delete("/ecr")
      return stored(",kms_key=alias/ours")
    },
  },
  {
    name: "a parameter that is nearly full",
    level: "warning",
    code: "nearly-full",
    says: "of the 4,096 characters that fit; a longer token would be refused",
    fix: "tier=Intelligent-Tiering",
    fault: () => {
      company.ssm.seed("/ecr", { ...STORED, value: "x".repeat(4000), tags: TAGGED })
      return stored()
    },
    mend: () => stored(",tier=Intelligent-Tiering"),
  },
  {
    name: "a Parameter Store that lets nobody in",
    level: "error",
    code: "access-denied",
    says: "ssm:GetParameters",
    fix: "ssm:GetParameters",
    fault: () => {
      allowed = company.ssm.refuse("ssm:GetParameters")
      return stored()
    },
    mend: () => {
      allowed()
      company.ssm.parameters.delete("/ecr")
      return stored()
    },
  },
]
let allowed = () => {}

const modules: readonly Fault[] = [
  {
    name: "a module that breaks the contract",
    level: "error",
    code: "module-fault",
    says: "check returned no list",
    fix: "`ecrelay sinks module --types` prints the contract",
    fault: (site) => moduleAnswering(site, "'fine'"),
    mend: (site) => moduleAnswering(site, "[]"),
  },
]

/** A sink of the user's own whose check answers this. */
async function moduleAnswering({ write, home }: Site, answer: string): Promise<Run> {
  await chmod(home, 0o755)
  const file = await write(
    "sink.mjs",
    `export default ({ defineSink, v }) => defineSink({
  type: "ours", summary: "ours", permissions: [], options: v.strictObject({}),
  create: () => ({
    type: "ours",
    targets: (registry) => [{ registry, slot: registry.host, name: registry.host }],
    deliver: async () => [],
    check: async () => ${answer},
  }),
})
`,
  )
  return { argv: ["--sink", `module,path=${file}`] }
}

describe("exec", () => proveEach(() => company, programs))
describe("file", () => proveEach(() => company, files))
describe("aws-ssm", () => proveEach(() => company, parameters))
describe("module", () => proveEach(() => company, modules))
