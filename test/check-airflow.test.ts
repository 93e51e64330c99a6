// `ecrelay check` on Airflow's database: what makes a good login useless there, or keeps it out. Each is made, found with
// its fix, and gone after the fix.
import { afterAll, beforeAll, describe } from "bun:test"
import { type Airflow, onEachDatabase, otherKey, seal } from "./support/airflow-db.ts"
import { fernetKey } from "./support/airflow-rows.ts"
import { connectionTable } from "./support/airflow-tables.ts"
import { ID, OURS, proveTraps, refresh, type Trap } from "./support/airflow-trap.ts"
import { type Company, HOST, openCompany } from "./support/company.ts"

let company: Company
beforeAll(async () => {
  company = await openCompany()
}, 60_000)
afterAll(() => company.stop())

const rows: readonly Trap[] = [
  {
    name: "a port on the connection",
    level: "warning",
    code: "differs",
    says: "cannot log in as it is: port is 443",
    fix: "`ecrelay refresh` fixes it",
    make: ({ insert }) => insert({ ...OURS, port: 443, plain: "x" }),
    mend: refresh,
  },
  {
    name: "a host with https://",
    level: "warning",
    code: "differs",
    says: `cannot log in as it is: host is https://${HOST}`,
    fix: "`ecrelay refresh` fixes it",
    make: ({ insert }) => insert({ ...OURS, host: `https://${HOST}`, plain: "x" }),
    mend: refresh,
  },
  {
    name: '"reauth": false',
    level: "warning",
    code: "reauth-off",
    says: "so that a stale login in the worker's config.json wins",
    fix: 'set "reauth" to true',
    make: ({ insert }) =>
      insert({ ...OURS, plain: "x", extra: seal('{"reauth": false}'), is_extra_encrypted: true }),
    mend: async ({ run }) => void (await run(`UPDATE connection SET extra = '${seal('{"reauth": true}')}'`)),
  },
  {
    name: "two rows with one id",
    version: "1.10.15",
    level: "warning",
    code: "several-rows",
    says: "there are 2 connections of this id, and Airflow picks any of them",
    fix: "delete those that are not needed",
    make: async ({ insert }) => {
      await insert({ ...OURS, plain: "one" })
      await insert({ ...OURS, plain: "two" })
    },
    mend: async ({ run, rows }) =>
      void (await run(`DELETE FROM connection WHERE id = ${(await rows())[0]?.id}`)),
  },
  {
    name: "a connection that is somebody else's",
    level: "error",
    code: "not-ours",
    says: "connection ecr is not an ECR login: it holds type postgres, host db",
    fix: "choose another conn_id",
    make: ({ insert }) => insert({ conn_id: ID, conn_type: "postgres", host: "db" }),
    mend: async () => ({ argv: ["--sink", "airflow-db,conn_id=ecr_docker"] }),
  },
]

const keys: readonly Trap[] = [
  {
    name: "a Fernet key that is not Airflow's",
    level: "error",
    code: "fernet-key-wrong",
    says: "the fernet key given as AIRFLOW__CORE__FERNET_KEY decrypts none of the encrypted rows (1 tried)",
    fix: "give the key that Airflow itself uses",
    make: ({ insert }) => insert({ ...OURS, plain: "x" }),
    run: { env: { AIRFLOW__CORE__FERNET_KEY: otherKey } },
  },
  {
    name: "a Fernet key that is none",
    level: "error",
    code: "fernet-key-invalid",
    says: "the key is not 32 bytes in base64",
    fix: "give the value of Airflow's own [core] fernet_key",
    make: () => {},
    run: { env: { AIRFLOW__CORE__FERNET_KEY: "mine" } },
  },
  {
    name: "a Fernet key that is not given while Airflow has one",
    level: "error",
    code: "fernet-key-missing",
    says: "AIRFLOW__CORE__FERNET_KEY is empty, but 1 row of the table is encrypted",
    fix: "give Airflow's key with fernet_key",
    make: ({ insert }) => insert({ ...OURS, plain: "x" }),
    run: { env: { AIRFLOW__CORE__FERNET_KEY: "" } },
    mend: async () => ({
      env: { AIRFLOW__CORE__FERNET_KEY: "" },
      argv: ["--sink", `airflow-db,conn_id=${ID},fernet_key=${fernetKey}`],
    }),
  },
  {
    name: "an Airflow without a Fernet key",
    level: "warning",
    code: "plaintext",
    says: "the password is stored as plain text: AIRFLOW__CORE__FERNET_KEY is empty",
    fix: "give Airflow a fernet_key",
    make: () => {},
    run: { env: { AIRFLOW__CORE__FERNET_KEY: "" } },
  },
]

const SSM = {
  AIRFLOW__SECRETS__BACKEND: "airflow.providers.amazon.aws.secrets.systems_manager.SystemsManager",
}
const places: readonly Trap[] = [
  {
    name: "AIRFLOW_CONN_ECR, which Airflow takes first",
    level: "warning",
    code: "shadowed",
    says: "AIRFLOW_CONN_ECR is set here; where it is set for Airflow too, Airflow takes that connection",
    fix: "unset AIRFLOW_CONN_ECR for Airflow",
    make: () => {},
    run: { env: { AIRFLOW_CONN_ECR: "docker://x" } },
  },
  {
    name: "a secrets backend that Airflow asks first",
    level: "warning",
    code: "secrets-backend",
    says: "Airflow asks a secrets backend first (AIRFLOW__SECRETS__BACKEND)",
    fix: "or deliver into it instead",
    make: () => {},
    run: { env: SSM },
    mend: async (_, __, { company }) => ({
      env: { ...SSM, AWS_ENDPOINT_URL_SSM: company.ssm.url },
      argv: ["--sink", `aws-ssm,name=/airflow/connections/${ID}`],
    }),
  },
  {
    name: "a database that Airflow does not name here",
    level: "error",
    code: "airflow-config-missing",
    says: "Airflow's database URL is empty",
    fix: "set it, or give the option url",
    make: () => {},
    run: { env: { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: "" } },
    mend: async ({ url }) => ({
      env: { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: "" },
      argv: ["--sink", `airflow-db,conn_id=${ID},url=${url}`],
    }),
  },
  {
    name: "a reference to nothing",
    level: "error",
    code: "reference-unresolved",
    says: "url=env:AIRFLOW_URL: the variable AIRFLOW_URL is not set",
    fix: "put the secret where this reference points",
    make: () => {},
    run: { argv: ["--sink", `airflow-db,conn_id=${ID},url=env:AIRFLOW_URL`] },
    mend: async ({ url }) => ({
      env: { AIRFLOW_URL: url },
      argv: ["--sink", `airflow-db,conn_id=${ID},url=env:AIRFLOW_URL`],
    }),
  },
  {
    name: "a database URL that is none",
    level: "error",
    code: "database-url-invalid",
    says: "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: database URL: cannot be read",
    fix: "the form is postgresql://user:password@host:5432/database",
    make: () => {},
    run: { env: { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: "sqlite" } },
  },
  {
    name: "a database that nobody here speaks to",
    level: "error",
    code: "database-url-unsupported",
    says: "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: database URL: this kind of database is not supported",
    fix: "begin with postgresql://, mysql:// or sqlite:///",
    make: () => {},
    run: { env: { AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: "mssql://db/airflow" } },
  },
]

const tables: readonly Trap[] = [
  {
    name: "a database in which Airflow never was",
    level: "error",
    code: "table-missing",
    says: "there is no table ",
    fix: "run: airflow db migrate",
    make: ({ run }) => run("DROP TABLE connection"),
    mend: async ({ run, dialect }) => {
      for (const statement of connectionTable("2.11", dialect)) await run(statement)
      return undefined
    },
  },
  {
    name: "a table that is not Airflow's",
    level: "error",
    code: "table-unknown",
    says: "is not Airflow's table: it has no column conn_id",
    fix: "point the database URL at Airflow's own metadata database",
    make: async ({ run }) => {
      await run("ALTER TABLE connection RENAME TO airflows")
      await run("CREATE TABLE connection (id INTEGER)")
    },
    mend: async ({ run }) => {
      await run("DROP TABLE connection")
      await run("ALTER TABLE airflows RENAME TO connection")
      return undefined
    },
  },
  {
    name: "a column that nobody knows how to fill",
    level: "error",
    code: "column-unknown",
    says: "requires tenant, which this version does not know how to fill in",
    fix: "create the connection once in Airflow (type docker)",
    make: ({ run, dialect }) => addTenant(run, dialect),
    mend: ({ insert }) => insert({ ...OURS, plain: "x", tenant: "us" }).then(() => undefined),
  },
]

// SQLite adds no column without a default, so that the table is made anew.
async function addTenant(run: Airflow["run"], dialect: Airflow["dialect"]): Promise<void> {
  if (dialect !== "sqlite") {
    await run("ALTER TABLE connection ADD COLUMN tenant VARCHAR(9) NOT NULL")
    return
  }
  const [statement = ""] = connectionTable("2.7", dialect)
  await run("DROP TABLE connection")
  await run(statement.replace("\n  conn_id", "\n  tenant VARCHAR(9) NOT NULL,\n  conn_id"))
}

onEachDatabase((place) => {
  describe(`the connection on ${place}`, () =>
    proveTraps(() => company, place, place === "sqlite" ? rows : rows.slice(0, 3)))
  describe(`the table on ${place}`, () => proveTraps(() => company, place, tables))
})
describe("the Fernet key", () => proveTraps(() => company, "sqlite", keys))
describe("where Airflow looks", () => proveTraps(() => company, "sqlite", places))
