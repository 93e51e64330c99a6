// Whose a file is and who may read it: as it was, or as its place wants it. A new file is given both before it gets its
// name, so that nobody sees it otherwise.
// As root, a file is only given away where root alone can change the way to it: whoever can swap a folder for a link
// meanwhile would get a file of their own wherever they like.
import * as fs from "node:fs"
import { lstat } from "node:fs/promises"
import { dirname } from "node:path"
import type { DeliveryError } from "../src/errors.ts"
import { type FilePlace, fileError, formatMode, inWords, ownerError } from "./_file-errors.ts"
import { followLinks, nearestFolder } from "./_folder.ts"
import { findTrusted } from "./_trust.ts"

/** Why mode or owner of a file is not as its place wants it, in words; undefined where it is. */
export function accessDifference(stat: fs.BigIntStats, { access, deps }: FilePlace): string | undefined {
  // Without user ids, there are no such modes either.
  if (!access || deps.uid === undefined) return undefined
  const { mode, owner } = access
  if (owner?.uid !== undefined && BigInt(owner.uid) !== stat.uid)
    return `it belongs to user ${stat.uid}, not ${owner.uid}`
  if (owner?.gid !== undefined && BigInt(owner.gid) !== stat.gid)
    return `it belongs to group ${stat.gid}, not ${owner.gid}`
  return (Number(stat.mode) & 0o7777) === mode
    ? undefined
    : `its mode is ${formatMode(stat.mode)}, not ${formatMode(mode)}`
}

/** Gives an open file owner and mode: those that are wanted, else those that it `was` of, else the owner for new files. */
export function setAccess(
  fd: number,
  was: fs.BigIntStats | undefined,
  newOwner: { readonly uid: number; readonly gid: number } | undefined,
  place: FilePlace,
): void {
  const is = fs.fstatSync(fd)
  const usual = was ? { uid: Number(was.uid), gid: Number(was.gid) } : (newOwner ?? is)
  const { uid = usual.uid, gid = usual.gid } = place.access?.owner ?? {}
  if (uid !== is.uid || gid !== is.gid)
    try {
      fs.fchownSync(fd, uid, gid)
    } catch (cause) {
      if (!isRefusal(cause)) throw cause
      throw place.access?.owner ? giftError(place, cause) : ownerError(place, cause)
    }
  // After the owner, since a change of owner clears bits of the mode.
  if (place.access) enforceMode(fd, place.access.mode, place)
  else if (was) fs.fchmodSync(fd, Number(was.mode) & 0o7777)
}

function enforceMode(fd: number, mode: number, place: FilePlace): void {
  const differs = () => place.deps.uid !== undefined && (Number(fs.fstatSync(fd).mode) & 0o7777) !== mode
  if (!differs()) return
  try {
    fs.fchmodSync(fd, mode)
  } catch (cause) {
    throw isRefusal(cause) ? modeError(place, cause) : cause
  }
  // Some file systems take every mode and keep none.
  if (differs()) throw modeError(place)
}

// Anything else, such as a full or a broken disk, has words of its own.
const isRefusal = (cause: unknown) =>
  ["EPERM", "EACCES", "EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes((cause as { code: string }).code)

/** Why owner and mode could not be what they must be, undefined if nothing speaks against it. */
export function whyNotAccessible(
  stat: fs.BigIntStats | undefined,
  place: FilePlace,
): DeliveryError | undefined {
  const { access, inPlace, deps } = place
  if (deps.uid === undefined || deps.uid === 0) return undefined
  const own = BigInt(deps.uid)
  const wanted = access?.owner?.uid
  if (wanted !== undefined && BigInt(wanted) !== own) return giftError(place)
  if (!stat || stat.uid === own) return undefined
  if (inPlace) return accessDifference(stat, place) === undefined ? undefined : modeError(place)
  return wanted === undefined ? ownerError(place) : undefined
}

/** Why root must not give this file away; undefined where it may. */
export async function whyNotGiven(place: FilePlace): Promise<unknown> {
  if (place.deps.uid !== 0 || !place.access?.owner) return undefined
  try {
    const file = await followLinks(place.path)
    for (const path of new Set([place.path, file])) {
      const trust = await findTrusted(nearestFolder(dirname(path)), 0)
      if ("part" in trust) return swapError(trust.part, place)
    }
    // In a folder with the sticky bit, it may be anybody's.
    const isLink = file !== place.path
    return isLink && (await lstat(place.path)).uid !== 0 ? swapError(place.path, place) : undefined
  } catch (error) {
    return inWords(error, place)
  }
}

const giftError = (place: FilePlace, cause?: unknown) =>
  fileError(
    {
      code: "owner",
      says: "this user may not give it to the owner or group that is configured",
      hint: "run as root; or run as that owner, leave owner= out, and name only a group that the user is in (owner=:GROUP)",
      retryable: false,
    },
    place,
    cause,
  )

const modeError = (place: FilePlace, cause?: unknown) =>
  fileError(
    {
      code: "mode",
      says: `its mode cannot be made ${formatMode(place.access?.mode ?? 0)}`,
      hint: "run as its owner or as root, or move it to a file system that stores modes",
      retryable: false,
    },
    place,
    cause,
  )

const swapError = (part: string, place: FilePlace) =>
  fileError(
    {
      code: "owner",
      says: `root does not give a file away where others can change the way to it: ${part}`,
      hint: "choose a path that only root can change, such as below /etc/ecrelay or /run; or run as the owner and leave owner= out",
      retryable: false,
    },
    place,
  )
