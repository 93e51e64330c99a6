// `ecrelay install systemd` as a person types it: what it writes, what it says of what the unit will not see, and that
// nothing of somebody else's is written over. Units of one's own, so that the machine's stay as they are.
import { expect, test } from "bun:test"
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { carriedEnvironment, profileNotes } from "../src/unit-environment.ts"
import { awsForAll, binary, ecrelay, OFFLINE, standInEnvironment, temporaryFolder } from "./support/binary.ts"

const aws = awsForAll()

const OWN = ["install", "systemd", "--user"]
const WHAT = ["--sink", "docker-config", "--region", "eu-west-1"]

/** A home, and a person in it whose keys are variables. */
async function person() {
  const home = await temporaryFolder()
  const env: Record<string, string> = {
    HOME: home,
    ...standInEnvironment(aws.url),
    ...OFFLINE,
    PATH: process.env.PATH ?? "",
  }
  const install = (...argv: readonly string[]) => ecrelay([...OWN, ...argv], { env })
  const config = join(home, ".config/ecrelay/config.toml")
  const unit = join(home, ".config/systemd/user/ecrelay.service")
  const textOf = (path: string) => readFile(path, "utf8")
  return { home, env, install, config, unit, textOf }
}

test("turns flags into a config file and a unit that reads it", async () => {
  const { install, config, unit, textOf } = await person()
  const { out, error } = await install(...WHAT, "--interval", "5h")
  expect(error).toBe("")
  expect(out).toContain(`wrote ${config}\nwrote ${unit}\n`)
  expect(await textOf(config)).toContain('interval = "5h"')
  expect(await textOf(unit)).toContain(`ExecStart=${await binary()} --config ${config} run\n`)
  expect(await textOf(unit)).toContain("Type=notify\n")
})

test("a unit of the system's reads the machine's file, whatever lies in the home of its user", async () => {
  const { env } = await person()
  const { out } = await ecrelay(["install", "systemd", ...WHAT, "--timer", "--dry-run"], { env })
  expect(out).toContain(
    `ExecStart=${await binary()} --config /etc/ecrelay/config.toml refresh --min-remaining 6h --timeout 5m\n`,
  )
})

test("a unit of the system's whose sink runs a program is let write anywhere", async () => {
  const { env } = await person()
  const sink = ["--sink", "exec,command=/usr/bin/env true", "--region", "eu-west-1"]
  const { out } = await ecrelay(["install", "systemd", ...sink, "--dry-run"], { env })
  expect(out).toContain("\nProtectSystem=full\n")
  expect(out).not.toContain("ReadWritePaths=")
})

test("a timer's unit leaves alone what the person says of time, by flag or by file", async () => {
  const { install, config, unit, textOf } = await person()
  const argumentsOf = async () => /^ExecStart=.* refresh(.*)$/m.exec(await textOf(unit))?.[1]
  await install(...WHAT, "--timer", "--timeout", "10m")
  expect(await textOf(config)).toContain('timeout = "10m"\n')
  expect(await argumentsOf()).toBe(" --min-remaining 6h")
  await writeFile(config, `min_remaining = "8h"\n${await textOf(config)}`)
  await install("--timer", "--force")
  expect(await argumentsOf()).toBe("")
  expect(await textOf(unit)).not.toContain("six hours")
  await install(...WHAT, "--timer", "--min-remaining", "3h", "--force")
  expect(await argumentsOf()).toBe("")
  expect(await textOf(config)).toContain('min_remaining = "3h"\ntimeout = "10m"\n')
})

test("what nobody said of time stands in no file, so that a second run finds nothing said either", async () => {
  const { install, config, unit, textOf } = await person()
  await install(...WHAT, "--timer")
  expect(await textOf(config)).not.toContain("timeout")
  const { out } = await install(...WHAT, "--timer")
  expect(out).toContain(`kept ${config}\nkept ${unit.replace("service", "timer")}\nkept ${unit}\n`)
  expect(await textOf(unit)).toContain(" refresh --min-remaining 6h --timeout 5m\n")
})

test("does not say below what it wrote that nothing was changed, as check does", async () => {
  const { install, env, config } = await person()
  const { out } = await install(...WHAT)
  expect(out).toContain(`wrote ${config}\n`)
  expect(out).toMatch(/^1 error to fix$/m)
  expect(out).not.toContain("nothing was changed")
  const checked = await ecrelay(["check", "--config", config], { env })
  expect(checked.out).toEndWith("; nothing was changed\n")
})

test("leaves a config file that is there as it is, and points the unit at it", async () => {
  const { install, home, config, unit, textOf } = await person()
  await mkdir(join(home, ".config/ecrelay"), { recursive: true })
  const text = '# mine\n[[registry]]\nregion = "eu-west-1"\n[[sink]]\ntype = "docker-config"\n'
  await writeFile(config, text)
  const { out } = await install()
  expect(out).toStartWith(`wrote ${unit}\n`)
  expect(await textOf(config)).toBe(text)
})

test("says the same twice and changes nothing the second time", async () => {
  const { install, config, unit } = await person()
  await install(...WHAT)
  const { out } = await install(...WHAT)
  expect(out).toContain(`kept ${config}\nkept ${unit}\n`)
})

test("replaces a unit that nobody has touched since it was written, and says so", async () => {
  const { install, env, config, unit, textOf } = await person()
  await install(...WHAT)
  const { out } = await ecrelay([...OWN, ...WHAT], { env: { ...env, AWS_MAX_ATTEMPTS: "5" } })
  expect(out).toContain(`kept ${config}\nreplaced ${unit}\n`)
  expect(await textOf(unit)).toContain("Environment=AWS_MAX_ATTEMPTS=5\n")
  await writeFile(unit, (await textOf(unit)).replace("RestartSec=30", "RestartSec=5"))
  const refused = await install(...WHAT)
  expect(refused.code).toBe(2)
  expect(refused.error).toMatch(
    /ecrelay\.service: was changed since it was written, and differs at line \d+ \(RestartSec\) from what would be written now; /,
  )
})

test("refuses to replace what somebody changed, before it writes anything, until it is forced", async () => {
  const { install, config, unit, textOf } = await person()
  await install(...WHAT)
  await writeFile(unit, `${await textOf(unit)}Nice=5\n`)
  const before = [await textOf(config), await textOf(unit)]
  const refused = await install(...WHAT, "--interval", "4h")
  expect(refused).toMatchObject({ out: "", code: 2 })
  const lines = before[1]?.trimEnd().split("\n").length
  expect(refused.error).toBe(
    [
      [config, "differs at line 1 (log_level) from what would be written now"],
      [
        unit,
        `was changed since it was written, and differs at line ${lines} (Nice) from what would be written now`,
      ],
    ]
      .map(([path, says]) => `ecrelay: ${path}: ${says}; --dry-run shows the new file, --force replaces it\n`)
      .join(""),
  )
  expect([await textOf(config), await textOf(unit)]).toEqual(before)
  const { out } = await install(...WHAT, "--interval", "4h", "--force")
  expect(out).toContain(`replaced ${config}\nreplaced ${unit}\n`)
  expect(await textOf(unit)).not.toContain("Nice")
})

test("a dry run shows every file and writes none", async () => {
  const { install, home, config, unit } = await person()
  const { out, code } = await install(...WHAT, "--timer", "--dry-run")
  expect(code).toBe(0)
  expect([...out.matchAll(/^# (\/.*)$/gm)].map(([, path]) => path)).toEqual([
    config,
    unit.replace("service", "timer"),
    unit,
  ])
  expect(out).toContain("Persistent=true\n")
  expect(out).toContain("ExecStart=")
  expect(await readdir(home)).toEqual([])
})

test("writes no secret into a file that everybody may read, and names what the unit will not see", async () => {
  const { install, env, unit, textOf } = await person()
  const { out } = await install(...WHAT)
  expect(out).toContain(
    "the unit gets your AWS_EC2_METADATA_DISABLED, AWS_ENDPOINT_URL, AWS_REGION, HTTPS_PROXY, NO_PROXY\n",
  )
  expect(out).toMatch(
    /does not see your AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: .*\/environment \(mode 0600\)/,
  )
  const tried = await install(...WHAT, "--dry-run")
  expect(tried.error).toBe(
    `${out
      .split("\n")
      .filter((line) => line.startsWith("the unit "))
      .join("\n")}\n`,
  )
  expect((await textOf(unit)) + out + tried.out).not.toContain(env.AWS_SECRET_ACCESS_KEY as string)
  const url = "postgresql://airflow:hunter2@db/airflow"
  const refused = await install("--sink", `airflow-db,conn_id=ecr,url=${url}`, "--region", "eu-west-1")
  expect(refused).toMatchObject({ out: "", code: 2 })
  expect(refused.error).toMatch(/sink\[0\]\.url may hold a secret.*file:PATH, or credential:NAME/)
  expect(refused.error).not.toContain("hunter2")
})

test("lets the unit write where a file database lies", async () => {
  const { install, home, env } = await person()
  await mkdir(join(home, "airflow"))
  await writeFile(join(home, "url"), `sqlite:///${home}/airflow/airflow.db`)
  const sink = `airflow-db,conn_id=ecr,url=file:${home}/url`
  const preview = (one: string) =>
    ecrelay(["install", "systemd", "--sink", one, "--region", "eu-west-1", "--dry-run"], { env })
  expect((await preview(sink)).out).toContain(`ReadWritePaths=${home}/airflow\n`)
  // The key is none of this, and may be there for the unit alone.
  expect((await preview(`${sink},fernet_key=credential:fernet`)).out).toContain(
    `ReadWritePaths=${home}/airflow\n`,
  )
  const lost = await preview(`airflow-db,conn_id=ecr,url=file:${home}/nope`)
  expect(lost.out).not.toContain("ReadWritePaths")
  expect(lost.error).toContain(
    `--sink airflow-db: ecrelay cannot tell where the unit must be allowed to write, so writing may fail: url=file:${home}/nope: `,
  )
  expect((await install("--sink", sink, "--region", "eu-west-1", "--dry-run")).out).not.toContain("ReadWrite")
})

test("never lets the unit write everywhere for a folder that is not there yet", async () => {
  const { env } = await person()
  const what = ["install", "systemd", "--region", "eu-west-1", "--dry-run", "--sink"]
  const refused = await ecrelay([...what, "docker-config,path=/ecrelay-nowhere/of/ours/"], { env })
  expect(refused).toMatchObject({ out: "", code: 2 })
  expect(refused.error).toEndWith(
    "ecrelay: --sink docker-config: /ecrelay-nowhere/of/ours does not exist, and to create it the unit would need to write in /: create the folder first, or choose another path\n",
  )
  const own = ["install", "systemd", "--user", ...what.slice(2), "docker-config,path=/ecrelay-nowhere/"]
  expect((await ecrelay(own, { env })).code).toBe(0)
})

test("has systemd make a folder below /run at every start, and lets the unit write nowhere else there", async () => {
  const { env, install } = await person()
  const what = ["--region", "eu-west-1", "--dry-run", "--sink"]
  const path = "/run/ecrelay-nowhere/of/ours/{region}.json"
  for (const one of [path, `/var${path}`]) {
    const { out } = await ecrelay(["install", "systemd", ...what, `docker-config,path=${one}`], { env })
    expect(out).toMatch(
      /^RuntimeDirectory=ecrelay-nowhere\nRuntimeDirectoryMode=0755\nRuntimeDirectoryPreserve=yes$/m,
    )
    expect(out).not.toContain("ReadWritePaths")
  }
  // What makes two names or a link of one.
  const odd = await ecrelay(["install", "systemd", ...what, "docker-config,path=/run/a:b/config.json"], {
    env,
  })
  expect(odd.out).toContain("ReadWritePaths=/run\n")
  expect((await install(...what, `docker-config,path=${path}`)).out).not.toContain("RuntimeDirectory")
})

test("lets the command of a sink do in a timer's unit what programs do", async () => {
  const { install } = await person()
  const { out } = await install(
    "--timer",
    "--dry-run",
    "--sink",
    "exec,command=/usr/bin/env true",
    ...WHAT.slice(2),
  )
  expect(out).toContain("# MemoryDenyWriteExecute= is left out: a sink ")
})

test("takes the names of credentials into the unit", async () => {
  const { install, env, home } = await person()
  const sink = "airflow-db,conn_id=ecr,url=credential:airflow-url"
  const what = ["--sink", sink, "--region", "eu-west-1", "--dry-run"]
  expect((await ecrelay(["install", "systemd", ...what], { env })).out).toContain(
    "LoadCredential=airflow-url:/etc/ecrelay/credentials/airflow-url\n",
  )
  expect((await install(...what)).out).toContain(
    `LoadCredential=airflow-url:${home}/.config/ecrelay/credentials/airflow-url\n`,
  )
})

test("says which credential has no file yet, since without it systemd starts nothing, not even a check", async () => {
  const { install, home, env, config, unit } = await person()
  const folder = join(home, ".config/ecrelay/credentials")
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, "url"), `sqlite:///${home}/airflow.db`)
  const sink = "airflow-db,conn_id=ecr,url=credential:url,fernet_key=credential:fernet"
  const what = ["--sink", sink, "--region", "eu-west-1"]
  const says = `credential:fernet: there is no ${folder}/fernet, and systemd will not start the unit without it: \`install -D -m 600 /dev/null ${folder}/fernet\`, then write the secret into it\n`
  const { out, code } = await install(...what)
  expect(out).toStartWith(`wrote ${config}\nwrote ${unit}\n`)
  expect(out).toContain(says)
  expect(out).not.toContain("credential:url: ")
  expect(out).toMatch(/\nfix what is wrong above, then: systemctl --user daemon-reload/)
  expect(code).toBe(1)
  expect((await install(...what, "--dry-run")).error).toContain(says)
  const machines = await ecrelay(["install", "systemd", ...what, "--dry-run"], { env })
  expect(machines.error).toContain("`sudo install -D -m 600 /dev/null /etc/ecrelay/credentials/fernet`")
  await writeFile(join(folder, "fernet"), `${Buffer.alloc(32, 7).toString("base64url")}=`)
  const keys = Object.entries(standInEnvironment(aws.url)).map(([name, value]) => `${name}=${value}\n`)
  await writeFile(join(home, ".config/ecrelay/environment"), keys.join(""))
  const checked = await install(...what)
  expect(checked.out).not.toContain("credential:fernet: there is no")
  // The check reads them too, where no systemd hands them to it.
  expect(checked.out).toMatch(/^error +credential:url\n +there is no such file$/m)
})

test("says whose profiles the unit reads, and that an SSO session will not do", async () => {
  const person = await temporaryFolder()
  const [unit, own] = [await temporaryFolder(), { HOME: person }]
  for (const home of [person, unit]) await mkdir(join(home, ".aws/sso/cache"), { recursive: true })
  await writeFile(join(person, ".aws/config"), "[default]\nregion = eu-west-1\n")
  const from = { env: own, home: person }
  const asUnit = { env: { HOME: unit }, home: unit }
  expect(await profileNotes(undefined, from, asUnit)).toEqual([
    `the unit reads AWS profiles from ${unit}/.aws, and does not see ${person}/.aws/config, ${person}/.aws/sso/cache: copy what it needs there, or give it a role`,
  ])
  expect(await profileNotes(undefined, from, { env: own, home: person })).toEqual([])
  await writeFile(join(unit, ".aws/config"), "[profile ci]\nsso_session = corp\n")
  expect(await profileNotes("ci", { env: {}, home: unit }, asUnit)).toEqual([
    expect.stringContaining("profile ci is an SSO session"),
  ])
})

test.each([
  [["install"], "install: say what to install: `ecrelay install systemd`"],
  [["install", "cron"], "install: say what to install: `ecrelay install systemd`"],
  [
    ["install", "systemd", "now"],
    'install takes one WHAT and flags, not "now"; put a value with spaces in quotes',
  ],
  [[...OWN, "--name", "a/b"], "--name: a unit's name may hold only letters, digits and :_.@-"],
  [[...OWN, "--service-user", "daemon"], "--service-user: user units run as yourself; leave --user out"],
  [
    ["install", "systemd", "--dry-run", "--service-user", "no-such-user"],
    "--service-user: there is no user no-such-user; `useradd --system no-such-user` creates one",
  ],
])("%p is refused in words", async (argv, says) => {
  const { env, home } = await person()
  const { out, error, code } = await ecrelay(argv, { env })
  expect({ out, error, code }).toEqual({ out: "", error: `ecrelay: ${says}\n`, code: 2 })
  expect(await readdir(home)).toEqual([])
})

test("of the variables only those go along that tell no secret", () => {
  const { carried, withheld } = carriedEnvironment({
    AWS_PROFILE: "ci",
    AWS_SECRET_ACCESS_KEY: "s",
    AWS_ENDPOINT_URL_ECR: "https://e",
    AWS_PAGER: "less",
    AIRFLOW_HOME: "/opt/airflow",
    AIRFLOW__CORE__FERNET_KEY: "k",
    AIRFLOW_CONN_AWS: "aws://k:s@",
    HTTPS_PROXY: "http://proxy:3128",
    https_proxy: "http://me:hunter2@proxy:3128",
    NO_PROXY: "",
    EDITOR: "vi",
    ECRELAY_SINK: "airflow-db,url=x",
  })
  expect(carried).toEqual({
    AIRFLOW_HOME: "/opt/airflow",
    AWS_ENDPOINT_URL_ECR: "https://e",
    AWS_PROFILE: "ci",
    HTTPS_PROXY: "http://proxy:3128",
  })
  expect(withheld).toEqual([
    "AIRFLOW_CONN_AWS",
    "AIRFLOW__CORE__FERNET_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "https_proxy",
  ])
})

test("a config file that is named from where one stands is found by the unit too", async () => {
  const { env, home, unit, textOf } = await person()
  await writeFile(
    join(home, "mine.toml"),
    '[[registry]]\nregion = "eu-west-1"\n[[sink]]\ntype = "docker-config"\n',
  )
  const child = Bun.spawn([await binary(), ...OWN, "--config", "mine.toml"], {
    env,
    cwd: home,
    stdout: "ignore",
    stderr: "ignore",
  })
  await child.exited
  expect(await textOf(unit)).toContain(` --config ${home}/mine.toml run\n`)
})

test("refuses a path that means another file in the folder that a unit runs in", async () => {
  const { install, home } = await person()
  const refused = await install("--sink", "docker-config,path=docker", "--region", "eu-west-1")
  expect(refused).toMatchObject({ out: "", code: 2 })
  expect(refused.error).toMatch(
    /^ecrelay: --sink docker-config, path: a unit runs in \/, so give the full path: \/.*\/docker\n$/,
  )
  expect(await readdir(home)).toEqual([])
})

test("names the variables behind env: among those that the unit does not see, ours too", async () => {
  const { env } = await person()
  const url = "sqlite:////nowhere/airflow.db"
  const mine = { ...env, MY_DATABASE: url, ECRELAY_SINK0_URL: url, UNUSED: "x" }
  for (const name of ["MY_DATABASE", "ECRELAY_SINK0_URL"]) {
    const sink = `airflow-db,conn_id=ecr,url=env:${name}`
    const { error, code } = await ecrelay([...OWN, "--sink", sink, "--region", "eu-west-1", "--dry-run"], {
      env: mine,
    })
    expect(code).toBe(0)
    expect(error).toMatch(new RegExp(`does not see your AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, ${name}: `))
  }
  const { error } = await ecrelay([...OWN, "--sink", "airflow-db,conn_id=ecr", "--region", "eu-west-1"], {
    env: { ...env, ECRELAY_AIRFLOW_URL: url },
  })
  expect(error).toContain("airflow.url may hold a secret and is not written into a file that others can read")
  expect(error).toContain("write env:ECRELAY_AIRFLOW_URL instead and put the variable into ")
})
