// `ecrelay check` on Airflow's own configuration, and on what the database URL says of TLS. Each fault is made, found with
// its fix, and gone after the fix.
import { afterAll, beforeAll, describe } from "bun:test"
import { chmod } from "node:fs/promises"
import { join } from "node:path"
import { onEachServer } from "./support/airflow-db.ts"
import { fernetKey } from "./support/airflow-rows.ts"
import { ID, OURS, proveTraps, type Trap } from "./support/airflow-trap.ts"
import { type Company, openCompany } from "./support/company.ts"
import type { Run, Site } from "./support/doctor.ts"
import { LACKS, NOBODY } from "./support/files.ts"
import { describeWithService, tlsFiles } from "./support/services.ts"

let company: Company
beforeAll(async () => {
  company = await openCompany()
}, 60_000)
afterAll(() => company.stop())

const CFG = "airflow/airflow.cfg"

/** An airflow.cfg with these lines; the key comes from its own variable. */
const configured = async ({ write }: Site, url: string, ...core: readonly string[]): Promise<void> => {
  await write(CFG, `[core]\n${core.join("\n")}\n[database]\nsql_alchemy_conn = ${url}\n`)
}
const BY_FILE: Run = {
  env: { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: undefined, AIRFLOW__CORE__FERNET_KEY: undefined },
}

const files: readonly Trap[] = [
  {
    name: "an airflow.cfg that Airflow refuses too",
    level: "error",
    code: "airflow-config-invalid",
    says: "airflow.cfg",
    fix: "correct the line",
    make: ({ url }, site) => configured(site, url, "fernet_key"),
    run: BY_FILE,
    mend: async ({ url }, _, site) =>
      configured(site, url, `fernet_key = ${fernetKey}`).then(() => undefined),
  },
  {
    name: "an airflow.cfg that is named and not there",
    level: "error",
    code: "airflow-config-unreadable",
    says: "there is no such file",
    fix: "AIRFLOW_CONFIG names it: correct the variable",
    make: ({ url }, site) => configured(site, url, `fernet_key = ${fernetKey}`),
    run: (_, { home }) => ({ env: { ...BY_FILE.env, AIRFLOW_CONFIG: join(home, "airflow.cfg") } }),
    mend: async (_, __, { home }) => ({ env: { ...BY_FILE.env, AIRFLOW_CONFIG: join(home, CFG) } }),
  },
  {
    name: "an airflow.cfg that the service's user may not read",
    level: "error",
    code: "airflow-config-unreadable",
    says: "cannot be read (EACCES)",
    fix: "or let it read the file",
    lack: LACKS.root,
    make: async ({ url }, site) => {
      await configured(site, url, `fernet_key = ${fernetKey}`)
      await chmod(site.home, 0o755)
      await chmod(join(site.home, CFG), 0o600)
      await chmod(url.replace("sqlite:///", ""), 0o666)
      await chmod(url.replace(/sqlite:\/\/(.*)\/.*/, "$1"), 0o777)
    },
    run: { ...BY_FILE, within: NOBODY },
    mend: async (_, __, { home }) => void (await chmod(join(home, CFG), 0o644)),
  },
  {
    name: "a command of Airflow's that fails",
    level: "error",
    code: "airflow-config-command",
    says: "fernet_key_cmd",
    fix: "run it by hand as ecrelay's user to see what it says",
    make: async ({ url }, site) => {
      await configured(site, url, `fernet_key_cmd = cat ${site.home}/key`)
      await chmod(join(site.home, CFG), 0o644)
    },
    run: BY_FILE,
    mend: async (_, __, { write }) => void (await write("key", fernetKey)),
  },
  {
    name: "a command that others than root could change",
    level: "error",
    code: "airflow-config-command-refused",
    says: "root runs a command only from a file that only root can write",
    fix: "chmod go-w ",
    lack: LACKS.root,
    make: async ({ url }, site) => {
      await site.write("key", fernetKey)
      await configured(site, url, `fernet_key_cmd = cat ${site.home}/key`)
      await chmod(join(site.home, CFG), 0o666)
    },
    run: BY_FILE,
    mend: async (_, __, { home }) => void (await chmod(join(home, CFG), 0o644)),
  },
  {
    name: "a key that lies in a secrets backend",
    level: "error",
    code: "airflow-config-secrets-backend",
    says: "the value is in one of Airflow's secrets backends, which ecrelay does not ask",
    fix: "with fernet_key=file:/path",
    make: (_, { write }) => write("key", fernetKey),
    run: { env: { AIRFLOW__CORE__FERNET_KEY: undefined, AIRFLOW__CORE__FERNET_KEY_SECRET: "key" } },
    mend: async (_, __, { home }) => ({
      env: { AIRFLOW__CORE__FERNET_KEY: undefined, AIRFLOW__CORE__FERNET_KEY_SECRET: "key" },
      argv: ["--sink", `airflow-db,conn_id=${ID},fernet_key=file:${home}/key`],
    }),
  },
]

const tls = (isPostgres: boolean): readonly Trap[] => {
  const [mode, authority] = isPostgres ? ["sslmode", "sslrootcert"] : ["ssl_mode", "ssl_ca"]
  const at = (url: string, query: string): Run => ({
    env: { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: `${url}?${query}` },
  })
  const mend: Trap["mend"] = async ({ url }) => at(url, `${authority}=${tlsFiles().ca}`)
  return [
    {
      name: "an option of TLS that there is not",
      level: "error",
      code: "tls-option-invalid",
      says: `${mode} has a value that is not known`,
      fix: `${mode} is one of `,
      make: () => {},
      run: ({ url }) => at(url, `${mode}=certainly`),
      mend: async ({ url }, { fix = "" }) => at(url, `${mode}=${/prefer(?:red)?/i.exec(fix)}`),
    },
    {
      name: "an authority's file that is not there",
      level: "error",
      code: "tls-file-unreadable",
      says: "/nowhere/ca.pem: cannot be read (ENOENT)",
      fix: "correct the path",
      make: () => {},
      run: ({ url }) => at(url, `${authority}=/nowhere/ca.pem`),
      mend,
    },
  ]
}

describeWithService("pgbouncer", "PgBouncer", () =>
  proveTraps(() => company, "pgbouncer", [
    {
      name: "a user whom the connection pooler does not know",
      level: "error",
      code: "pooler-refused",
      says: "the connection pooler did not let us in",
      fix: "check user, password and database of the URL against PgBouncer's configuration",
      make: () => {},
      run: ({ url }) => ({
        env: { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: url.replace(/\/\/[^@]*@/, "//stranger:pw@") },
      }),
    },
    {
      name: "options for the server that the connection pooler does not take",
      level: "error",
      code: "pooler-options",
      says: "the connection pooler refuses the startup parameter options",
      fix: "ignore_startup_parameters = options",
      make: () => {},
      run: ({ url }) => ({
        env: { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: `${url}?options=-cstatement_timeout%3D9000` },
      }),
    },
  ]),
)

describe("airflow.cfg", () => proveTraps(() => company, "sqlite", files))

describe("the worker's docker config", () =>
  proveTraps(() => company, "sqlite", [
    {
      name: "a helper that docker asks before it takes the connection's login",
      level: "warning",
      code: "worker-helper",
      says: "credsStore is asked first where a worker has this file",
      fix: "remove credsStore from the file on the workers",
      make: (_, { write }) => write(".docker/config.json", '{"credsStore": "desktop"}'),
      mend: async (_, __, { write }) => void (await write(".docker/config.json", "{}")),
    },
  ]))

onEachServer((place) => {
  describe("the URL", () => proveTraps(() => company, place, tls(place === "postgres")))
  if (place === "postgres") return
  describe("the connection id", () =>
    proveTraps(() => company, place, [
      {
        name: "an id that differs in nothing but case",
        level: "error",
        code: "conn-id-taken",
        says: "the database cannot tell connection ecr from ECR",
        fix: "use conn_id=ECR",
        make: ({ insert }) => insert({ ...OURS, conn_id: "ECR", plain: "x" }),
        mend: async () => ({ argv: ["--sink", "airflow-db,conn_id=ECR"] }),
      },
      {
        name: "an id that the column's character set cannot hold",
        level: "error",
        code: "conn-id-charset",
        says: "the database cannot hold connection größe_日本: its column is in latin1",
        fix: "choose a conn_id that latin1 can hold, such as one of plain letters and digits",
        make: ({ run }) =>
          run("ALTER TABLE connection MODIFY conn_id VARCHAR(250) CHARACTER SET latin1 NOT NULL"),
        run: { argv: ["--sink", "airflow-db,conn_id=größe_日本"] },
        mend: async () => ({ argv: ["--sink", "airflow-db,conn_id=größe"] }),
      },
    ]))
})
