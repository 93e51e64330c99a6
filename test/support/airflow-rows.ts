// Rows of the `connection` table as Airflow's own command line wrote them, and vectors of what it encrypted. Made-up
// passwords, encrypted under `fernetKey`; all three releases write the same columns for the same connection.
import type { Dialect } from "../../sinks/_airflow/database-url.ts"

/** The key that everything here is encrypted under, as in `[core] fernet_key`. It protects nothing. */
export const fernetKey = "YSBrZXkgZm9yIHRlc3RzIG9mIGVjcmVsYXkgb25seSE="

/** What real Airflow encrypted with `fernetKey`, by release, and what it had been given. */
export const encryptedByAirflow: readonly {
  readonly release: string
  readonly column: "password" | "extra"
  readonly plaintext: string
  readonly token: string
}[] = [
  {
    release: "1.10.15",
    column: "password",
    plaintext: "made-up: pässword",
    token:
      "gAAAAABrBLyaJDHVuGIakRMFoavn9KQH_UbsIyRCE0zLUqSOA-cZHrXhwJmBaFvSy-IEvjr_DaKBuGZFVtIvXzkan85WoOYwLNCxTlt7pNU8ve87L434xGE=",
  },
  {
    release: "2.11.2",
    column: "password",
    plaintext: "made-up-hub-password",
    token:
      "gAAAAABrBLyxiu7P6_Hg0SFbh7uOcnTNW1Xz9BfTfO_oB29L3RTvnsFJJX1IaFqSUbp96fLKzScJwT64gGXoblaBVEn0XqZQZYkxC8dR36XvTQgG0gV2bFM=",
  },
  {
    release: "3.3.2",
    column: "password",
    plaintext: "made-up: pässword",
    token:
      "gAAAAABrBLzD9dZgo3bczWYogmE79tCaHBvfrjrptNkHe_S20FrXRdc3_cCeiPiS9M_pBtQmoOFUapwDxg5K9eDjsgKTE7UZRJgKTHKVuvczN2Hn5TYY5ZE=",
  },
  {
    release: "3.3.2",
    column: "extra",
    plaintext: '{"email": "ci@example.com", "reauth": false}',
    token:
      "gAAAAABrBLzJupsa6lyfZmuYtV_yfFmiPcmjK9YpfaALn_OXAouQhSM39uYE9Ts_GhPv7a1Y6vsmhpMCKuoJo7PYubYqaFSfAqI4ZdT7wMF58Zy796pi0rYGAURGprG_FybmNwNvluxv",
  },
]

/** A row by its columns. What is left out is NULL, and false for the two flags, as Airflow itself leaves it. */
export type AirflowRow = Readonly<Record<string, string | number | boolean | null>> & {
  readonly conn_id: string
  readonly conn_type: string | null
}

/** Typical neighbours of an ECR login, as Airflow wrote them: one empty, one encrypted, one for another registry. */
export const neighbours: readonly AirflowRow[] = [
  { conn_id: "aws_default", conn_type: "aws" },
  {
    conn_id: "postgres_default",
    conn_type: "postgres",
    host: "db",
    schema: "airflow",
    login: "airflow",
    port: 5432,
    password:
      "gAAAAABrBLzD9dZgo3bczWYogmE79tCaHBvfrjrptNkHe_S20FrXRdc3_cCeiPiS9M_pBtQmoOFUapwDxg5K9eDjsgKTE7UZRJgKTHKVuvczN2Hn5TYY5ZE=",
    is_encrypted: true,
  },
  {
    conn_id: "docker_hub",
    conn_type: "docker",
    host: "docker.io",
    login: "reader",
    password:
      "gAAAAABrBLzJxrB-khaYw8IZDnfFr8V_xMy3Ix5QFNQzPHSaJw1LQ_NCNCVCFHRfHkdMGHp2CRJb6FiDk1bdlwUCXbS7P6xyKakjAOapiSdDfBE96fRUzAg=",
    is_encrypted: true,
    extra:
      "gAAAAABrBLzJupsa6lyfZmuYtV_yfFmiPcmjK9YpfaALn_OXAouQhSM39uYE9Ts_GhPv7a1Y6vsmhpMCKuoJo7PYubYqaFSfAqI4ZdT7wMF58Zy796pi0rYGAURGprG_FybmNwNvluxv",
    is_extra_encrypted: true,
  },
]

/** The statement that inserts a row, for any version that has the columns named in it. */
export function insertStatement(row: AirflowRow, dialect: Dialect): string {
  const full = { is_encrypted: false, is_extra_encrypted: false, ...row }
  const names = Object.keys(full).map((name) => (dialect === "mysql" ? `\`${name}\`` : name))
  const values = Object.values(full).map((value) => literal(value, dialect))
  return `INSERT INTO connection (${names.join(", ")}) VALUES (${values.join(", ")})`
}

function literal(value: string | number | boolean | null, dialect: Dialect): string {
  if (value === null) return "NULL"
  if (typeof value !== "string") return String(value).toUpperCase()
  const quoted = value.replaceAll("'", "''")
  // MySQL takes a backslash for an escape, the others for itself.
  return `'${dialect === "mysql" ? quoted.replaceAll("\\", "\\\\") : quoted}'`
}
