// What goes wrong with a file, in words: one row for each system error that a person can do something about.
// The words name the path as the person configured it; the system's own text stays in `cause`.
import type { DeliveryError } from "../src/errors.ts"
import type { SinkDeps } from "../src/sink.ts"
import { targetError, type Words } from "./_target-error.ts"

/** Whose a file is to be; a part that is not given stays as it is. */
export type Owner = { readonly uid: number | undefined; readonly gid: number | undefined }

/** Who may use a file, where that is enforced. */
export type FileAccess = { readonly mode: number; readonly owner?: Owner | undefined }

/** A file of a sink, and how it may be written. */
export type FilePlace = {
  /** The sink's type. */
  readonly sink: string
  /** The absolute path as configured, before links are followed. */
  readonly path: string
  /** Overwrites the file itself instead of renaming a new one onto it. Absent: the sink has no `in_place` to say so. */
  readonly inPlace?: boolean
  /** Without it, mode and owner stay as they are, and a new file is 0600. */
  readonly access?: FileAccess
  readonly deps: Pick<SinkDeps, "env" | "clock" | "uid">
}

/** What is wrong with a file, and what to do about it. */
type FileWords = Words & {
  /** What else helps where the sink can be told to write in place. */
  readonly orInPlace?: string
}

const NOT_PERMITTED: FileWords = {
  code: "permission",
  says: "not permitted to read or write it",
  hint: "run as the user that owns the file, or let this user read and write both the file and its folder",
}
const MOUNT_POINT: FileWords = {
  code: "mount-point",
  says: "is a mount of its own, so no new file can be renamed onto it",
  hint: "mount its folder instead of the file",
  orInPlace: "or add in_place=true (a crash halfway can then leave half a file)",
  retryable: false,
}
const NO_SPACE: FileWords = {
  code: "no-space",
  says: "no space is left on its file system",
  hint: "free some space there; the file is unchanged",
  retryable: true,
}
const TOO_MANY_FILES: FileWords = {
  code: "file-system",
  says: "cannot be opened: too many files are open already",
  hint: "allow more (`ulimit -n`; under systemd: LimitNOFILE=), or find what holds so many open",
}

const WORDS: Readonly<Record<string, FileWords>> = {
  EACCES: NOT_PERMITTED,
  EPERM: NOT_PERMITTED,
  EROFS: {
    code: "read-only",
    says: "is on a read-only file system",
    hint: "mount it writable (under systemd: ReadWritePaths=), or choose another file with path=",
  },
  ENOSPC: NO_SPACE,
  EDQUOT: NO_SPACE,
  EFBIG: {
    code: "file-system",
    says: "would grow larger than the limit for files",
    hint: "allow more (`ulimit -f`; under systemd: LimitFSIZE=); the file is unchanged",
  },
  EMFILE: TOO_MANY_FILES,
  ENFILE: TOO_MANY_FILES,
  EBUSY: MOUNT_POINT,
  EXDEV: MOUNT_POINT,
  ENOTDIR: {
    code: "not-a-folder",
    says: "a part of the path is not a folder",
    hint: "correct the path, or move the file that stands in the way",
  },
  EISDIR: {
    code: "not-a-file",
    says: "is not a regular file",
    hint: "name a file, not a folder, pipe or device",
  },
  ELOOP: {
    code: "link-loop",
    says: "its symbolic links form a loop",
    hint: "look at them with `namei -l` and correct the one that points back",
  },
  EOPNOTSUPP: {
    code: "no-new-files",
    says: "its folder exists but accepts no new file",
    hint: "name a file on an ordinary file system, not below /proc",
  },
  ENOENT: {
    code: "lock-lost",
    says: "its folder went away, or another ecrelay took over the lock, while it was being written",
    hint: "this is retried; if it persists, the disk is too slow",
    retryable: true,
  },
}

/** A mode as people write it: `0640`. */
export const formatMode = (mode: number | bigint): string =>
  (Number(mode) & 0o7777).toString(8).padStart(4, "0")

/** A system error of our own making. */
export function systemError(code: string): Error {
  return Object.assign(new Error(code), { code })
}

/** A system error as a DeliveryError; anything else, a bug above all, as it is. */
export function inWords(cause: unknown, place: FilePlace): unknown {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  if (typeof code !== "string" || !/^E[A-Z0-9]+$/.test(code)) return cause
  const words = WORDS[code] ?? {
    code: "file-system",
    says: `the file system answered ${code}`,
    hint: "check the state of that file system",
  }
  return fileError(words, place, cause)
}

/** The DeliveryError of a place: its message begins with the path. */
export function fileError(words: FileWords, place: FilePlace, cause?: unknown): DeliveryError {
  const orInPlace = place.inPlace === undefined ? undefined : words.orInPlace
  const hint = [words.hint, orInPlace].filter(Boolean).join(", ")
  return targetError(place.sink, place.path, { ...words, hint }, cause)
}

/** Its owner could not be kept. */
export function ownerError(place: FilePlace, cause?: unknown): DeliveryError {
  const words = {
    code: "owner",
    says: "belongs to another user or group, which a new file could not keep",
    hint: "run as the user that owns it",
    orInPlace: "or add in_place=true to write into the file itself",
    retryable: false,
  }
  return fileError(words, place, cause)
}

/** Somebody alive held the lock for too long. */
export function lockedError(place: FilePlace): DeliveryError {
  const words = {
    code: "locked",
    says: "another ecrelay has been writing it for too long",
    hint: "this is retried; find out which program holds the file beside it whose name has .ecrelay- in it",
    retryable: true,
  }
  return fileError(words, place)
}

/** It changed under every attempt. */
export function contendedError(place: FilePlace): DeliveryError {
  const words = {
    code: "contended",
    says: "another program keeps changing it",
    hint: "this is retried; if it persists, find the program that keeps logging in there",
    retryable: true,
  }
  return fileError(words, place)
}

/** It is a mount of its own. */
export const mountPointError = (place: FilePlace) => fileError(MOUNT_POINT, place)
