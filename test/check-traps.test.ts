// `ecrelay check` on docker's config: what makes a good login useless there, or keeps it out. Each is made, found with its
// fix, and gone after the fix.
import { afterAll, beforeAll, describe } from "bun:test"
import { chmod, mkdir, rm, symlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { type Company, HOST, openCompany } from "./support/company.ts"
import { ecrelayAt, type Fault, proveEach, type Run, type Site } from "./support/doctor.ts"
import { LACKS, POWERLESS, UNSHARE } from "./support/files.ts"

let company: Company
beforeAll(async () => {
  company = await openCompany()
}, 60_000)
afterAll(() => company.stop())

const CONFIG = ".docker/config.json"
const NOTHING: Run = {}

/** Docker's config holds this now. */
async function configured(site: Site, content: object, run = NOTHING): Promise<Run> {
  await site.write(CONFIG, JSON.stringify(content))
  return run
}

const helpers: readonly Fault[] = [
  {
    name: "a credsStore that hides the login",
    level: "error",
    code: "shadowed",
    says: "credsStore in the same file would hide the login from docker",
    fix: "remove credsStore from /",
    fault: (site) => configured(site, { credsStore: "desktop", auths: {} }),
    mend: (site) => configured(site, { auths: {} }),
  },
  {
    name: "a credHelpers entry that hides the login",
    level: "error",
    code: "shadowed",
    says: `credHelpers["${HOST}"] in the same file would hide the login`,
    fix: "or choose another file with path=",
    fault: (site) => configured(site, { credHelpers: { [HOST]: "ecr-login" } }),
    mend: ({ home }) => ({ argv: ["--sink", `docker-config,path=${home}/other`] }),
  },
  {
    name: "a helper that was allowed to hide it",
    level: "warning",
    code: "shadowed",
    says: "credsStore in the same file would hide the login",
    fix: "remove credsStore",
    fault: (site) => configured(site, { credsStore: "desktop" }, ALLOWED),
    mend: (site) => configured(site, {}, ALLOWED),
  },
  {
    name: "a stale https:// twin",
    level: "warning",
    code: "stale-twin",
    says: `the same registry is also there as "https://${HOST}", which some clients look at first`,
    fix: "`ecrelay refresh` removes it",
    fault: (site) => configured(site, { auths: { [`https://${HOST}`]: { auth: btoa("AWS:old") } } }),
    mend: async (site) => {
      await ecrelayAt(site, ["refresh"], {})
      return {}
    },
  },
  {
    name: "DOCKER_AUTH_CONFIG, which docker takes first",
    level: "warning",
    code: "docker-auth-config",
    says: "docker takes its logins before those of any file",
    fix: "unset it for whoever pulls",
    fault: () => ({ env: { DOCKER_AUTH_CONFIG: "{}" } }),
  },
  {
    name: "a config that cannot be understood",
    level: "error",
    code: "invalid-config",
    says: "is not valid JSON",
    fix: "correct it by hand, or move it away",
    fault: async (site) => {
      await site.write(CONFIG, "{'auths': {}}")
      return {}
    },
    mend: (site) => configured(site, { auths: {} }),
  },
]
const ALLOWED: Run = { argv: ["--sink", "docker-config,shadowed=allow"] }

/** Runs within a world where the shell's words have come true; `$0` is the home. */
const after = ({ home }: Site, ...words: readonly string[]): readonly string[] => [
  ...UNSHARE,
  "sh",
  "-ec",
  `${words.join(" && ")}; exec "$@"`,
  home,
]

const files: readonly Fault[] = [
  {
    name: "a file that its owner made read-only",
    level: "error",
    code: "permission",
    says: "not permitted to read or write it",
    fix: "let this user read and write both the file and its folder",
    lack: LACKS.powerless,
    fault: async (site) => {
      const file = await site.write(CONFIG, "{}")
      await chmod(file, 0o400)
      return { within: POWERLESS }
    },
    mend: async ({ home }) => {
      await chmod(join(home, CONFIG), 0o600)
      return { within: POWERLESS }
    },
  },
  {
    name: "a read-only file system",
    level: "error",
    code: "read-only",
    says: "is on a read-only file system",
    fix: "mount it writable",
    lack: LACKS.mounts,
    fault: (site) => ({ within: after(site, 'mount --bind "$0" "$0"', 'mount -o remount,ro,bind "$0"') }),
  },
  {
    name: "a file that is mounted by itself",
    level: "error",
    code: "mount-point",
    says: "is a mount of its own",
    fix: "or add in_place=true",
    lack: LACKS.mounts,
    fault: async (site) => {
      await site.write(CONFIG, "{}")
      return { within: after(site, ...MOUNTED) }
    },
    mend: (site) => ({ within: after(site, ...MOUNTED), argv: ["--sink", "docker-config,in_place=true"] }),
  },
  {
    name: "a file of the same file system that is mounted by itself",
    level: "error",
    code: "mount-point",
    says: "is a mount of its own",
    fix: "mount its folder instead",
    lack: LACKS.mounts,
    fault: async (site) => {
      await site.write("a folder/config.json", "{}")
      await site.write("a folder/outside", "{}")
      const mount = 'mount --bind "$0/a folder/outside" "$0/a folder/config.json"'
      return {
        within: after(site, mount),
        argv: ["--sink", `docker-config,path=${site.home}/a folder/config.json`],
      }
    },
    mend: ({ home }) => ({ argv: ["--sink", `docker-config,path=${home}/a folder/config.json`] }),
  },
  {
    name: "a file where the folder should be",
    level: "error",
    code: "not-a-folder",
    says: "a part of the path is not a folder",
    fix: "move the file that stands in the way",
    fault: async (site) => {
      await site.write(".docker", "")
      return {}
    },
    mend: async ({ home }) => {
      await rm(join(home, ".docker"))
      return {}
    },
  },
  {
    name: "a folder where the file should be",
    level: "error",
    code: "not-a-file",
    says: "is not a regular file",
    fix: "name a file, not a folder",
    fault: async ({ home }) => {
      await mkdir(join(home, CONFIG), { recursive: true })
      return {}
    },
    mend: ({ home }) => ({ argv: ["--sink", `docker-config,path=${home}/auth.json`] }),
  },
  {
    name: "links that go round in a circle",
    level: "error",
    code: "link-loop",
    says: "its symbolic links form a loop",
    fix: "correct the one that points back",
    fault: async ({ home }) => {
      await mkdir(join(home, ".docker"))
      await symlink("config.json", join(home, CONFIG))
      return {}
    },
    mend: async ({ home }) => {
      await rm(join(home, CONFIG))
      await symlink("real.json", join(home, CONFIG))
      await writeFile(join(home, ".docker/real.json"), "{}")
      return {}
    },
  },
  {
    name: "a name that no file system takes",
    level: "error",
    code: "file-system",
    says: "the file system answered ENAMETOOLONG",
    fix: "check the state of that file system",
    fault: ({ home }) => ({ argv: ["--sink", `docker-config,path=${home}/${"n".repeat(300)}.json`] }),
  },
]
const MOUNTED = ["mount -t tmpfs none /mnt", 'echo "{}" > /mnt/file', `mount --bind /mnt/file "$0/${CONFIG}"`]

describe("docker's config", () => proveEach(() => company, helpers))
describe("docker's config on its file system", () => proveEach(() => company, files))
