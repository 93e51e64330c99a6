// A person on a booted machine whose own systemd runs, as it does for somebody who lingers there.
import type { Machine } from "./machine.ts"

/** A person with a home and a manager of their own. */
export type Person = {
  readonly home: string
  /** Runs a command as this person; their manager answers to `systemctl --user`. */
  run(command: string): ReturnType<Machine["run"]>
  /** Runs it again and again until its output matches. */
  until(command: string, pattern: RegExp): Promise<string>
  /** Writes a file of theirs. */
  write(path: string, text: string): Promise<void>
}

// What libpam-systemd does at a login, which this small machine has not.
const MANAGER = `[Service]
PAMName=
Environment=XDG_RUNTIME_DIR=/run/user/%i
`

/** Makes the account and starts its manager. Rejects with what systemd said where that does not start. */
export async function startUserManager(machine: Machine, name: string): Promise<Person> {
  await machine.write("/etc/systemd/system/user@.service.d/test.conf", MANAGER)
  const made = await machine.run(
    `useradd --create-home ${name} && systemctl daemon-reload && loginctl enable-linger ${name}
     systemctl start user@$(id -u ${name}).service`,
  )
  if (made.code !== 0)
    throw new Error(`${made.out}${(await machine.run("journalctl --no-pager -n 20 -o cat")).out}`)
  const uid = (await machine.run(`id -u ${name}`)).out.trim()
  const home = `/home/${name}`
  const variables = `XDG_RUNTIME_DIR=/run/user/${uid} HOME=${home}`
  const asPerson = (command: string) =>
    `exec runuser -u ${name} -- env ${variables} sh -c '${command.replaceAll("'", `'\\''`)}'`
  return {
    home,
    run: (command) => machine.run(asPerson(command)),
    until: (command, pattern) => machine.until(asPerson(command), pattern),
    async write(path, text) {
      await machine.write(path, text)
      await machine.run(`chown -R ${name}: ${home}`)
    },
  }
}
