// Docker's config.json as a value: which login stands for a host, what hides it, and the text with other logins in it.
// Knows how docker, docker-py and podman look a login up: a helper first, then the bare host as a key, then any key
// that is the same host with a scheme or an API version. Docker and podman, as all of Go, take a key in any case. No I/O.
import { type Credential, decodeAuthorizationToken, ECR_USER_NAME, expiryOf } from "../../src/credential.ts"
import * as json from "../_json.ts"

/** A config.json as far as logins go. */
export type DockerConfig = {
  readonly text: string
  readonly root: json.JsonObject
  readonly auths: json.JsonObject
  /** The values of `auths` by key, as text. */
  readonly entries: ReadonlyMap<string, string>
  /** Keys of `auths` that mean a host otherwise than by its bare name. */
  readonly twins: ReadonlyMap<string, readonly string[]>
  /** Who is asked for a host by `credHelpers`, and for all others by `credsStore`; `key` as it stands there. */
  readonly helpers: ReadonlyMap<string, Asked>
  readonly store: Asked | undefined
}

type Asked = { readonly key: string; readonly helper: string }

/** A login as it stands; `differs` says why it is not what we would write. */
export type StoredLogin = {
  readonly auth: string
  readonly expiresAt: number | undefined
  readonly differs: string | undefined
  /** Whether programs would really log in with it. */
  readonly usable: boolean
}

// Members of an entry that some program prefers to `auth`.
const RIVALS = ["identitytoken", "registrytoken", "username", "password"]

const isRival = (key: string) => key !== "auth" && [...RIVALS, "auth"].includes(key.toLowerCase())

/** The config that a file holds, or in words why it is none. The words tell nothing of what it holds. */
export function parseDockerConfig(bytes: Uint8Array | undefined): DockerConfig | string {
  const text = decodeUtf8(bytes)
  if (text === undefined) return "is not UTF-8"
  // Docker takes an empty file for an empty config, and so may we: there is nothing in it to lose.
  const document = text.trim() === "" ? "{}\n" : text
  if (!isJson(document)) return "is not valid JSON"
  const root = json.splitObject(document)
  if (!root) return "is not a JSON object"
  const other = keysLike(root, "auths").find((key) => key !== "auths")
  if (other)
    return `"${other}" in it means "auths" to docker and nothing to other programs: write it in lower case`
  const auths = objectMember(root, "auths")
  if (!auths) return '"auths" in it is not an object'
  const helpers = keysLike(root, "credHelpers").map((key) => ({ key, object: objectMember(root, key) }))
  for (const { key, object } of helpers) if (!object) return `"${key}" in it is not an object`
  const entries = new Map(auths.members.map((member) => [json.keyOf(member), member.value]))
  return {
    text: document,
    root,
    auths,
    entries,
    twins: Map.groupBy(
      [...entries.keys()].filter((key) => hostOf(key) !== key),
      hostOf,
    ),
    helpers: new Map(
      helpers.flatMap(({ key, object }) =>
        (object?.members ?? []).map((member) => [json.keyOf(member), { key, helper: asText(member.value) }]),
      ),
    ),
    store: keysLike(root, "credsStore")
      .map((key) => ({ key, helper: asText(json.memberValue(root, key)) }))
      .findLast(({ helper }) => helper),
  }
}

/** What docker asks for this host before it looks into `auths`, in words; undefined if nothing. */
export function hidingHelper(config: DockerConfig, host: string): string | undefined {
  // An empty helper for a host means the file, whatever credsStore says.
  const asked = config.helpers.get(host)
  if (asked?.helper) return `${asked.key}["${host}"]`
  return asked ? undefined : config.store?.key
}

/** The login that stands for a host, undefined if there is none. */
export function storedLogin(config: DockerConfig, host: string): StoredLogin | undefined {
  const key = config.entries.has(host) ? host : config.twins.get(host)?.[0]
  const entry = key === undefined ? undefined : asRecord(config.entries.get(key))
  if (!entry) return undefined
  const rivals = Object.keys(entry).filter((name) => isRival(name) && entry[name])
  if (!entry.auth && rivals.length === 0) return undefined
  const login = decodeAuthorizationToken(String(entry.auth ?? ""))
  const fault =
    login === undefined
      ? '"auth" holds no login'
      : login.userName === ECR_USER_NAME
        ? undefined
        : `user name is not ${ECR_USER_NAME}`
  const differs = fault ?? (rivals[0] ? `"${rivals[0]}" is set beside it` : undefined)
  const twin = config.twins.get(host)?.[0]
  const elsewhere =
    twin &&
    (key === host
      ? `it is also under "${twin}", which some clients look at first`
      : `it is under "${twin}" and not under the bare host, where clients look first`)
  return {
    auth: String(entry.auth ?? ""),
    expiresAt: login && expiryOf(login.password.reveal()),
    differs: differs ?? elsewhere,
    usable: differs === undefined,
  }
}

/** The `auth` of a login: its user name and password in base64. */
export const authOf = ({ userName, password }: Credential): string =>
  Buffer.from(`${userName}:${password.reveal()}`).toString("base64")

/** What must change in `auths` for a host to have this `auth`, base64 of `user:password`; empty if nothing. */
export function loginEdits(config: DockerConfig, host: string, auth: string): json.Edits {
  const edits = new Map<string, string | undefined>(config.twins.get(host)?.map((twin) => [twin, undefined]))
  const before = config.entries.get(host)
  const entry = (before !== undefined && json.splitObject(before)) || { members: [], tail: "" }
  const rivals = entry.members.map(json.keyOf).filter(isRival)
  const members = new Map<string, string | undefined>(rivals.map((name) => [name, undefined]))
  if (asText(json.memberValue(entry, "auth")) !== auth) members.set("auth", JSON.stringify(auth))
  const after = json.joinObject(json.editObject(entry, members, json.layoutOf(config.root), 2))
  return after === before ? edits : edits.set(host, after)
}

/** The config's text after edits of `auths`. */
export function withEdits({ text, root, auths }: DockerConfig, edits: json.Edits): string {
  const layout = json.layoutOf(root)
  const value = json.joinObject(json.editObject(auths, edits, layout, 1))
  const edited = json.joinObject(json.editObject(root, new Map([["auths", value]]), layout, 0))
  return text.slice(0, text.indexOf("{")) + edited + text.slice(text.lastIndexOf("}") + 1)
}

/** The host that docker takes a key for: no scheme, and of a path nothing but an API version can be docker's own. */
function hostOf(key: string): string {
  // A longer path is podman's: a login for one namespace, which is not ours to remove.
  return key.replace(/^https?:\/\//, "").replace(/\/(?:v[12]\/?)?$/, "")
}

/** The keys of an object that Go takes for this one, each once. */
function keysLike({ members }: json.JsonObject, key: string): readonly string[] {
  const keys = members.map(json.keyOf).filter((one) => one.toLowerCase() === key.toLowerCase())
  return [...new Set(keys)]
}

function objectMember(object: json.JsonObject, key: string): json.JsonObject | undefined {
  const value = json.memberValue(object, key)
  return value === undefined || value === "null" ? { members: [], tail: "" } : json.splitObject(value)
}

function asRecord(value: string | undefined): Readonly<Record<string, unknown>> | undefined {
  const parsed: unknown = value === undefined ? undefined : JSON.parse(value)
  return typeof parsed === "object" && parsed !== null ? (parsed as Record<string, unknown>) : undefined
}

function asText(value: string | undefined): string {
  return value?.startsWith('"') ? JSON.parse(value) : ""
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function decodeUtf8(bytes: Uint8Array | undefined): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}
