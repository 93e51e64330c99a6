// A command for the sink `exec` that knows its whole protocol, run by the tests as `bun exec-command.ts FOLDER [WAY…]`:
// keeps each login in a file of its own, answers every action, and when it fails is as talkative as a careless script.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"

type Login = {
  readonly host: string
  readonly username?: string
  readonly password?: string
  readonly expiresAt?: string
}

const [folder = "", ...ways] = process.argv.slice(2)
const request: { action: string; registries: readonly Login[] } = JSON.parse(readFileSync(0, "utf8"))

/** Quotes the passwords in every form that a script's trace may show, cut and wrapped too. */
function blurt(): void {
  for (const { username, password } of request.registries) {
    if (password === undefined) continue
    const pair = Buffer.from(`${username}:${password}`).toString("base64")
    console.error(JSON.stringify(request))
    console.error(`+ curl -u ${username}:${password} --data ${encodeURIComponent(password)}`)
    console.error(`authorization: Basic ${pair}`)
    console.error(pair.replaceAll(/(.{76})/g, "$1\n"))
    console.error(Buffer.from(password).toString("hex").slice(0, 300))
    console.error(`password ${password.slice(0, 60)}… is of no use`)
  }
}

if (request.action === "deliver" && existsSync(join(folder, "broken"))) {
  blurt()
  process.exit(1)
}
if (ways.includes("unreachable")) {
  blurt()
  console.error("the place does not answer")
  process.exit(75)
}
if (ways.includes("refused")) {
  blurt()
  console.error("permission denied.")
  process.exit(77)
}

const fileOf = ({ host }: Login) => join(folder, "logins", `${host}.json`)
const loginIn = (path: string): Login | undefined =>
  existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined

function write(login: Login): void {
  const path = fileOf(login)
  writeFileSync(`${path}.new`, JSON.stringify(login), { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

function deliver(login: Login): object {
  const { host } = login
  const held = loginIn(fileOf(login))
  if (held && held.username !== "AWS")
    return {
      host,
      outcome: "failed",
      message: `holds ${login.password}, which is not ours`,
      hint: "look who else writes it.",
    }
  if (held?.password === login.password && held?.host === host) return { host, outcome: "unchanged" }
  write(login)
  return { host, outcome: "delivered", expiresAt: login.expiresAt }
}

function isTheirs(registry: Login): boolean {
  const { username = "AWS" } = loginIn(fileOf(registry)) ?? {}
  return username !== "AWS"
}

function read(registry: Login): object {
  const held = loginIn(fileOf(registry))
  if (!held) return { host: registry.host, state: "missing" }
  const { host } = registry
  const expiry = held.expiresAt ? { expiresAt: held.expiresAt } : {}
  const differs =
    held?.host === host && held.username === "AWS" ? {} : { differs: "it is not what I would write" }
  return { host, state: "held", ...expiry, ...differs }
}

const { action, registries } = request
if (ways.includes("plain")) registries.forEach(write)
else if (action === "deliver") console.log(JSON.stringify({ registries: registries.map(deliver) }))
else if (action === "read") console.log(JSON.stringify({ registries: registries.map(read) }))
else
  console.log(
    JSON.stringify({
      findings: [
        { level: "ok", message: "the folder is there" },
        ...registries.filter(isTheirs).map(({ host }) => ({
          level: "error",
          host,
          message: "holds a login of somebody else",
          fix: "look who else writes it",
        })),
      ],
    }),
  )
