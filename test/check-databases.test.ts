// `ecrelay check` on the database itself, a file or a server: what keeps a login out, or makes the place a wrong one. Each
// is made, found with its fix, and gone after the fix.
import { afterAll, beforeAll, describe } from "bun:test"
import { chmod, chown, rm, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import type { Place } from "./support/airflow-database.ts"
import { onEachServer } from "./support/airflow-db.ts"
import { fileOf, ID, proveTraps, refresh, runFix, type Trap } from "./support/airflow-trap.ts"
import { type Company, openCompany } from "./support/company.ts"
import type { Run, Site } from "./support/doctor.ts"
import { LACKS, NOBODY, UNSHARE } from "./support/files.ts"
import { tlsFiles } from "./support/services.ts"

let company: Company
beforeAll(async () => {
  company = await openCompany()
}, 60_000)
afterAll(() => company.stop())

const NOBODYS: Trap["make"] = async (airflow, { home }) => {
  await chmod(home, 0o755)
  await chmod(dirname(fileOf(airflow)), 0o755)
}
const REFUSED = {
  level: "error",
  code: "permission-denied",
  says: "the file or its folder cannot be opened for writing",
  fix: "let its user write both (SQLite keeps a journal beside the file)",
  lack: LACKS.root,
  run: { within: NOBODY },
} as const
const files: readonly Trap[] = [
  {
    ...REFUSED,
    name: "a SQLite file that the service's user cannot write",
    make: NOBODYS,
    mend: async (airflow) => {
      for (const path of [fileOf(airflow), dirname(fileOf(airflow))]) await chown(path, 65534, 65534)
      return undefined
    },
  },
  {
    ...REFUSED,
    name: "a folder of SQLite's that the service's user cannot write",
    make: async (airflow, site) => {
      await NOBODYS(airflow, site)
      await chown(fileOf(airflow), 65534, 65534)
    },
    mend: async (airflow) => {
      await chown(dirname(fileOf(airflow)), 65534, 65534)
      return undefined
    },
  },
  {
    name: "a file that is not there",
    level: "error",
    code: "database-missing",
    says: "there is no such file",
    fix: "check the path (an absolute one takes four slashes: sqlite:////…)",
    make: () => {},
    run: ({ url }) => ({
      env: { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: url.replace("airflow.db", "airfow.db") },
    }),
  },
  {
    name: "a file that is no database",
    level: "error",
    code: "not-a-database",
    says: "the file is not a valid SQLite database",
    fix: "check the path",
    make: (_, { home }) =>
      writeFile(join(home, "notes"), "no database, and long enough to be read as none".repeat(50)),
    run: (_, { home }) => ({ env: { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: `sqlite:///${home}/notes` } }),
  },
  {
    name: "a file that another program keeps locked",
    level: "error",
    code: "locked",
    says: "the file stayed locked by another program",
    fix: "look for a program that keeps a transaction open on it",
    make: (airflow, site) => lockElsewhere(fileOf(airflow), site),
    mend: async (_, __, { home }) => void (await rm(join(home, "busy"))),
  },
  {
    name: "a temporary folder without execution",
    level: "warning",
    code: "noexec",
    says: "is mounted noexec: the SQLite driver cannot be loaded from there",
    fix: "set TMPDIR to a folder that allows execution",
    lack: LACKS.mounts,
    make: () => {},
    run: noexec("/mnt"),
    mend: async () => noexec("/tmp"),
  },
]

// Another process: this one would lose its lock as soon as it looked at the file.
async function lockElsewhere(file: string, { write }: Site): Promise<void> {
  const busy = await write("busy", "")
  const program = `const db = new (require("bun:sqlite").Database)(${JSON.stringify(file)})
    db.run("BEGIN IMMEDIATE")
    console.log("locked")
    for (let i = 0; i < 3000 && require("node:fs").existsSync(${JSON.stringify(busy)}); i++) Bun.sleepSync(10)
    db.run("ROLLBACK")`
  const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" })
  await child.stdout.getReader().read()
}

function noexec(TMPDIR: string): Run {
  const mounted = 'mount -t tmpfs -o noexec none /mnt; exec "$@"'
  return { env: { TMPDIR }, within: [...UNSHARE, "sh", "-ec", mounted, "sh"] }
}

describe("SQLite", () => proveTraps(() => company, "sqlite", files))

const narrow: readonly Trap[] = [
  {
    name: "a password column that is too narrow",
    version: "1.10.6",
    level: "error",
    code: "column-too-narrow",
    says: "the password column holds 500 characters",
    fix: "run ALTER TABLE",
    make: () => {},
    mend: runFix,
  },
  {
    name: "a narrow password column that a delivery will widen",
    version: "1.10.6",
    level: "warning",
    code: "column-too-narrow",
    says: "the password column holds 500 characters",
    fix: "nothing: a delivery will run ALTER TABLE",
    make: () => {},
    run: { argv: ["--sink", `airflow-db,conn_id=${ID},widen_password=true`] },
    mend: refresh,
  },
]

/** Airflow's URL, changed. */
const at = (url: string): Run => ({ env: { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: url } })

const wrongUrls: readonly Trap[] = [
  {
    name: "a password that the server refuses",
    level: "error",
    code: "login-refused",
    says: "the server refused the user or the password",
    fix: "check user airflow and password of the URL",
    make: () => {},
    run: ({ url }) => at(url.replace(/:[^:@]*@/, ":wrong@")),
  },
  {
    name: "a server that does not answer",
    level: "error",
    code: "unreachable",
    says: "the server does not answer",
    fix: "check host and port in the URL, that the server runs",
    make: () => {},
    run: ({ url }) => at(url.replace(/:\d+\//, ":9/")),
  },
  {
    name: "a database that is not on the server",
    level: "error",
    code: "database-missing",
    says: "there is no such database",
    fix: "check the name at the end of the URL",
    make: () => {},
    run: ({ url }) => at(`${url}x`),
  },
]

/** A user who may look and no more, of a name that no earlier run has used on the server; and the URL with it. */
const GUEST = `guest_${Date.now().toString(36)}`
const asGuest = (url: string) => at(url.replace(/\/\/[^@]*@/, `//${GUEST}:pw@`))

const rights = (place: Place): readonly Trap[] => {
  const who = place === "postgres" ? GUEST : `'${GUEST}'@'%'`
  return [
    {
      name: "a user who may not write connections",
      level: "error",
      code: "permission-denied",
      says: "the user may not do this in the database",
      fix: "GRANT SELECT, INSERT, UPDATE ON ",
      make: async ({ run }) => {
        await run(
          place === "postgres"
            ? `CREATE ROLE ${who} LOGIN PASSWORD 'pw'`
            : `CREATE USER ${who} IDENTIFIED BY 'pw'`,
        )
        await run(`GRANT SELECT ON connection TO ${who}`)
      },
      run: ({ url }) => asGuest(url),
      mend: async (airflow, finding) => {
        await runFix(airflow, finding)
        return asGuest(airflow.url)
      },
    },
  ]
}

// Not plainly this machine, and yet what the server's certificate is good for: only a hosts file of its own knows it.
const NAME = "localhost."
const KNOWN = `mount -t tmpfs none /mnt; echo "127.0.0.1 localhost ${NAME}" > /mnt/hosts
  mount --bind /mnt/hosts /etc/hosts; exec "$@"`

const trust = (isPostgres: boolean): readonly Trap[] => {
  const [verified, authority] = isPostgres
    ? ["sslmode=verify-full", "sslrootcert"]
    : ["ssl_mode=VERIFY_IDENTITY", "ssl_ca"]
  const byName = (url: string, query = ""): Run => ({
    ...at(`${url.replace("127.0.0.1", NAME)}${query}`),
    within: [...UNSHARE, "sh", "-ec", KNOWN, "sh"],
  })
  const mend: Trap["mend"] = async ({ url }) => byName(url, `?${verified}&${authority}=${tlsFiles().ca}`)
  return [
    {
      name: "a URL that verifies nothing",
      level: "warning",
      code: "unverified",
      says: "nothing verifies that this is the right server: its URL says prefer",
      fix: `add ${verified} to the URL, with the server's CA if it is a private one`,
      lack: LACKS.mounts,
      make: () => {},
      run: ({ url }) => byName(url),
      mend,
    },
    {
      name: "an authority that did not sign for the server",
      level: "error",
      code: "tls-untrusted",
      says: "the server's certificate cannot be verified",
      fix: `${authority}=/path/to/ca.pem`,
      lack: LACKS.mounts,
      make: () => {},
      run: ({ url }) => byName(url, `?${verified}&${authority}=${tlsFiles().otherCa}`),
      mend,
    },
    {
      name: "an authority of the server that nobody named",
      level: "error",
      // libpq has no other authorities than its file.
      ...(isPostgres
        ? { code: "tls-authority-missing", says: "/.postgresql/root.crt does not exist" }
        : { code: "tls-untrusted", says: "the server's certificate cannot be verified" }),
      fix: `${authority}=/path/to/ca.pem`,
      lack: LACKS.mounts,
      make: () => {},
      run: ({ url }) => byName(url, `?${verified}`),
      mend,
    },
  ]
}

onEachServer((place) => {
  const isPostgres = place === "postgres"
  describe("the column", () => proveTraps(() => company, place, narrow))
  describe("the URL", () => proveTraps(() => company, place, wrongUrls))
  describe("the user", () => proveTraps(() => company, place, rights(place)))
  describe("the server", () => proveTraps(() => company, place, trust(isPostgres)))
})
