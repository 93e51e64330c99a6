// Users of this machine, as its own user database knows them: local files, LDAP or whatever stands behind it.
import { execFile } from "node:child_process"

/** A user, their first group and where their home is. */
export type UnixUser = {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
}

/** The user of a name or a number; undefined where there is none. */
export async function loadUnixUser(nameOrUid: string): Promise<UnixUser | undefined> {
  const line = await new Promise<string>((resolve) => {
    execFile("getent", ["passwd", nameOrUid], (error, out) => resolve(error ? "" : out.trim()))
  })
  const [name, , uid, gid, , home] = line.split(":")
  return name && uid && home ? { name, uid: Number(uid), gid: Number(gid), home } : undefined
}
