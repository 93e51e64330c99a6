import { describe, expect, test } from "bun:test"
import { chmod, chown, lchown, mkdir, symlink, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { inspect } from "node:util"
import { type AirflowConfig, loadAirflowConfig } from "../../sinks/_airflow/config.ts"
import { AirflowError } from "../../sinks/_airflow/error.ts"
import { decrypt, encrypt, parseFernetKeys } from "../../sinks/_airflow/fernet.ts"
import { temporaryFolder } from "./folder.ts"

const KEY = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
const OTHER_KEY = "1g5ZtqYKNqAkNuqf1B5cVTsnm4hZ0cv1Q7oQbEQSmVE="
const { signal } = new AbortController()
const PATH = "/usr/bin:/bin"
const USER = 1000

type World = {
  readonly env?: Record<string, string>
  /** Text of ~/airflow/airflow.cfg. */
  readonly cfg?: string
  /** Other files, by their path in the home directory. */
  readonly files?: Record<string, string>
  readonly uid?: number
}

/** Asks a question in a home directory of its own, which stands as ~ in answers. */
async function ask<T>(
  { env = {}, cfg, files = {}, uid = USER }: World,
  question: (config: AirflowConfig) => Promise<T>,
) {
  await using home = await temporaryFolder()
  const all = { ...files, ...(cfg === undefined ? {} : { "airflow/airflow.cfg": cfg }) }
  for (const [name, text] of Object.entries(all)) {
    await mkdir(dirname(join(home.path, name)), { recursive: true })
    await writeFile(join(home.path, name), text)
  }
  const tilde = (text = "") => text.replaceAll(home.path, "~")
  const config = loadAirflowConfig({ env: { PATH, ...env }, home: home.path, uid })
  try {
    return { answer: await question(config), tilde }
  } catch (error) {
    if (!(error instanceof AirflowError)) throw error
    return {
      refused: { code: error.code, message: tilde(error.message), hint: tilde(error.hint), error },
      tilde,
    }
  }
}

async function databaseUrl(world: World) {
  const { answer, refused, tilde } = await ask(world, (config) => config.databaseUrl(signal))
  return refused ?? { url: tilde(answer.value.reveal()), from: tilde(answer.from) }
}

/** The state, where it came from, and which of the two keys encrypts. */
async function fernet(world: World) {
  const { answer, refused, tilde } = await ask(world, (config) => config.fernet(signal))
  if (refused) return refused
  if (answer.state === "absent") return { state: answer.state, hint: tilde(answer.hint) }
  if (answer.state === "empty") return { state: answer.state, from: tilde(answer.from) }
  const token = encrypt(answer.keys, "x", 0)
  const key = [KEY, OTHER_KEY].find((each) => {
    const keys = parseFernetKeys(each)
    return keys && decrypt(keys, token) === "x"
  })
  return { state: answer.state, from: tilde(answer.from), key }
}

const NEW = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
const OLD = "AIRFLOW__CORE__SQL_ALCHEMY_CONN"
const FERNET = "AIRFLOW__CORE__FERNET_KEY"

describe("the database URL is found in Airflow's order", () => {
  // From the first to the last; each place is tried with everything after it set as well.
  const places: readonly {
    url: string
    from: string
    env?: Record<string, string>
    cfg?: [string, string]
  }[] = [
    { url: "sqlite:////db1", from: NEW, env: { [NEW]: "sqlite:////db1" } },
    { url: "sqlite:////db2", from: `${NEW}_CMD`, env: { [`${NEW}_CMD`]: "echo sqlite:////db2" } },
    { url: "sqlite:////db3", from: OLD, env: { [OLD]: "sqlite:////db3" } },
    { url: "sqlite:////db4", from: `${OLD}_CMD`, env: { [`${OLD}_CMD`]: "echo sqlite:////db4" } },
    {
      url: "sqlite:////db5",
      from: "~/airflow/airflow.cfg [database] sql_alchemy_conn",
      cfg: ["database", "sql_alchemy_conn = sqlite:////db5"],
    },
    {
      url: "sqlite:////db6",
      from: "~/airflow/airflow.cfg [core] sql_alchemy_conn",
      cfg: ["core", "sql_alchemy_conn = sqlite:////db6"],
    },
    {
      url: "sqlite:////db7",
      from: "~/airflow/airflow.cfg [database] sql_alchemy_conn_cmd",
      cfg: ["database", "sql_alchemy_conn_cmd = echo sqlite:////db7"],
    },
    {
      url: "sqlite:////db8",
      from: "~/airflow/airflow.cfg [core] sql_alchemy_conn_cmd",
      cfg: ["core", "sql_alchemy_conn_cmd = echo sqlite:////db8"],
    },
    { url: "sqlite:///~/airflow/airflow.db", from: "~/airflow/airflow.db" },
  ]

  test.each(places.map((place, index) => [place.from, index] as const))("%s", async (from, index) => {
    const rest = places.slice(index)
    const section = (name: string) => [
      `[${name}]`,
      ...rest.flatMap(({ cfg }) => (cfg?.[0] === name ? [cfg[1]] : [])),
    ]
    const found = await databaseUrl({
      env: Object.assign({}, ...rest.map(({ env }) => env)),
      cfg: [...section("database"), ...section("core")].join("\n"),
      files: { "airflow/airflow.db": "" },
    })
    expect(found).toEqual({ url: places[index]?.url ?? "", from })
  })

  test("though a value in airflow.cfg, even an empty one, beats a command there", async () => {
    const cfg = "[core]\nfernet_key =\nfernet_key_cmd = echo no"
    expect(await fernet({ cfg })).toMatchObject({ state: "empty" })
  })
})

describe("airflow.cfg is found where Airflow finds it", () => {
  const cfg = (name: string) => `[database]\nsql_alchemy_conn = sqlite:////${name}`
  const files = {
    "airflow/airflow.cfg": cfg("usual"),
    "af/airflow.cfg": cfg("home"),
    "etc/my.cfg": cfg("config"),
  }

  test.each([
    [{}, "usual"],
    [{ AIRFLOW_HOME: "~/af" }, "home"],
    [{ AIRFLOW_HOME: "$BASE/af", BASE: "~" }, "home"],
    [{ AIRFLOW_HOME: "~/af", AIRFLOW_CONFIG: "~/etc/my.cfg" }, "config"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Airflow's form of a variable.
    [{ AIRFLOW_CONFIG: "${PLACE}/my.cfg", PLACE: "$REST", REST: "~/etc" }, "config"],
  ])("%j", async (env, url) => {
    expect(await databaseUrl({ env: env as Record<string, string>, files })).toMatchObject({
      url: `sqlite:////${url}`,
    })
  })

  test("and the default database beside it", async () => {
    const world = { env: { AIRFLOW_HOME: "~/a%f" }, files: { "a%f/airflow.db": "" } }
    expect(await databaseUrl(world)).toMatchObject({ url: "sqlite:///~/a%25f/airflow.db" })
  })

  test("or not at all without a home directory, which costs nothing where a variable says it", async () => {
    const config = loadAirflowConfig({ env: { [NEW]: "sqlite:////db" }, home: undefined, uid: USER })
    expect((await config.databaseUrl(signal)).value.reveal()).toBe("sqlite:////db")
    const lost = loadAirflowConfig({ env: {}, home: undefined, uid: USER })
    expect(await lost.databaseUrl(signal).catch(({ hint }) => hint)).toContain("no home directory")
  })
})

describe("values", () => {
  test("are unescaped and expanded as they come from airflow.cfg", async () => {
    const cfg = "[database]\nsql_alchemy_conn = postgresql://u:%%40$PW@h/%(name)s\nname = d"
    expect(await databaseUrl({ cfg, env: { PW: "x" } })).toMatchObject({ url: "postgresql://u:%40x@h/d" })
  })

  test("of variables are expanded and otherwise as they are", async () => {
    const env = { [NEW]: "postgresql://u:%%40%zz$PW$NOT@h/d", PW: "x" }
    expect(await databaseUrl({ env })).toMatchObject({ url: "postgresql://u:%%40%zzx$NOT@h/d" })
  })

  test("that refer to themselves come to an end", async () => {
    expect(await databaseUrl({ env: { [NEW]: "sqlite:////$A", A: "$A" } })).toMatchObject({
      url: "sqlite:////$A",
    })
    expect(await databaseUrl({ env: { [NEW]: "sqlite:////$A", A: "x$A" } })).toHaveProperty("url")
  })

  test("that commands print are as they are", async () => {
    const env = { [`${NEW}_CMD`]: "printf '%s\\n' 'sqlite:////a$PW%%'", PW: "x" }
    expect(await databaseUrl({ env })).toMatchObject({ url: "sqlite:////a$PW%%" })
  })
})

describe("the schema", () => {
  test.each([
    [{ env: { AIRFLOW__DATABASE__SQL_ALCHEMY_SCHEMA: "a" }, cfg: "[database]\nsql_alchemy_schema = b" }, "a"],
    [{ env: { AIRFLOW__CORE__SQL_ALCHEMY_SCHEMA: "a" }, cfg: "[database]\nsql_alchemy_schema = b" }, "a"],
    [{ cfg: "[database]\nsql_alchemy_schema = b\n[core]\nsql_alchemy_schema = c" }, "b"],
    [{ cfg: "[core]\nsql_alchemy_schema = c" }, "c"],
    [{ cfg: "[database]\nsql_alchemy_schema =\nsql_alchemy_schema_cmd = echo no" }, undefined],
    [{ env: { AIRFLOW__DATABASE__SQL_ALCHEMY_SCHEMA_CMD: "echo no" } }, undefined],
  ])("of %j", async (world, schema) => {
    const { answer } = await ask(world as World, (config) => config.schema())
    expect(answer).toBe(schema as string)
  })
})

describe("the Fernet key", () => {
  test.each<[World, object]>([
    [
      { env: { [FERNET]: `${KEY}, ${OTHER_KEY}` }, cfg: `[core]\nfernet_key = ${OTHER_KEY}` },
      { state: "set", from: FERNET, key: KEY },
    ],
    [{ env: { [`${FERNET}_CMD`]: `echo ${KEY}` } }, { state: "set", from: `${FERNET}_CMD`, key: KEY }],
    [
      { cfg: `[core]\nfernet_key = ${KEY}` },
      { state: "set", from: "~/airflow/airflow.cfg [core] fernet_key", key: KEY },
    ],
    [
      { env: { [FERNET]: "" }, cfg: `[core]\nfernet_key = ${KEY}` },
      { state: "empty", from: FERNET },
    ],
    [{ cfg: "[core]\nfernet_key = " }, { state: "empty", from: "~/airflow/airflow.cfg [core] fernet_key" }],
  ])("of %j", async (world, expected) => {
    expect(await fernet(world)).toEqual(expected as never)
  })

  test("is absent, which is not the same as empty, where nothing sets it; and the hint says where it could", async () => {
    for (const world of [{}, { cfg: "[core]\nparallelism = 1" }]) {
      const { state, hint } = (await fernet(world)) as { state: string; hint: string }
      expect(state).toBe("absent")
      for (const place of ["option fernet_key", FERNET, `${FERNET}_CMD`, "~/airflow/airflow.cfg"])
        expect(hint).toContain(place)
    }
  })

  test("that is none is refused by its place", async () => {
    const refused = await fernet({ env: { [FERNET]: "sekrit" } })
    expect(refused).toMatchObject({ code: "fernet-key-invalid" })
    expect(inspect(refused)).toContain(FERNET)
    expect(inspect(refused)).not.toContain("sekrit")
  })
})

describe("a command", () => {
  test("that prints nothing means no plaintext", async () => {
    expect(await fernet({ env: { [`${FERNET}_CMD`]: "true" } })).toMatchObject({
      code: "airflow-config-command",
    })
  })

  test("of a variable is not run by root", async () => {
    const refused = await fernet({ env: { [`${FERNET}_CMD`]: `echo ${KEY}` }, uid: 0 })
    expect(refused).toMatchObject({ code: "airflow-config-command-refused" })
    expect(inspect(refused)).toContain("airflow.cfg that only root can write")
  })

  test("is not looked at where a value comes first", async () => {
    const env = { [FERNET]: KEY, [`${FERNET}_CMD`]: "false" }
    expect(await fernet({ env, uid: 0 })).toMatchObject({ state: "set" })
  })

  const asRoot = process.getuid?.() === 0
  if (!asRoot)
    console.warn("skipped: commands of airflow.cfg as root: only root can make files that root owns")

  test.skipIf(!asRoot).each<[number, number, boolean]>([
    [0, 0o600, true],
    [0, 0o644, true],
    [0, 0o664, false],
    [0, 0o646, false],
    [USER, 0o600, false],
  ])("of an airflow.cfg of uid %d and mode %o: run by root: %p", async (owner, mode, runs) => {
    await using home = await temporaryFolder()
    const path = join(home.path, "airflow.cfg")
    const ran = join(home.path, "ran")
    await writeFile(path, `[core]\nfernet_key_cmd = sh -c "echo x > ${ran}; echo ${KEY}"`)
    await chmod(path, mode)
    await chown(path, owner, 0)
    const config = loadAirflowConfig({ env: { PATH, AIRFLOW_CONFIG: path }, home: undefined, uid: 0 })
    const outcome = await config.fernet(signal).then(
      ({ state }) => state,
      ({ code }) => code,
    )
    expect(outcome).toBe(runs ? "set" : "airflow-config-command-refused")
    expect(await Bun.file(ran).exists()).toBe(runs)
  })

  // Its own owner and mode say nothing of who put it there: a link may lead to any file of root's, such as one in which the
  // kernel shows the words of a command line.
  test.skipIf(!asRoot)(
    "of an airflow.cfg of root's in a folder of somebody else's is not run by root",
    async () => {
      await using home = await temporaryFolder()
      const roots = join(home.path, "roots.cfg")
      const theirs = join(home.path, "theirs")
      const ran = join(home.path, "ran")
      await writeFile(roots, `[core]\nfernet_key_cmd = touch ${ran}`)
      await mkdir(theirs)
      await symlink(roots, join(theirs, "airflow.cfg"))
      await chown(theirs, USER, 0)
      const env = { PATH, AIRFLOW_HOME: theirs }
      const refused = await loadAirflowConfig({ env, home: undefined, uid: 0 })
        .fernet(signal)
        .catch((error) => error)
      expect(refused).toMatchObject({ code: "airflow-config-command-refused" })
      expect(refused.message).toContain(`${theirs} belongs to user ${USER}`)
      expect(await Bun.file(ran).exists()).toBe(false)
      await chown(theirs, 0, 0)
      await lchown(join(theirs, "airflow.cfg"), USER, 0)
      expect(
        await loadAirflowConfig({ env, home: undefined, uid: 0 })
          .fernet(signal)
          .catch(({ code }) => code),
      ).toBe("airflow-config-command-refused")
      expect(await Bun.file(ran).exists()).toBe(false)
    },
  )

  test("of an airflow.cfg that others can write is run by its user, as Airflow does", async () => {
    expect(await fernet({ cfg: `[core]\nfernet_key_cmd = echo ${KEY}` })).toMatchObject({
      state: "set",
      key: KEY,
    })
  })
})

describe("is refused with a way out", () => {
  test("where nothing is configured: by the places looked at", async () => {
    const refused = await databaseUrl({})
    expect(refused).toMatchObject({ code: "airflow-config-missing" })
    const looked = [
      NEW,
      `${NEW}_CMD`,
      OLD,
      `${OLD}_CMD`,
      "~/airflow/airflow.cfg (not there)",
      "~/airflow/airflow.db (not there)",
    ]
    for (const place of ["option url", ...looked]) expect(inspect(refused)).toContain(place)
  })

  test("where the URL is empty", async () => {
    expect(await databaseUrl({ env: { [NEW]: "" }, cfg: "[database]\nsql_alchemy_conn = db" })).toMatchObject(
      {
        code: "airflow-config-missing",
        message: `${NEW}: Airflow's database URL is empty`,
      },
    )
  })

  test.each([
    [{ env: { [NEW]: "postgresql://u:sekrit" } }, NEW, "database-url-invalid"],
    [{ env: { [`${NEW}_CMD`]: "echo sekrit" } }, `${NEW}_CMD`, "database-url-invalid"],
    [
      { cfg: "[database]\nsql_alchemy_conn = mssql://u:sekrit@h/d" },
      "~/airflow/airflow.cfg [database] sql_alchemy_conn",
      "database-url-unsupported",
    ],
    [
      { cfg: "[core]\nsql_alchemy_conn = postgresql://u:sekrit@h/d?sslmode=sekrit" },
      "~/airflow/airflow.cfg [core] sql_alchemy_conn",
      "tls-option-invalid",
    ],
  ])("where the URL cannot be used, by where it stands: %j", async (world, from, code) => {
    const refused = await databaseUrl(world as World)
    expect(refused).toHaveProperty("code", code)
    expect(refused).toHaveProperty("message", expect.stringContaining(`${from}: database URL: `))
    expect(inspect(refused)).not.toContain("sekrit")
  })

  test.each([
    [{ env: { [`${NEW}_SECRET`]: "path" } }, `${NEW}_SECRET`],
    [{ env: { [`${OLD}_SECRET`]: "path" } }, `${OLD}_SECRET`],
    [
      { cfg: "[database]\nsql_alchemy_conn_secret = path" },
      "~/airflow/airflow.cfg [database] sql_alchemy_conn_secret",
    ],
    [
      { cfg: "[core]\nsql_alchemy_conn_secret = path" },
      "~/airflow/airflow.cfg [core] sql_alchemy_conn_secret",
    ],
  ])("where a secrets backend holds it: %j", async (world, from) => {
    const refused = await databaseUrl(world as World)
    expect(refused).toMatchObject({ code: "airflow-config-secrets-backend" })
    expect(refused).toHaveProperty("message", expect.stringContaining(from))
    expect(refused).toHaveProperty("hint", expect.stringContaining("url=file:/path"))
  })

  test("where AIRFLOW_CONFIG names no file, though Airflow's home has one", async () => {
    const refused = await fernet({
      env: { AIRFLOW_CONFIG: "~/late.cfg" },
      cfg: `[core]\nfernet_key = ${KEY}`,
    })
    expect(refused).toMatchObject({
      code: "airflow-config-unreadable",
      message: "~/late.cfg: there is no such file",
    })
  })

  test("where airflow.cfg is a folder, or not sound", async () => {
    const folder = await fernet({ files: { "airflow/airflow.cfg/x": "" } })
    expect(folder).toMatchObject({ code: "airflow-config-unreadable" })
    expect(await fernet({ cfg: "sekrit" })).toMatchObject({ code: "airflow-config-invalid" })
  })

  test("but only where airflow.cfg is needed", async () => {
    expect(await databaseUrl({ env: { [NEW]: "sqlite:////db" }, cfg: "not sound" })).toMatchObject({
      url: "sqlite:////db",
    })
  })
})
