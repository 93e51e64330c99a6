// Who a file is to belong to, as chown takes it: names are looked up in the machine's own user database, be it local
// files, LDAP or whatever stands behind it; numbers are taken as they are.
import type { SinkDeps } from "../../src/sink.ts"
import type { Owner } from "../_file-errors.ts"
import type { Words } from "../_target-error.ts"

/** `USER`, `USER:GROUP` or `:GROUP`, each a name or a number. */
export const OWNER = /^(?=.)([A-Za-z0-9_][\w.@$-]*)?(?::([A-Za-z0-9_][\w.@$-]*))?$/

/** The numbers of an owner, or what is wrong with it. */
export async function loadOwner(owner: string, env: SinkDeps["env"]): Promise<Owner | Words> {
  const [, user, group] = OWNER.exec(owner) ?? []
  const uid = user === undefined ? undefined : await loadNumber("passwd", user, env)
  if (typeof uid === "object") return uid
  const gid = group === undefined ? undefined : await loadNumber("group", group, env)
  return typeof gid === "object" ? gid : { uid, gid }
}

async function loadNumber(
  database: "passwd" | "group",
  name: string,
  { PATH }: SinkDeps["env"],
): Promise<number | Words> {
  if (/^\d+$/.test(name)) return Number(name)
  const { execFile } = await import("node:child_process")
  const env = { PATH: PATH || "/usr/bin:/bin" }
  const { out, code } = await new Promise<{ out: string; code: unknown }>((resolve) => {
    execFile("getent", [database, name], { env }, (error, out) => resolve({ out, code: error?.code }))
  })
  const number = out.split(":")[2]
  if (number) return Number(number)
  return code === 2 ? unknown(database, name) : unanswered(name)
}

const unknown = (database: "passwd" | "group", name: string): Words => ({
  code: "unknown-owner",
  says: `this machine knows no ${database === "group" ? "group" : "user"} ${name}, whom owner= names`,
  hint: `correct owner=; \`getent ${database}\` lists them`,
})

const unanswered = (name: string): Words => ({
  code: "unknown-owner",
  says: `\`getent\` could not be run to look up ${name}, whom owner= names`,
  hint: "give numbers, such as owner=1000:1000; `id` shows them",
})
