// The service under a real systemd: installed from the .deb, through an outage of AWS, a broken configuration, a power
// cut, and as every kind of unit that `install systemd` writes, with its hardening. Signals have a file of their own.
import { Database } from "bun:sqlite"
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test"
import { mkdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { connectionTable } from "./support/airflow-tables.ts"
import { binary, temporaryFolder } from "./support/binary.ts"
import { bootPackaged, CONFIG, HOST, type PackagedMachine } from "./support/packaged-machine.ts"
import { describeWithService } from "./support/services.ts"

describeWithService("systemd", "a machine under systemd", (facts) => {
  let packaged: PackagedMachine
  let aws: PackagedMachine["aws"]
  let machine: PackagedMachine["machine"]
  beforeAll(async () => {
    packaged = await bootPackaged(facts)
    aws = packaged.aws
    machine = packaged.machine
  }, 120_000)
  afterAll(() => packaged?.[Symbol.asyncDispose]())
  afterEach(() => packaged.clear())

  const environment = () => packaged.environment()
  const installed = (config?: string) => packaged.installed(config)
  const hosts = () => packaged.hosts()
  const show = (...properties: readonly string[]) => packaged.show(...properties)

  test("dpkg -i, three lines and enable --now keep a target fresh, for everybody to see, through a power cut", async () => {
    await installed()
    const enabled = await machine.run("systemctl enable --now ecrelay")
    expect(enabled.code).toBe(0)
    expect(await hosts()).toEqual([HOST])
    const seen = await machine.until("systemctl status ecrelay --no-pager", /Status: "1 target fresh/)
    expect(seen).toMatch(/Active: active \(running\)/)
    expect(seen).toMatch(/Status: "1 target fresh, next refresh \d\d:\d\d UTC"/)
    const variables = "set -a; . /etc/ecrelay/environment; HOME=/root;"
    expect((await machine.run(`${variables} ecrelay status`)).out).toStartWith("fresh")
    const checked = await machine.run(`${variables} ecrelay check`)
    expect({ code: checked.code, said: checked.out }).toMatchObject({
      code: 0,
      said: expect.stringContaining("1 target would be delivered"),
    })
    await machine.run("rm -r /root/.docker")
    await machine.powerCycle()
    await machine.until("systemctl is-active ecrelay", /^active/)
    expect(await hosts()).toEqual([HOST])
    await machine.run("systemctl disable ecrelay")
  }, 60_000)

  test("what root has in a home of its own is not the service's", async () => {
    await installed()
    await machine.write("/root/.config/ecrelay/config.toml", "[[snk]]\n")
    expect(await machine.run("systemctl start ecrelay ecrelay-refresh.service")).toMatchObject({ code: 0 })
    expect(await hosts()).toEqual([HOST])
    await machine.run("rm -r /root/.config/ecrelay")
  }, 60_000)

  test("the package's service reads credentials where the package has their folder, and does without them too", async () => {
    const key = Buffer.alloc(32, 7).toString("base64url").concat("=")
    const file = join(await temporaryFolder(), "airflow.db")
    const db = new Database(file, { create: true })
    for (const statement of connectionTable("3.3", "sqlite")) db.run(statement)
    db.close()
    const sink = `[[sink]]\ntype = "airflow-db"\nconn_id = "ecr"\nurl = "sqlite:////srv/airflow.db"\nfernet_key = "credential:fernet"\n`
    await installed(`${CONFIG}${sink}`)
    await machine.copy(file, "/srv/airflow.db")
    expect((await machine.run("stat -c %a /etc/ecrelay/credentials")).out).toBe("700\n")
    await machine.write("/etc/ecrelay/credentials/fernet", key)
    for (const unit of ["ecrelay", "ecrelay-refresh"])
      expect(await machine.run(`systemctl start ${unit}.service`)).toMatchObject({ code: 0 })
    await machine.until("systemctl show ecrelay --property=StatusText", /=2 targets fresh/)
    await machine.run("rm -r /etc/ecrelay/credentials")
    await machine.write("/etc/ecrelay/config.toml", CONFIG)
    expect(await machine.run("systemctl restart ecrelay")).toMatchObject({ code: 0 })
  }, 60_000)

  test("a unit that wants the service and comes after it finds the login; beside a timer it waits for one", async () => {
    await installed()
    const needs = (...lines: readonly string[]) =>
      machine.write(
        "/etc/systemd/system/needs.service",
        [...lines, "ExecStart=test -s /root/.docker/config.json\n"].join("\n"),
      )
    const start = "systemctl daemon-reload; systemctl start needs"
    await needs("[Unit]", "Wants=ecrelay.service", "After=ecrelay.service", "[Service]", "Type=oneshot")
    expect(await machine.run(start)).toMatchObject({ code: 0 })
    await machine.run("systemctl stop ecrelay; rm -r /root/.docker")
    const wait = /ExecStartPre=[^`]* wait [^`]*/.exec(
      await readFile(join(import.meta.dir, "../README.md"), "utf8"),
    )?.[0]
    await needs(
      "[Service]",
      "Type=oneshot",
      "EnvironmentFile=/etc/ecrelay/environment",
      wait?.replace("/usr/local", "/usr") ?? "",
    )
    const waiting = machine.run(start)
    await machine.until("journalctl -u needs --no-pager -o cat", /waiting for docker-config/)
    await machine.run("systemctl start ecrelay-refresh.service")
    expect(await waiting).toMatchObject({ code: 0 })
  }, 60_000)

  test("while AWS is away the start waits and says why, and goes through when it is back", async () => {
    await installed()
    const down = { kind: "error", status: 503, type: "ServiceUnavailable", message: "not now" } as const
    // The SDK asks three times each time it is asked.
    aws.fail("GetAuthorizationToken", down, 9)
    const starting = machine.run("systemctl start ecrelay")
    await machine.until(
      "systemctl show ecrelay --property=ActiveState,StatusText",
      /StatusText=0 of 1 target fresh; .*next attempt[\s\S]*=activating/,
    )
    expect(await starting).toMatchObject({ code: 0 })
    expect(await hosts()).toEqual([HOST])
  }, 60_000)

  test("a wrong configuration fails the start at once, with the reason, and is not tried again", async () => {
    await installed(CONFIG.replace("docker-config", "docker-confg"))
    expect((await machine.run("systemctl start ecrelay")).code).not.toBe(0)
    expect(await show("ActiveState", "Result", "ExecMainStatus", "NRestarts")).toEqual([
      "ActiveState=failed",
      "ExecMainStatus=2",
      "NRestarts=0",
      "Result=exit-code",
    ])
    expect((await machine.run("journalctl -u ecrelay --no-pager -o cat")).out).toContain(
      "did you mean docker-config?",
    )
  }, 60_000)

  test("reload takes a good configuration, keeps the old one where the new one is broken, and comes back either way", async () => {
    await installed()
    await machine.run("systemctl start ecrelay")
    const other = "210987654321.dkr.ecr.eu-west-1.amazonaws.com"
    await machine.write("/etc/ecrelay/config.toml", `[[registry]]\nhost = "${other}"\n${CONFIG}`)
    expect(await machine.run("systemctl reload ecrelay")).toMatchObject({ code: 0 })
    await machine.until("systemctl show ecrelay --property=StatusText", /=2 targets fresh/)
    expect(await hosts()).toEqual([HOST, other])
    await machine.write("/etc/ecrelay/config.toml", "[[snk]]\n")
    await machine.run("systemctl reload ecrelay")
    await machine.until("journalctl -u ecrelay --no-pager -o cat", /keeping the previous configuration/)
    await machine.until(
      "systemctl show ecrelay --property=ActiveState,StatusText",
      /=2 targets fresh[\s\S]*=active/,
    )
  }, 60_000)

  test("with keys that AWS refuses the start waits, and says so", async () => {
    await installed()
    await machine.write("/etc/ecrelay/environment", `${environment()}AWS_SECRET_ACCESS_KEY=wrong\n`)
    const starting = machine.run("systemctl start ecrelay")
    await machine.until(
      "systemctl show ecrelay --property=StatusText,ActiveState",
      /0 of 1 target fresh; .*did not accept the signature.*[\s\S]*=activating/,
    )
    await machine.run("systemctl stop ecrelay")
    expect((await starting).code).not.toBe(0)
  }, 60_000)

  test("check finds a database that the service's user cannot write, and a tmp that lets nothing run", async () => {
    await installed()
    await machine.run("id worker || useradd --create-home worker; mkdir -p /srv/airflow /srv/noexec")
    const folder = await temporaryFolder()
    const file = join(folder, "airflow.db")
    const db = new Database(file, { create: true })
    for (const statement of connectionTable("3.3", "sqlite")) db.run(statement)
    db.close()
    await machine.copy(file, "/srv/airflow/airflow.db")
    await machine.run("mount -t tmpfs -o noexec,mode=1777 tmpfs /srv/noexec")
    const sink = "airflow-db,conn_id=ecr,url=sqlite:////srv/airflow/airflow.db,allow_plaintext=true"
    const check = (env: string) =>
      machine.run(
        `set -a; . /etc/ecrelay/environment; ${env} runuser -u worker -- ecrelay check --region eu-west-1 --sink ${sink}`,
      )
    const refused = await check("HOME=/home/worker")
    expect(refused).toMatchObject({ code: 1, out: expect.stringMatching(/^error .*airflow\.db/) })
    await machine.run("chown -R worker: /srv/airflow")
    expect(await check("HOME=/home/worker")).toMatchObject({ code: 0 })
    const noexec = await check("HOME=/home/worker TMPDIR=/srv/noexec")
    expect(noexec).toMatchObject({ code: 0, out: expect.stringContaining("is mounted noexec") })
    await machine.run("umount /srv/noexec")
  }, 60_000)

  test("the timer's service refreshes what is due, and the timer knows its next time", async () => {
    await installed()
    expect(await machine.run("systemctl start ecrelay-refresh.timer ecrelay-refresh.service")).toMatchObject({
      code: 0,
    })
    expect(await hosts()).toEqual([HOST])
    expect((await machine.run("systemctl list-timers --no-pager ecrelay-refresh.timer")).out).toContain(
      "ecrelay-refresh.service",
    )
    await machine.run("systemctl stop ecrelay-refresh.timer")
  }, 60_000)

  test("the README's five lines do what they say", async () => {
    await installed()
    await machine.run("dpkg --purge ecrelay; rm -rf /etc/ecrelay/config.toml")
    await machine.copy(await binary(), "/root/ecrelay")
    await machine.run("mkdir -p /root/dist; mv /root/ecrelay /root/dist/")
    const readme = await readFile(join(import.meta.dir, "../README.md"), "utf8")
    const [, block = ""] = /```sh\n(sudo install [\s\S]*?)```/.exec(readme) ?? []
    const lines = block.trim().split("\n")
    expect(lines).toHaveLength(5)
    for (const line of lines) {
      const { out, code } = await machine.run(`cd /root; ${line.replace(/^sudo /, "")}`)
      expect({ line, out, code }).toEqual({ line, out, code: 0 })
    }
    expect(await hosts()).toEqual([HOST])
    await machine.run("systemctl disable --now ecrelay; rm /usr/local/bin/ecrelay /etc/ecrelay/config.toml")
  }, 60_000)

  test("as another user, with everything forbidden that the work does not need, it writes files and databases", async () => {
    await installed()
    await machine.run("useradd --create-home airflow; mkdir -p /home/airflow/db")
    const folder = await temporaryFolder()
    await mkdir(folder, { recursive: true })
    const file = join(folder, "airflow.db")
    const db = new Database(file, { create: true })
    for (const statement of connectionTable("3.3", "sqlite")) db.run(statement)
    db.close()
    await machine.copy(file, "/home/airflow/db/airflow.db")
    const config = `${CONFIG}[[sink]]\ntype = "airflow-db"\nconn_id = "ecr"\nurl = "credential:url"\nfernet_key = "credential:fernet"\n`
    await machine.write("/etc/ecrelay/config.toml", config)
    const bare = await machine.run("ecrelay install systemd --service-user airflow")
    expect(bare.code).toBe(1)
    expect(bare.out).toContain("credential:url: there is no /etc/ecrelay/credentials/url, ")
    await machine.write(
      "/etc/ecrelay/credentials/fernet",
      Buffer.alloc(32, 7).toString("base64url").concat("="),
    )
    await machine.write("/etc/ecrelay/credentials/url", "sqlite:////home/airflow/db/airflow.db")
    await machine.run("chmod 600 /etc/ecrelay/credentials/*; chown -R airflow: /home/airflow")
    const done = await machine.run("ecrelay install systemd --service-user airflow")
    expect({ ...done }).toMatchObject({ code: 0 })
    expect(done.out).toContain("2 targets would be delivered")
    expect(await machine.run("systemctl daemon-reload && systemctl start ecrelay")).toMatchObject({ code: 0 })
    await machine.until("systemctl show ecrelay --property=StatusText", /=2 targets fresh/)
    const { auths } = JSON.parse(await machine.read("/home/airflow/.docker/config.json"))
    expect(Object.keys(auths)).toEqual([HOST])
    expect((await machine.run("stat -c %U /home/airflow/.docker/config.json")).out).toBe("airflow\n")
    expect((await machine.run("systemd-analyze security --no-pager ecrelay")).out).toMatch(
      /exposure level.*: 1\.\d/,
    )
  }, 60_000)

  test("a target in /run comes back with the machine, for its readers too, and a folder of others keeps its mode", async () => {
    await installed()
    await machine.run("id keeper || useradd --create-home keeper; mkdir -m 700 /run/containers")
    const { out } = await machine.run(
      `set -a; . /etc/ecrelay/environment; ecrelay install systemd --force --region eu-west-1 --sink docker-config,path=/run/containers/0/auth.json`,
    )
    expect(out).toContain("1 target would be delivered")
    await machine.run("systemctl daemon-reload; systemctl start ecrelay")
    expect((await machine.run("stat -c '%a %U' /run/containers")).out).toBe("700 root\n")
    // systemd would give it, and all in it, to the unit's user.
    const foreign = `ecrelay install systemd --dry-run --service-user keeper --region eu-west-1 --sink docker-config,path=/run/containers/0/`
    expect((await machine.run(foreign)).out).toMatch(/^ReadWritePaths=\/run\/containers/m)
    const unit = "systemctl daemon-reload; systemctl enable --now ecrelay"
    const own = `ecrelay install systemd --force --service-user keeper --region eu-west-1 --sink docker-config,path=/run/ecrelay/{region}.json`
    expect((await machine.run(`systemctl stop ecrelay; ${own}; ${unit}`)).out).toContain("1 target would be")
    const file = "stat -c '%a %U' /run/ecrelay /run/ecrelay/eu-west-1.json"
    expect((await machine.run(file)).out).toBe("755 keeper\n600 keeper\n")
    expect((await machine.run(`systemctl stop ecrelay; ${file}`)).out).toBe("755 keeper\n600 keeper\n")
    await machine.powerCycle()
    await machine.until("systemctl is-active ecrelay", /^active/)
    expect((await machine.run(file)).out).toBe("755 keeper\n600 keeper\n")
    await machine.run("systemctl disable --now ecrelay")
  }, 60_000)

  test("the same install a second time narrows its unit to the folder that the first delivery has made", async () => {
    await installed()
    const install = "ecrelay install systemd; systemctl daemon-reload; systemctl restart ecrelay"
    expect((await machine.run(install)).out).toContain("wrote /etc/systemd/system/ecrelay.service\n")
    const again = await machine.run(install)
    expect(again).toMatchObject({ code: 0, out: expect.stringMatching(/^replaced \/etc\/systemd\//) })
    expect(await machine.read("/etc/systemd/system/ecrelay.service")).toContain(
      "ReadWritePaths=/root/.docker\n",
    )
    expect(await machine.run(install)).toMatchObject({ code: 0, out: expect.stringMatching(/^kept /) })
  }, 60_000)

  test("an outage of the database and a rotated Fernet key cost nothing but time", async () => {
    await installed()
    const folder = await temporaryFolder()
    const [old, rotated] = [11, 12].map((seed) => Buffer.alloc(32, seed).toString("base64url").concat("="))
    const file = join(folder, "airflow.db")
    const db = new Database(file, { create: true })
    for (const statement of connectionTable("3.3", "sqlite")) db.run(statement)
    db.close()
    await machine.run("mkdir -p /var/lib/airflow")
    await machine.copy(file, "/var/lib/airflow/airflow.db")
    await machine.write("/etc/ecrelay/fernet", old ?? "")
    const sink = `[[sink]]\ntype = "airflow-db"\nconn_id = "ecr"\nurl = "sqlite:////var/lib/airflow/airflow.db"\nfernet_key = "file:/etc/ecrelay/fernet"\n`
    await machine.write("/etc/ecrelay/config.toml", `interval = "1s"\n${CONFIG}${sink}`)
    await machine.run("systemctl start ecrelay")
    const status = "systemctl show ecrelay --property=StatusText"
    await machine.until(status, /=2 targets fresh/)
    await machine.run("mv /var/lib/airflow/airflow.db /var/lib/airflow/away")
    await machine.until(status, /1 of 2 targets fresh; .*holds a login until/)
    await machine.run("mv /var/lib/airflow/away /var/lib/airflow/airflow.db")
    await machine.until(status, /=2 targets fresh/)
    await machine.write("/etc/ecrelay/fernet", `${rotated},${old}`)
    // Twice: a delivery that was under way may still have had the old key alone.
    for (let change = 0; change < 2; change += 1) {
      const before = await machine.run("sha256sum /var/lib/airflow/airflow.db")
      await machine.until(
        "sha256sum /var/lib/airflow/airflow.db",
        new RegExp(`^(?!${before.out.slice(0, 64)})`),
      )
    }
    await machine.write("/etc/ecrelay/fernet", rotated ?? "")
    await machine.run("systemctl restart ecrelay")
    await machine.until(status, /=2 targets fresh/)
    expect(await show("ActiveState", "NRestarts")).toEqual(["ActiveState=active", "NRestarts=0"])
  }, 120_000)
})
