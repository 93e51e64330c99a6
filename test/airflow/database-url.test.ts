import { describe, expect, test } from "bun:test"
import { inspect } from "node:util"
import fc from "fast-check"
import { type DatabaseUrl, parseDatabaseUrl } from "../../sinks/_airflow/database-url.ts"
import { AirflowError } from "../../sinks/_airflow/error.ts"

type Essence = Partial<Omit<DatabaseUrl, "password" | "addresses">> & { password?: string; at?: string }

/** What tells one URL from another, in a form that reads well in a table. */
function essenceOf(text: string): Essence {
  const { password, addresses, dialect, driver, user, database, file, options } = parseDatabaseUrl(text)
  const at = addresses.map(({ host, port, socket }) => socket ?? `${host}:${port}`).join(" ")
  const all = { dialect, driver, user, password: password?.reveal(), at, database, file, options }
  const empty = (value: unknown) => value === undefined || value === "" || inspect(value) === "{}"
  return Object.fromEntries(Object.entries(all).filter(([, value]) => !empty(value)))
}

function refusalOf(text: string): AirflowError {
  try {
    parseDatabaseUrl(text)
  } catch (error) {
    if (error instanceof AirflowError) return error
    throw error
  }
  throw new Error(`not refused: ${text}`)
}

const POSTGRES = { dialect: "postgresql", user: "u", password: "p", at: "h:5432", database: "d" } as const
const MYSQL = { dialect: "mysql", user: "u", password: "p", at: "h:3306", database: "d" } as const

describe("reads what Airflow reads", () => {
  test.each<[string, Essence]>([
    ["postgresql://u:p@h/d", POSTGRES],
    ["postgresql+psycopg2://u:p@h:5432/d", { ...POSTGRES, driver: "psycopg2" }],
    ["postgresql+psycopg://u:p@h/d", { ...POSTGRES, driver: "psycopg" }],
    ["postgresql+asyncpg://u:p@h/d", { ...POSTGRES, driver: "asyncpg" }],
    ["postgres://u:p@h/d", POSTGRES],
    ["postgres+psycopg2://u:p@h/d", { ...POSTGRES, driver: "psycopg2" }],
    ["mysql://u:p@h/d", MYSQL],
    ["mysql+mysqldb://u:p@h:3307/d", { ...MYSQL, driver: "mysqldb", at: "h:3307" }],
    ["mysql+pymysql://u:p@h/d", { ...MYSQL, driver: "pymysql" }],
    ["mysql+mysqlconnector://u:p@h/d", { ...MYSQL, driver: "mysqlconnector" }],
    ["mysql+aiomysql://u:p@h/d", { ...MYSQL, driver: "aiomysql" }],
    ["mariadb+pymysql://u:p@h/d", { ...MYSQL, driver: "pymysql" }],
    ["sqlite:////home/a/airflow.db", { dialect: "sqlite", file: "/home/a/airflow.db" }],
    ["sqlite+aiosqlite:////a/b%20c.db", { dialect: "sqlite", driver: "aiosqlite", file: "/a/b c.db" }],
    ["  postgresql://u:p@h/d\n", POSTGRES],
  ])("%s", (text, expected) => {
    expect(essenceOf(text)).toEqual(expected)
  })

  test.each<[string, Essence]>([
    ["postgresql://u:p%40%2F%3A@h/d", { ...POSTGRES, password: "p@/:" }],
    ["postgresql://u%40corp:p@h/d", { ...POSTGRES, user: "u@corp" }],
    ["postgresql://u@corp:p@h/d", { ...POSTGRES, user: "u@corp" }],
    // Azure's user names.
    ["postgresql://u@server@h/d", { dialect: "postgresql", user: "u@server", at: "h:5432", database: "d" }],
    ["postgresql://u:a+b c@h/d", { ...POSTGRES, password: "a+b c" }],
    ["postgresql://u:p:x@h/d", { ...POSTGRES, password: "p:x" }],
    ["postgresql://u:p/x?y#z@h/d", { ...POSTGRES, password: "p/x?y#z" }],
    ["postgresql://u:100%@h/d", { ...POSTGRES, password: "100%" }],
    ["postgresql://u:%zz%C3%A9@h/d", { ...POSTGRES, password: "%zzé" }],
    ["postgresql://u:@h/d", { dialect: "postgresql", user: "u", at: "h:5432", database: "d" }],
    ["postgresql://:p@h/d", { dialect: "postgresql", password: "p", at: "h:5432", database: "d" }],
    // Airflow up to 2.2, by SQLAlchemy before 1.4; later ones have no meaning for it.
    ["postgresql://u:p@ss@h/d", { ...POSTGRES, password: "p@ss" }],
    [
      "postgresql://u:p@s:s@h:5433/d?sslmode=require",
      { ...POSTGRES, password: "p@s:s", at: "h:5433", options: { sslmode: "require" } },
    ],
    ["postgresql://u:p@h/d?application_name=a@b", { ...POSTGRES, options: { application_name: "a@b" } }],
  ])("user and password of %s", (text, expected) => {
    expect(essenceOf(text)).toEqual(expected)
  })

  test.each<[string, string]>([
    ["postgresql://u:p@[::1]:5433/d", "::1:5433"],
    ["postgresql://u:p@[2001:db8::1]/d", "2001:db8::1:5432"],
    ["postgresql://u:p@h:/d", "h:5432"],
    ["postgresql:///d", "/var/run/postgresql/.s.PGSQL.5432"],
    ["postgresql://u:p@/d?host=/run/pg", "/run/pg/.s.PGSQL.5432"],
    ["postgresql://u:p@/d?host=/run/pg/&port=5433", "/run/pg/.s.PGSQL.5433"],
    ["postgresql://u:p@:5433/d?host=/run/pg", "/run/pg/.s.PGSQL.5433"],
    ["postgresql://u:p@/d?host=h1&host=h2", "h1:5432 h2:5432"],
    ["postgresql://u:p@/d?host=h1:5433&host=h2:5434", "h1:5433 h2:5434"],
    ["postgresql://u:p@/d?host=h1,h2&port=5433,5434", "h1:5433 h2:5434"],
    ["postgresql://u:p@/d?host=h1,h2&port=5433", "h1:5433 h2:5433"],
    ["postgresql://u:p@ignored/d?host=h1", "h1:5432"],
    ["postgresql://u:p@/d?hostaddr=10.0.0.1", "10.0.0.1:5432"],
    ["mysql://u:p@/d", "localhost:3306"],
    ["mysql://u:p@h/d?unix_socket=/run/mysqld/mysqld.sock", "/run/mysqld/mysqld.sock"],
    ["mysql://u:p@/d?host=h&port=3307", "h:3307"],
  ])("addresses of %s", (text, expected) => {
    expect(essenceOf(text)).toMatchObject({ at: expected })
    expect(parseDatabaseUrl(text).options).toEqual({})
  })

  test("leaves the driver's other options as they are", () => {
    const text =
      "postgresql://u:p@h/d?sslmode=verify-ca&sslrootcert=/c+a.pem&options=-csearch_path%3Da%2Cb&empty=&x=1&x=2"
    const options = { sslmode: "verify-ca", sslrootcert: "/c a.pem", options: "-csearch_path=a,b", x: "2" }
    expect(parseDatabaseUrl(text).options).toEqual(options)
  })

  test("lets what stands in the query beat what stands before it", () => {
    const expected = { ...POSTGRES, user: "v", password: "q", database: "e" }
    expect(essenceOf("postgresql://u:p@h/d?user=v&password=q&dbname=e")).toEqual(expected)
    expect(essenceOf("mysql://u:p@h/d?passwd=q")).toEqual({ ...MYSQL, password: "q" })
    for (const name of ["dbname", "database", "db"])
      expect(essenceOf(`mysql://u:p@h/d?${name}=e`)).toEqual({ ...MYSQL, database: "e" })
  })

  test("keeps the password of the client's key among the secrets", () => {
    for (const name of ["sslpassword", "ssl_key_password"]) {
      const { keyPassword, options } = parseDatabaseUrl(`postgresql://u:p@h/d?${name}=sekrit`)
      expect(keyPassword?.reveal()).toBe("sekrit")
      expect(options).toEqual({})
    }
  })

  test("takes the user's name for PostgreSQL's database where none is named, as libpq does", () => {
    expect(parseDatabaseUrl("postgresql://u:p@h").database).toBe("u")
  })
})

describe("refuses, with a way out and without a word of the URL", () => {
  test.each([
    ["sekrit", "database-url-invalid"],
    ["", "database-url-invalid"],
    ["//u:sekrit@h/d", "database-url-invalid"],
    ["postgresql:u:sekrit@h/d", "database-url-invalid"],
    ["postgresql://u:sekrit", "database-url-invalid"],
    ["postgresql://u:x@h:sekrit/d", "database-url-invalid"],
    ["postgresql://u:x@h:0/d", "database-url-invalid"],
    ["postgresql://u:x@h:65536/d", "database-url-invalid"],
    ["postgresql://u:sekrit@h1:5432,h2:5432/d", "database-url-invalid"],
    ["postgresql://u:sekrit@h1,h2/d", "database-url-invalid"],
    ["postgresql://u:sekrit@/d?host=h1,h2&port=1,2,3", "database-url-invalid"],
    ["postgresql://u:sekrit@[::1]x/d", "database-url-invalid"],
    ["postgresql://sek rit/d", "database-url-invalid"],
    ["postgresql://u:x@se/krit@h/d", "database-url-invalid"],
    ["postgresql://u:x@h/d?sslmode", "database-url-invalid"],
    ["mysql://u:sekrit@h", "database-url-invalid"],
    ["mysql://u:sekrit@h1,h2/d", "database-url-invalid"],
    ["sqlite://", "database-url-invalid"],
    ["sqlite:///airflow.db", "database-url-invalid"],
    ["sqlite:///:memory:", "database-url-invalid"],
    ["sqlite://h//airflow.db", "database-url-invalid"],
    ["mssql+pyodbc://u:sekrit@h/d", "database-url-unsupported"],
    ["oracle://u:sekrit@h/d", "database-url-unsupported"],
    ["constructor://u:sekrit@h/d", "database-url-unsupported"],
  ])("%s", (text, code) => {
    const refusal = refusalOf(text)
    expect(refusal.code).toBe(code)
    expect(refusal.hint).toMatch(/\w/)
    expect(`${inspect(refusal)} ${refusal.hint}`).not.toMatch(/sek ?rit/)
  })

  test("says how several hosts are written", () => {
    for (const hosts of ["h1:5432,h2:5432", "h1,h2"])
      expect(refusalOf(`postgresql://u:p@${hosts}/d`).hint).toContain("?host=h1:5432&host=h2:5432")
  })

  test("says how SQLite's file is written", () => {
    expect(refusalOf("sqlite:///airflow.db").hint).toContain("sqlite:////")
  })
})

describe("the name", () => {
  test.each([
    [
      "postgresql+psycopg2://airflow:sekrit@db/airflow?sslpassword=sekrit",
      "postgresql://airflow@db:5432/airflow",
    ],
    ["postgres://a%40b:sekrit@[::1]/x%2Fy", "postgresql://a%40b@[::1]:5432/x%2Fy"],
    ["postgresql://u:sek@rit@h/d", "postgresql://u@h:5432/d"],
    ["postgresql://u@/d?host=h1:1&host=h2:2&password=sekrit", "postgresql://u@h1:1,h2:2/d"],
    ["postgresql:///d?host=/run/pg", "postgresql:///d?socket=/run/pg/.s.PGSQL.5432"],
    ["mysql://u:sekrit@/d?unix_socket=/run/m.sock&passwd=sekrit", "mysql://u@/d?socket=/run/m.sock"],
    ["sqlite:////home/a/airflow.db?x=sekrit", "sqlite:////home/a/airflow.db"],
  ])("of %s is %s", (text, name) => {
    expect(parseDatabaseUrl(text).name).toBe(name)
  })
})

const anyText = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 })
const label = fc.stringMatching(/^[a-z0-9]([a-z0-9_-]{0,8}[a-z0-9])?$/)
const anyHost = fc.oneof(fc.domain(), label, fc.ipV4(), fc.ipV6())
const bracketed = (host: string) => (host.includes(":") ? `[${host}]` : host)

describe("any URL", () => {
  test("gives back its parts when they are percent-encoded", () => {
    const server = fc.record({
      dialect: fc.constantFrom("postgresql", "mysql"),
      user: anyText,
      password: anyText,
      host: anyHost,
      port: fc.integer({ min: 1, max: 65_535 }),
      database: anyText,
      option: anyText,
    })
    fc.assert(
      fc.property(server, ({ dialect, user, password, host, port, database, option }) => {
        const [u, p, d, o] = [user, password, database, option].map(encodeURIComponent)
        const parsed = parseDatabaseUrl(`${dialect}://${u}:${p}@${bracketed(host)}:${port}/${d}?charset=${o}`)
        expect(parsed).toMatchObject({
          dialect,
          user,
          addresses: [{ host, port }],
          database,
          options: { charset: option },
        })
        expect(parsed.password?.reveal()).toBe(password)
      }),
    )
  })

  test("keeps a password as it stands where it holds nothing that ends it", () => {
    const raw = anyText.filter((text) => !/[@%]/.test(text))
    fc.assert(
      fc.property(raw, (password) => {
        expect(parseDatabaseUrl(`postgresql://u:${password}@h/d`).password?.reveal()).toBe(password)
      }),
    )
  })

  test("shows its password nowhere, whether it is read or refused", () => {
    // Characters that stand nowhere else in the URL or in a message.
    const password = fc.stringMatching(/^[ΑΒΓΔ@:/?#%&=+ ]*[ΑΒΓΔ]{3}[ΑΒΓΔ@:/?#%&=+ ]*$/)
    fc.assert(
      fc.property(password, fc.constantFrom("postgresql", "mysql", "mssql"), (secret, dialect) => {
        // Here an @ ends the password and what follows is a host and an option by any reading.
        fc.pre(!/@[^@]*\?[^@]*=/.test(secret))
        const shown = (() => {
          try {
            return parseDatabaseUrl(`${dialect}://user:${secret}@host:5432/name`).name
          } catch (error) {
            return `${inspect(error)} ${(error as AirflowError).hint}`
          }
        })()
        expect(shown).not.toMatch(/[ΑΒΓΔ]/)
      }),
      { examples: [["@Δ?@ΒΓΒ=", "postgresql"]] },
    )
  })

  test("never fails with anything but a refusal in words", () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 40 }),
        fc.constantFrom("postgresql://", "mysql://", "sqlite://", ""),
        (text, scheme) => {
          try {
            parseDatabaseUrl(scheme + text)
          } catch (error) {
            expect(error).toBeInstanceOf(AirflowError)
          }
        },
      ),
    )
  })
})
