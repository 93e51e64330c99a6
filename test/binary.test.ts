// The compiled binary, driven as a person drives it: what it prints, how it ends, what it leaves as it was.

import { Database } from "bun:sqlite"
import { describe, expect, test } from "bun:test"
import { chmod, copyFile, mkdir, open, readdir, readFile, stat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { connectionTable } from "./support/airflow-tables.ts"
import { awsForAll, binary, ecrelay, standInEnvironment, temporaryFolder } from "./support/binary.ts"
import { LACKS, testUnless, UNSHARE } from "./support/files.ts"

const aws = awsForAll()

const HOST = "012345678901.dkr.ecr.eu-west-1.amazonaws.com"
const ROLE = "arn:aws:iam::210987654321:role/ecr-pull"
const KEY = Buffer.alloc(32, 7).toString("base64url").concat("=")

/** A home and the environment that reaches the stand-in. */
async function person(more: Record<string, string> = {}) {
  const home = await temporaryFolder()
  return { home, env: { HOME: home, ...standInEnvironment(aws.url), ...more } }
}

async function loginIn(home: string): Promise<string> {
  const { auths } = JSON.parse(await readFile(join(home, ".docker/config.json"), "utf8"))
  return Buffer.from(auths[HOST].auth, "base64").toString()
}

async function airflowHome(home: string, fernetKey = KEY): Promise<string> {
  const folder = join(home, "airflow")
  await mkdir(folder)
  await writeFile(
    join(folder, "airflow.cfg"),
    `[core]\nfernet_key = ${fernetKey}\n[database]\nsql_alchemy_conn = sqlite:///${folder}/airflow.db\n`,
  )
  const db = new Database(join(folder, "airflow.db"), { create: true })
  for (const statement of connectionTable("3.3", "sqlite")) db.run(statement)
  db.close()
  return folder
}

describe("the binary", () => {
  test("delivers a decoded login with no more than a sink named", async () => {
    const { home, env } = await person()
    const { out, error, code } = await ecrelay(["--sink", "docker-config"], { env })
    expect({ error, code }).toEqual({ error: "", code: 0 })
    expect(out).toMatch(
      /^delivered {2}docker-config {2}\/.*\/\.docker\/config\.json auths\["012345678901\.dkr\.ecr\.eu-west-1\.amazonaws\.com"\] {2}until .* UTC \(11h 59m\)\n$/,
    )
    expect(await loginIn(home)).toMatch(/^AWS:[A-Za-z0-9+/=]{2000,}$/)
  })

  test("tells AWS who asks, for CloudTrail", async () => {
    const { env } = await person()
    const more = ["--registry", "public.ecr.aws", "--registry", HOST, "--role-arn", ROLE]
    const before = aws.calls.length
    await ecrelay(["--sink", "docker-config", ...more], { env })
    const [, version] = /^ecrelay (\S+)/.exec((await ecrelay(["--version"], { env })).out) ?? []
    const agents = aws.calls.slice(before).map(({ operation, userAgent }) => ({ operation, userAgent }))
    const userAgent = expect.stringMatching(new RegExp(`^aws-sdk-js/.* ecrelay/${version}$`))
    for (const operation of ["AssumeRole", "ecr-public", "GetAuthorizationToken"])
      expect(agents).toContainEqual({ operation, userAgent })
  })

  test("tells with --log-level debug by which links of AWS's chain the keys came", async () => {
    const { home, env } = await person()
    const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, ...variables } = env as Record<string, string>
    await mkdir(join(home, ".aws"))
    await writeFile(
      join(home, ".aws/credentials"),
      `[ci]\naws_access_key_id = ${AWS_ACCESS_KEY_ID}\naws_secret_access_key = ${AWS_SECRET_ACCESS_KEY}\n`,
    )
    const argv = ["--sink", "docker-config", "--profile", "ci", "--log-level", "debug"]
    const { error, code } = await ecrelay(argv, { env: variables })
    expect(code).toBe(0)
    expect(error).toContain("profile ci: access key ending in DEMO (PROFILE), endpoint http://127.0.0.1:")
    expect(error).not.toContain(String(AWS_SECRET_ACCESS_KEY))
  })

  test("logs in to ECR Public beside a private registry, each with a token of its own", async () => {
    const { home, env } = await person()
    const before = aws.calls.length
    const argv = ["--registry", "public.ecr.aws", "--registry", HOST, "--sink", "docker-config"]
    expect(await ecrelay(argv, { env })).toMatchObject({ error: "", code: 0 })
    const { auths } = JSON.parse(await readFile(join(home, ".docker/config.json"), "utf8"))
    expect(Object.keys(auths).sort()).toEqual([HOST, "public.ecr.aws"].sort())
    expect(auths["public.ecr.aws"].auth).not.toBe(auths[HOST].auth)
    const calls = aws.calls.slice(before).map(({ operation, region }) => `${operation} ${region}`)
    expect(calls.sort()).toEqual(["GetAuthorizationToken eu-west-1", "ecr-public us-east-1"])
  })

  test("finds Airflow's database and key where Airflow finds them", async () => {
    const { home, env } = await person()
    const folder = await airflowHome(home)
    const { out, code } = await ecrelay(["--sink", "airflow-db,conn_id=ecr_docker"], {
      env: { ...env, AIRFLOW_HOME: folder },
    })
    expect({ out, code }).toMatchObject({ out: expect.stringContaining("delivered"), code: 0 })
    const db = new Database(join(folder, "airflow.db"), { readonly: true })
    expect(
      db
        .query(
          "SELECT conn_type, host, login, port, is_encrypted FROM connection WHERE conn_id = 'ecr_docker'",
        )
        .all(),
    ).toEqual([{ conn_type: "docker", host: HOST, login: "AWS", port: null, is_encrypted: 1 }])
  })

  test("says until when a login is good, and ends with 1 when one is not", async () => {
    const { env } = await person()
    expect(await ecrelay(["status", "--sink", "docker-config"], { env })).toMatchObject({
      code: 1,
      out: expect.stringMatching(/^missing/),
    })
    await ecrelay(["--sink", "docker-config"], { env })
    expect(await ecrelay(["status", "--sink", "docker-config"], { env })).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^fresh/),
    })
    const { out } = await ecrelay(["status", "--sink", "docker-config", "--output", "json"], { env })
    expect(JSON.parse(out)).toMatchObject({
      targets: [
        { sink: "docker-config", registry: HOST, state: "fresh", remainingSeconds: expect.any(Number) },
      ],
    })
  })

  test("says in help what a flag means in the command at hand", async () => {
    const helpOf = async (command: string) => (await ecrelay([command, "--help"])).out
    expect(await helpOf("refresh")).toMatch(/--min-remaining .* Leave alone targets/)
    expect(await helpOf("status")).toMatch(
      /--min-remaining .* A login that is good for less than this is stale/,
    )
    expect(await helpOf("status")).toMatch(/--interval .* No effect here/)
  })

  test("leaves a login alone that has enough life, and asks AWS for no token", async () => {
    const { env } = await person()
    await ecrelay(["--sink", "docker-config"], { env })
    const before = aws.calls.filter(({ operation }) => operation === "GetAuthorizationToken").length
    const { out, code } = await ecrelay(["--sink", "docker-config", "--min-remaining", "4h"], { env })
    expect({ out, code }).toMatchObject({ out: expect.stringMatching(/^skipped/), code: 0 })
    expect(aws.calls.filter(({ operation }) => operation === "GetAuthorizationToken")).toHaveLength(before)
  })

  test("shows in a dry run what would change, and changes nothing", async () => {
    const { home, env } = await person()
    const { out, code } = await ecrelay(["--sink", "docker-config", "--dry-run"], { env })
    expect({ out, code }).toMatchObject({ out: expect.stringContaining("nothing was changed"), code: 0 })
    expect(await readdir(home)).toEqual([])
  })

  test("refreshes twice as a service, and stops when asked", async () => {
    const { env } = await person()
    const child = Bun.spawn(
      [await binary(), "run", "--sink", "docker-config", "--interval", "1s", "--log-format", "json"],
      { env, stderr: "pipe", stdout: "ignore" },
    )
    let text = ""
    for await (const chunk of child.stderr) {
      text += new TextDecoder().decode(chunk)
      if (text.split('"outcome":"delivered"').length > 2) child.kill("SIGTERM")
    }
    expect(await child.exited).toBe(0)
    expect(
      text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).message)
        .at(-1),
    ).toBe("stopped")
  }, 30_000)

  test("prints a config file that says the same as the flags, and never a secret", async () => {
    const { home, env } = await person()
    const flags = [
      "--region",
      "eu-west-1",
      "--sink",
      "docker-config",
      "--sink",
      "airflow-db,conn_id=ecr,url=postgresql://u:hunter2@db/airflow",
      "--interval",
      "6h",
    ]
    const { out, error, code } = await ecrelay(["config", ...flags], { env })
    expect(code).toBe(0)
    expect(out + error).not.toContain("hunter2")
    await writeFile(join(home, "config.toml"), out)
    const again = await ecrelay(["config", "--config", join(home, "config.toml")], { env })
    expect({ out: again.out, error: again.error }).toEqual({ out, error: "" })
  })

  // A file system, since a folder's mode stops no root; and with a database, whose driver has a native part of its own.
  testUnless(
    LACKS.mounts,
    "runs with nothing beside it, from a file system that cannot be written",
    async () => {
      const { home, env } = await person()
      const folder = await temporaryFolder()
      await copyFile(await binary(), join(folder, "ecrelay"))
      const airflow = await airflowHome(home)
      const script =
        'mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"; cd "$0"; touch x 2>/dev/null && exit 9; exec ./ecrelay "$@"'
      const sinks = ["--sink", "docker-config", "--sink", "airflow-db,conn_id=ecr"]
      const child = Bun.spawn([...UNSHARE, "sh", "-c", script, folder, ...sinks], {
        env: { PATH: process.env.PATH, ...env, AIRFLOW_HOME: airflow },
        stdout: "pipe",
        stderr: "pipe",
      })
      const out = await new Response(child.stdout).text()
      expect({ out, error: await new Response(child.stderr).text(), code: await child.exited }).toEqual({
        out: expect.stringMatching(/^delivered .*\ndelivered .*\n$/),
        error: "",
        code: 0,
      })
      expect(await loginIn(home)).toStartWith("AWS:")
    },
  )

  test("runs no code and reads no settings of the folder it is started in", async () => {
    const { home, env } = await person()
    const hostile = await temporaryFolder()
    await writeFile(join(hostile, "bunfig.toml"), 'preload = ["./evil.ts"]\n')
    await writeFile(
      join(hostile, "evil.ts"),
      `import { writeFileSync } from "node:fs"; writeFileSync(${JSON.stringify(join(home, "pwned"))}, "")`,
    )
    // Of what they would set, nothing is set otherwise: whatever is read counts.
    const settings = `AWS_REGION=us-east-1\nDOCKER_CONFIG=${join(home, "pwned")}\nECRELAY_DRY_RUN=1\n`
    for (const name of [".env", ".env.local", ".env.production"])
      await writeFile(join(hostile, name), settings)
    await writeFile(join(hostile, "tsconfig.json"), "{ not json")
    await writeFile(join(hostile, "package.json"), "{ not json")
    const { AWS_REGION = "", ...variables } = env as Record<string, string>
    const { out, code } = await ecrelay(["refresh", "--sink", "docker-config"], {
      env: { ...variables, AWS_DEFAULT_REGION: AWS_REGION },
      cwd: hostile,
    })
    expect({ out, code }).toMatchObject({ out: expect.stringContaining(HOST), code: 0 })
    expect(await readdir(home)).toEqual([".docker"])
  })

  test("is stamped with its version and the commit that it was built from", async () => {
    const { version } = JSON.parse(await readFile(join(import.meta.dir, "../package.json"), "utf8"))
    const argv = [Bun.which("git") ?? "false", "rev-parse", "--short=7", "HEAD"]
    const git = Bun.spawnSync(argv, { cwd: import.meta.dir })
    const commit = git.success ? ` (${git.stdout.toString().trim()})` : ""
    expect((await ecrelay(["--version"])).out).toBe(`ecrelay ${version}${commit}\n`)
  })
})

/** Bad input: what is typed, what is said, how it ends. `AIRFLOW` is replaced by a folder with a database. */
const REFUSALS: readonly {
  readonly name: string
  readonly argv: readonly string[]
  readonly says: RegExp
  readonly code: 1 | 2
  readonly env?: Record<string, string>
}[] = [
  { name: "nothing at all", argv: [], says: /^ecrelay .*Usage:.*Examples:/s, code: 2 },
  {
    name: "an unknown command",
    argv: ["refesh"],
    says: /unknown command "refesh"; did you mean refresh\?/,
    code: 2,
  },
  {
    name: "an unknown flag",
    argv: ["refresh", "--sinc", "docker-config"],
    says: /--sinc: unknown flag; did you mean --sink\?/,
    code: 2,
  },
  { name: "a flag without its value", argv: ["refresh", "--sink"], says: /--sink: needs a value/, code: 2 },
  {
    name: "no sink",
    argv: ["refresh"],
    says: /no sink: say where to deliver, such as --sink docker-config/,
    code: 2,
  },
  { name: "an unknown sink", argv: ["--sink", "docker"], says: /unknown sink.*docker-config/, code: 2 },
  {
    name: "an unknown option",
    argv: ["--sink", "docker-config,pth=/x"],
    says: /pth: unknown option; did you mean path\?/,
    code: 2,
  },
  {
    name: "an option that is missing",
    argv: ["--sink", "airflow-db"],
    says: /conn_id: is required/,
    code: 2,
  },
  {
    name: "a host that is not ECR's",
    argv: [
      "--sink",
      "docker-config",
      "--registry",
      "012345678901.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
    ],
    says: /is not an ECR registry/,
    code: 2,
  },
  {
    name: "a repository instead of a registry",
    argv: ["--sink", "docker-config", "--registry", `${HOST}/app`],
    says: /names a repository; the registry alone is 012345678901/,
    code: 2,
  },
  {
    name: "a bad duration",
    argv: ["run", "--sink", "docker-config", "--interval", "6"],
    says: /--interval: 6 has no unit; write 6s, 6m or 6h/,
    code: 2,
  },
  {
    name: "an interval that is not shorter than a token's life",
    argv: ["run", "--sink", "docker-config", "--interval", "12h"],
    says: /must be shorter than 12h/,
    code: 2,
  },
  {
    name: "an interval for refresh",
    argv: ["refresh", "--sink", "docker-config", "--interval", "6h"],
    says: /--interval: .*`ecrelay run --interval …`/,
    code: 2,
  },
  {
    name: "no region",
    argv: ["--sink", "docker-config"],
    says: /no region: name one with --region or AWS_REGION/,
    code: 2,
    env: { AWS_REGION: "" },
  },
  {
    name: "a database URL of another kind",
    argv: ["--sink", "airflow-db,conn_id=x,url=mssql://db/airflow"],
    says: /this kind of database is not supported.*postgresql:\/\//,
    code: 2,
  },
  {
    name: "one target for two registries",
    argv: ["--region", "eu-west-1", "--region", "us-east-1", "--sink", "airflow-db,conn_id=ecr"],
    says: /would be written for own registry in eu-west-1 and for own registry in us-east-1; put \{account\} or \{region\}/,
    code: 2,
  },
  {
    name: "a role that is none",
    argv: ["--sink", "docker-config", "--role-arn", "pull"],
    says: /--role-arn: is not the ARN of a role, such as arn:/,
    code: 2,
  },
  {
    name: "a list without its quotes, of which a piece looks like an option",
    argv: ["--sink", "airflow-db,conn_id=x,fernet_key=first,hunter2hunter2hunter2hunter2hunter2="],
    says: /--sink airflow-db: .*put a value with a comma in quotes/,
    code: 2,
  },
  {
    name: "no credentials",
    argv: ["--sink", "docker-config"],
    says: /no AWS credentials found.*\n.*hint: set AWS_ACCESS_KEY_ID/,
    code: 1,
    env: { AWS_ACCESS_KEY_ID: "" },
  },
  {
    name: "a wrong secret key",
    argv: ["--sink", "docker-config"],
    says: /AWS did not accept the signature.*\n.*hint: check AWS_SECRET_ACCESS_KEY/,
    code: 1,
    env: { AWS_SECRET_ACCESS_KEY: "wrong" },
  },
  {
    name: "AWS out of reach",
    argv: ["--sink", "docker-config", "--timeout", "1s"],
    says: /AWS cannot be reached.*\n.*hint: /,
    code: 1,
    env: { AWS_ENDPOINT_URL: "http://127.0.0.1:9" },
  },
  {
    name: "an endpoint that is no URL",
    argv: ["--sink", "docker-config"],
    says: /^ecrelay: AWS_ENDPOINT_URL: must be a URL that starts with https:\/\/ or http:\/\/, without user name and password\n$/,
    code: 2,
    env: { AWS_ENDPOINT_URL: "nonsense" },
  },
  {
    name: "a database out of reach",
    argv: [
      "--timeout",
      "1s",
      "--sink",
      "airflow-db,conn_id=x,url=postgresql://u:hunter2@127.0.0.1:9/airflow,allow_plaintext=true",
    ],
    says: /airflow-db .*127\.0\.0\.1:9/,
    code: 1,
  },
  {
    name: "a wrong Fernet key",
    argv: [
      "--sink",
      `airflow-db,conn_id=x,url=sqlite:///AIRFLOW/airflow.db,fernet_key=${Buffer.alloc(32, 9).toString("base64")}`,
    ],
    says: /decrypts none of the encrypted rows.*\n.*hint: /,
    code: 1,
  },
  {
    name: "a Fernet key that is none",
    argv: ["--sink", "airflow-db,conn_id=x,url=sqlite:///AIRFLOW/airflow.db,fernet_key=hunter2"],
    says: /fernet/i,
    code: 2,
  },
  {
    name: "a database file that is not there",
    argv: ["--sink", "airflow-db,conn_id=x,url=sqlite:////nowhere/airflow.db,allow_plaintext=true"],
    says: /\/nowhere\/airflow\.db/,
    code: 1,
  },
  {
    name: "a connection that is not ours",
    argv: [
      "--sink",
      `airflow-db,conn_id=postgres_default,url=sqlite:///AIRFLOW/airflow.db,fernet_key=${KEY}`,
    ],
    says: /holds.*postgres.*\n.*adopt=true/,
    code: 1,
  },
]

describe("bad input gets one clear message", () => {
  for (const { name, argv, says, code, env: more } of REFUSALS)
    test(name, async () => {
      const { home, env } = await person(more)
      const folder = await airflowHome(home)
      const db = new Database(join(folder, "airflow.db"))
      db.run(
        "INSERT INTO connection (conn_id, conn_type, host, password, is_encrypted, is_extra_encrypted) VALUES ('postgres_default', 'postgres', 'db', 'gAAAAAB', 1, 0)",
      )
      db.close()
      const before = await snapshot(home)
      const result = await ecrelay(
        argv.map((arg) => arg.replace("AIRFLOW", folder)),
        { env },
      )
      const said = result.out + result.error
      expect(said).toMatch(says)
      expect(result.code).toBe(code)
      expect(said).not.toMatch(/\n\s+at |hunter2|\[object|undefined|unexpected/)
      expect(await snapshot(home)).toEqual(before)
    }, 20_000)

  const setpriv = process.getuid?.() === 0 ? Bun.which("setpriv") : null
  test.skipIf(!setpriv)(
    setpriv
      ? "no home at all"
      : "no home at all (skipped: needs root and setpriv to become a user without one)",
    async () => {
      const { env } = await person({ HOME: "" })
      const argv = [
        "--reuid=54321",
        "--regid=54321",
        "--clear-groups",
        await binary(),
        "--sink",
        "docker-config",
      ]
      const child = Bun.spawn([setpriv as string, ...argv], { env, cwd: "/", stderr: "pipe", stdout: "pipe" })
      const said = await new Response(child.stderr).text()
      expect({ said, code: await child.exited }).toMatchObject({
        said: expect.stringMatching(/^ecrelay: .*home.*\n$/),
        code: 2,
      })
    },
  )

  test.skipIf(!setpriv)(
    setpriv
      ? "a file that cannot be written"
      : "a file that cannot be written (skipped: needs root and setpriv to become a user)",
    async () => {
      const { home, env } = await person()
      await mkdir(join(home, ".docker"))
      await writeFile(join(home, ".docker/config.json"), "{}")
      for (const path of [home, join(home, ".docker")]) await chmod(path, 0o755)
      const before = await snapshot(home)
      const argv = [
        "--reuid=54321",
        "--regid=54321",
        "--clear-groups",
        await binary(),
        "--sink",
        "docker-config",
      ]
      const child = Bun.spawn([setpriv as string, ...argv], { env, cwd: "/", stderr: "pipe", stdout: "pipe" })
      const said = await new Response(child.stdout).text()
      expect({ said, code: await child.exited }).toMatchObject({
        said: expect.stringMatching(/^failed .*\n.*config\.json: .*\n.*hint: /),
        code: 1,
      })
      expect(await snapshot(home)).toEqual(before)
    },
  )

  test("a config.json that cannot be understood", async () => {
    const { home, env } = await person()
    await mkdir(join(home, ".docker"))
    await writeFile(join(home, ".docker/config.json"), '{"auths": {"x": hunter2')
    const before = await snapshot(home)
    const { out, code } = await ecrelay(["--sink", "docker-config"], { env })
    expect({ out, code }).toMatchObject({
      out: expect.stringMatching(/^failed .*\n.*JSON.*\n.*hint: /),
      code: 1,
    })
    expect(out).not.toContain("hunter2")
    expect(await snapshot(home)).toEqual(before)
  })

  test("several mistakes are all named at once", async () => {
    const { env } = await person()
    const { error, code } = await ecrelay(
      [
        "run",
        "--sink",
        "dockr-config",
        "--registry",
        "example.com",
        "--interval",
        "13h",
        "--timeout",
        "soon",
      ],
      { env },
    )
    expect(code).toBe(2)
    expect(error.trim().split("\n")).toHaveLength(4)
  })

  test("a config file with mistakes names each by its path", async () => {
    const { home, env } = await person()
    const path = join(home, "config.toml")
    await writeFile(
      path,
      'intervall = "6h"\n[[registry]]\nhost = "example.com"\n[[sink]]\ntype = "docker-config"\n',
    )
    const { error, code } = await ecrelay(["refresh", "--config", path], { env })
    expect(code).toBe(2)
    expect(error).toBe(
      `ecrelay: ${path}: intervall: unknown key; did you mean interval?\necrelay: ${path}: registry[0]: "example.com" is not an ECR host; give its account and region too\n`,
    )
  })
})

/** Every file below a folder with its content, mode and time of change. */
async function snapshot(folder: string): Promise<unknown> {
  const names = (await readdir(folder, { recursive: true })).sort()
  return Promise.all(
    names.map(async (name) => {
      const about = await stat(join(folder, name))
      return [
        name,
        about.mode,
        about.mtimeMs,
        about.isFile() ? await readFile(join(folder, name), "base64") : "",
      ]
    }),
  )
}

test("a config file that is a pipe, into which nobody writes, is waited for until the first SIGTERM", async () => {
  const folder = await temporaryFolder()
  const pipe = join(folder, "pipe")
  Bun.spawnSync(["mkfifo", pipe])
  const child = Bun.spawn([await binary(), "check", "--config", pipe], {
    env: { HOME: folder },
    stderr: "pipe",
  })
  // Returns once there is a reader.
  const writer = await open(pipe, "w")
  child.kill("SIGTERM")
  expect(await child.exited).toBe(1)
  await writer.close()
  expect(await new Response(child.stderr).text()).toBe("ecrelay: stopped by SIGTERM\n")
}, 10_000)

test.each(["config --region eu-west-1 --sink docker-config", "status --sink docker-config", "--version"])(
  "%s says that its report could not be written whole",
  async (command) => {
    const child = Bun.spawn(["sh", "-c", `"$0" ${command} > /dev/full`, await binary()], {
      env: { PATH: process.env.PATH, HOME: await temporaryFolder(), ...standInEnvironment(aws.url) },
      stderr: "pipe",
    })
    expect(await new Response(child.stderr).text()).toBe(
      "ecrelay: standard output: cannot be written in full [ENOSPC]\n",
    )
    expect(await child.exited).toBe(1)
  },
)

test("whoever reads no further has had enough", async () => {
  const child = Bun.spawn(["sh", "-c", '"$0" sinks | true; echo done', await binary()], {
    stdout: "pipe",
    stderr: "pipe",
  })
  expect([await new Response(child.stdout).text(), await new Response(child.stderr).text()]).toEqual([
    "done\n",
    "",
  ])
})

test("a long report reaches a slow reader whole", async () => {
  const home = await temporaryFolder()
  const flags = Array.from(
    { length: 500 },
    (_, i) => `--registry ${String(i).padStart(12, "0")}.dkr.ecr.eu-west-1.amazonaws.com`,
  )
  const script = `"$0" status --sink docker-config ${flags.join(" ")} | (sleep 0.2; wc -l)`
  const child = Bun.spawn(["sh", "-c", script, await binary()], {
    env: { PATH: process.env.PATH, HOME: home },
    stdout: "pipe",
  })
  expect((await new Response(child.stdout).text()).trim()).toBe("1000")
})
