// The releases of Airflow that tests run, how each is installed, and the variables by which it finds its database.
// What its requirements leave open is resolved as of a day, so that the same is installed tomorrow.

/** A release, and what is installed with it. */
export type AirflowRelease = {
  readonly version: string
  /** The newest Python that it runs on, as uv names it. */
  readonly python: string
  readonly packages: readonly string[]
  /** Nothing younger than this day is installed. */
  readonly asOf: string
  /** The subcommand that makes its tables. */
  readonly migrate: string
  /** Its web server keeps users in the database, and these are they. */
  readonly keepsUsers?: boolean
}

const DATABASES = ["psycopg2-binary", "pymysql"]
const PROVIDERS = ["apache-airflow-providers-docker==4.6.1", "apache-airflow-providers-amazon==9.39.0"]

/** By the name of the service: 3.3 and 2.11 with the Docker and the Amazon provider, the others for their tables. */
export const airflowReleases = {
  airflow33: {
    version: "3.3.2",
    python: "3.12",
    packages: ["apache-airflow-core==3.3.2", ...PROVIDERS, ...DATABASES, "asyncpg", "aiomysql"],
    asOf: "2026-11-20",
    migrate: "db migrate",
  },
  airflow211: {
    version: "2.11.2",
    python: "3.11",
    packages: ["apache-airflow==2.11.2", ...PROVIDERS, ...DATABASES],
    asOf: "2026-11-20",
    migrate: "db migrate",
    keepsUsers: true,
  },
  airflow31: {
    version: "3.1.8",
    python: "3.12",
    packages: ["apache-airflow-core==3.1.8", ...DATABASES, "asyncpg", "aiomysql"],
    asOf: "2026-04-10",
    migrate: "db migrate",
  },
  airflow27: {
    version: "2.7.3",
    python: "3.10",
    packages: ["apache-airflow==2.7.3", ...DATABASES],
    asOf: "2023-11-27",
    migrate: "db migrate",
  },
  airflow110: {
    version: "1.10.15",
    python: "3.7",
    packages: ["apache-airflow==1.10.15", "sqlalchemy==1.3.23", "cryptography", ...DATABASES],
    asOf: "2021-03-20",
    migrate: "initdb",
  },
} as const satisfies Readonly<Record<string, AirflowRelease>>

/** The name of a release's service. */
export type AirflowName = keyof typeof airflowReleases

/** Users of the started web servers: each has its role's rights, and its name with `: pw` behind it for a password. */
export const AIRFLOW_ROLES = ["admin", "op", "viewer"] as const

/** The key under which the started web servers encrypt. It protects nothing. */
export const AIRFLOW_FERNET_KEY = "YSBrZXkgZm9yIHRlc3RzIG9mIGVjcmVsYXkgb25seSE="

/** The password of a user of the started web servers. */
export function passwordOfRole(role: (typeof AIRFLOW_ROLES)[number]): string {
  return `${role}: pw`
}

/** The whole environment of a process of Airflow: its folder, its database, its key, and nothing of ours. */
export function airflowEnvironment(about: {
  readonly version: string
  readonly home: string
  /** SQLAlchemy's URL. */
  readonly url: string
  readonly fernetKey: string
}): Record<string, string> {
  const section = about.version.startsWith("1.") ? "CORE" : "DATABASE"
  return {
    PATH: process.env.PATH ?? "",
    HOME: about.home,
    LANG: "C.UTF-8",
    PYTHONWARNINGS: "ignore",
    AIRFLOW_HOME: about.home,
    [`AIRFLOW__${section}__SQL_ALCHEMY_CONN`]: about.url,
    AIRFLOW__CORE__FERNET_KEY: about.fernetKey,
    AIRFLOW__CORE__LOAD_EXAMPLES: "False",
  }
}
