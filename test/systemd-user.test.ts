// Units of one's own under a real user's manager: what `install systemd --user` writes starts, tells how things are,
// reads its configuration again, stops, and may do no more than it needs.
import { Database } from "bun:sqlite"
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test"
import { join } from "node:path"
import { type StandIn, startAws } from "../scripts/aws.ts"
import { connectionTable } from "./support/airflow-tables.ts"
import { binary, OFFLINE, standInEnvironment, temporaryFolder } from "./support/binary.ts"
import { bootCopy, type Machine } from "./support/machine.ts"
import { describeWithService } from "./support/services.ts"
import { type Person, startUserManager } from "./support/user-manager.ts"

const HOST = "012345678901.dkr.ecr.eu-west-1.amazonaws.com"
const OTHER = "210987654321.dkr.ecr.eu-west-1.amazonaws.com"
const INSTALL = "ecrelay install systemd --user"

describeWithService("systemd", "a person's own systemd", (facts) => {
  let aws: StandIn
  let machine: Machine
  let person: Person
  beforeAll(async () => {
    aws = startAws()
    machine = await bootCopy(facts)
    await machine.copy(await binary(), "/usr/local/bin/ecrelay")
    person = await startUserManager(machine, "worker")
  }, 120_000)
  afterAll(async () => {
    await machine?.[Symbol.asyncDispose]()
    await aws?.stop()
  })
  afterEach(async () => {
    await person.run(
      `systemctl --user stop "ecrelay*"; systemctl --user reset-failed
       rm -rf ~/.docker ~/.config/ecrelay ~/.config/systemd; systemctl --user daemon-reload`,
    )
  })

  const keys = () => Object.entries({ ...standInEnvironment(aws.url), ...OFFLINE })

  /** Installs with the person's keys, and puts what the unit does not see into its environment file. */
  async function install(...flags: readonly string[]) {
    await person.write(
      `${person.home}/.config/ecrelay/environment`,
      keys()
        .map(([name, value]) => `${name}=${value}\n`)
        .join(""),
    )
    const given = keys().map(([name, value]) => `${name}='${value}'`)
    return person.run([...given, INSTALL, ...flags, "&& systemctl --user daemon-reload"].join(" "))
  }

  async function hosts(): Promise<readonly string[]> {
    return Object.keys(JSON.parse(await machine.read(`${person.home}/.docker/config.json`)).auths)
  }

  const show = async (...properties: readonly string[]) =>
    (await person.run(`systemctl --user show ecrelay --property=${properties.join(",")}`)).out
      .trim()
      .split("\n")
      .sort()

  test("enable --now is done once the login is there; status says how things are, and stop ends it well", async () => {
    const installed = await install("--sink docker-config --region eu-west-1")
    expect(installed).toMatchObject({ code: 0, out: expect.stringContaining("1 target would be delivered") })
    expect(await person.run("systemctl --user enable --now ecrelay")).toMatchObject({ code: 0 })
    expect(await hosts()).toEqual([HOST])
    const seen = await person.until("systemctl --user status ecrelay --no-pager", /Status: "1 target fresh/)
    expect(seen).toMatch(/Active: active \(running\)/)
    expect(seen).toMatch(/Status: "1 target fresh, next refresh \d\d:\d\d UTC"/)
    expect(await show("User", "WatchdogUSec")).toEqual(["User=", "WatchdogUSec=10min"])
    expect((await machine.run(`stat -c %U ${person.home}/.docker/config.json`)).out).toBe("worker\n")
    expect(await person.run("systemctl --user stop ecrelay")).toMatchObject({ code: 0 })
    expect(await show("ActiveState", "ExecMainStatus", "Result")).toEqual([
      "ActiveState=inactive",
      "ExecMainStatus=0",
      "Result=success",
    ])
  }, 60_000)

  test("install says how units live on after a logout, and then they come up with the machine", async () => {
    const hint = "`sudo loginctl enable-linger worker` keeps them running from boot on"
    expect((await install("--sink docker-config --region eu-west-1")).out).not.toContain("linger")
    await machine.run("loginctl disable-linger worker")
    expect((await install("--sink docker-config --region eu-west-1")).out).toContain(hint)
    expect(await machine.run(hint.split("`")[1]?.replace("sudo ", "") ?? "")).toMatchObject({ code: 0 })
    expect((await install("--sink docker-config --region eu-west-1")).out).not.toContain("linger")
    await person.run("systemctl --user enable --now ecrelay; rm -r ~/.docker")
    await machine.powerCycle()
    await person.until("systemctl --user is-active ecrelay", /^active/)
    expect(await hosts()).toEqual([HOST])
  }, 60_000)

  test("reload takes a changed configuration, and keeps the old one where the new one is broken", async () => {
    await install("--sink docker-config --region eu-west-1")
    await person.run("systemctl --user start ecrelay")
    const file = `${person.home}/.config/ecrelay/config.toml`
    await person.write(file, `${await machine.read(file)}[[registry]]\nhost = "${OTHER}"\n`)
    expect(await person.run("systemctl --user reload ecrelay")).toMatchObject({ code: 0 })
    await person.until("systemctl --user show ecrelay --property=StatusText", /=2 targets fresh/)
    expect([...(await hosts())].sort()).toEqual([HOST, OTHER])
    await person.write(file, "[[snk]]\n")
    await person.run("systemctl --user reload ecrelay")
    await machine.until("journalctl --no-pager -o cat _COMM=ecrelay", /keeping the previous configuration/)
    await person.until("systemctl --user show ecrelay --property=ActiveState", /=active/)
  }, 60_000)

  test("the timer's service refreshes once when it is started, and the timer stands in the list", async () => {
    await install("--timer --sink docker-config --region eu-west-1")
    const before = aws.calls.filter(({ operation }) => operation === "GetAuthorizationToken").length
    expect(await person.run("systemctl --user enable --now ecrelay.timer")).toMatchObject({ code: 0 })
    expect(await person.run("systemctl --user start ecrelay.service")).toMatchObject({ code: 0 })
    expect(await hosts()).toEqual([HOST])
    expect(aws.calls.filter(({ operation }) => operation === "GetAuthorizationToken")).toHaveLength(
      before + 1,
    )
    expect(await show("ActiveState", "Result", "Type")).toEqual([
      "ActiveState=inactive",
      "Result=success",
      "Type=oneshot",
    ])
    const listed = await person.run("systemctl --user list-timers --no-pager --all")
    expect(listed.out).toMatch(/ecrelay\.timer +ecrelay\.service/)
  }, 60_000)

  test("secrets come from the person's own folder, into a database", async () => {
    const file = join(await temporaryFolder(), "airflow.db")
    const db = new Database(file, { create: true })
    for (const statement of connectionTable("3.3", "sqlite")) db.run(statement)
    db.close()
    await machine.copy(file, `${person.home}/airflow.db`)
    const folder = `${person.home}/.config/ecrelay/credentials`
    await person.write(`${folder}/fernet`, `${Buffer.alloc(32, 7).toString("base64url")}=`)
    await person.write(`${folder}/url`, `sqlite:///${person.home}/airflow.db`)
    await install(
      "--region eu-west-1 --sink airflow-db,conn_id=ecr,url=credential:url,fernet_key=credential:fernet",
    )
    expect(await person.run("systemctl --user start ecrelay")).toMatchObject({ out: "", code: 0 })
    await person.until("systemctl --user show ecrelay --property=StatusText", /=1 target fresh/)
  }, 60_000)

  test("what the unit forbids is forbidden", async () => {
    await install("--sink docker-config --region eu-west-1")
    await person.run("systemctl --user start ecrelay")
    const pid = /\d+/.exec((await show("MainPID"))[0] ?? "")?.[0]
    const { out } = await machine.run(`cat /proc/${pid}/status /proc/${pid}/limits`)
    expect(out).toMatch(/^NoNewPrivs:\t1$/m)
    expect(out).toMatch(/^Max core file size +0 +0 /m)
    // One filter each for families, namespaces, set-uid files, realtime, personality, architectures and calls.
    expect(Number(/^Seccomp_filters:\t(\d+)$/m.exec(out)?.[1])).toBeGreaterThanOrEqual(6)
    const unit = "ecrelay.service"
    const drop = `~/.config/systemd/user/${unit}.d`
    // What the unit starts makes no namespace of its own, and is told so.
    await person.run(
      `mkdir -p ${drop}; printf '[Service]\\nExecStartPre=-/bin/sh -c "unshare --user --map-root-user true 2>%%h/said"' > ${drop}/test.conf
       systemctl --user daemon-reload; systemctl --user restart ${unit}`,
    )
    expect(await machine.read(`${person.home}/said`)).toContain("Operation not permitted")
  }, 60_000)
})
