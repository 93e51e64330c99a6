// A login as the text of a file, by a template, and back: the forms that have a name are templates too, so whatever can
// be written can be read. Pure; no piece of a text that is not understood reaches a message.
import {
  type Credential,
  decodeAuthorizationToken,
  ECR_USER_NAME,
  expiryOf,
  Secret,
} from "../../src/credential.ts"
import type { Registry } from "../../src/registry.ts"

/** A text with places for the login. In JSON, what goes into them is quoted. */
export type Template = {
  readonly text: string
  readonly isJson?: true
  /** The passwords that its readers would not misread; without it, all. */
  readonly passwords?: RegExp
}

/** The forms that have a name. */
export const FORMATS = ["password", "json", "netrc"] as const

/** The form's template. */
export const templates: Readonly<Record<(typeof FORMATS)[number], Template>> = {
  // Without a newline at the end: who reads a whole file as a password seldom takes it off, and docker does not need it.
  password: { text: "{password}" },
  json: {
    text: `{"host":"{host}","username":"{username}","password":"{password}","expiresAt":"{expires_at}"}\n`,
    isJson: true,
  },
  // On lines of their own: some readers have no room for a long one.
  netrc: {
    text: "machine {host}\n  login {username}\n  password {password}\n",
    // A word ends at a blank, and its readers differ on quotes, backslashes and comments.
    passwords: /^[^\s"'\\#]+$/,
  },
}

// What each place can hold, as a pattern to find it again. Narrow, lest what stands beside it be taken for a part of it.
const VALUES = {
  host: "[\\w.:-]+",
  username: "[^\\s:]+",
  password: "[\\w+/.~-]+={0,2}",
  auth: "[\\w+/-]+={0,2}",
  expires_at: "[\\d.:TZ-]+",
  account: "\\w+",
  region: "[\\w-]+",
} as const

const JSON_STRING = String.raw`(?:[^"\\]|\\.)+`

type Name = keyof typeof VALUES

const PLACE = /\{(\w+)\}/g

/** What is wrong with a template of a text, or undefined. */
export function textProblem(text: string): string | undefined {
  const names = [...text.matchAll(PLACE)].map(([, name = ""]) => name)
  const unknown = names.find((name) => !Object.hasOwn(VALUES, name))
  if (unknown !== undefined) {
    const known = Object.keys(VALUES).map((name) => `{${name}}`)
    return `{${unknown}} is not a placeholder; there are ${known.slice(0, -1).join(", ")} and ${known.at(-1)}`
  }
  if (!names.includes("password") && !names.includes("auth"))
    return "must hold {password}, or {auth}, which is user name and password in base64"
  return isReadBack(text)
    ? undefined
    : "ecrelay could not read back what it would write: put something that no login holds, such as a space or a line break, around {password} and {auth}"
}

const SAMPLE: Registry = {
  host: "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
  account: "123456789012",
  region: "eu-west-1",
  partition: "aws",
  service: "ecr",
}

// Tried with logins as AWS makes them, of every length that base64 pads differently, once (the password) and twice ({auth}).
function isReadBack(text: string): boolean {
  const expiresAt = Date.UTC(2030, 0)
  return Array.from({ length: 9 }).every((_, more) => {
    const token = JSON.stringify({ payload: "x".repeat(1500 + more), expiration: expiresAt / 1000 })
    const password = new Secret(Buffer.from(token).toString("base64"))
    const credential = { registry: SAMPLE, userName: ECR_USER_NAME, password, expiresAt }
    const found = loginIn({ text }, formatText({ text }, credential), SAMPLE)
    return found?.expiresAt === expiresAt && found.differs === undefined
  })
}

/** The text of a login. */
export function formatText({ text, isJson }: Template, credential: Credential): string {
  const { registry, userName, password, expiresAt } = credential
  const values: Readonly<Record<Name, string>> = {
    host: registry.host,
    username: userName,
    password: password.reveal(),
    auth: Buffer.from(`${userName}:${password.reveal()}`).toString("base64"),
    expires_at: new Date(expiresAt).toISOString(),
    account: registry.account,
    region: registry.region,
  }
  return text.replaceAll(PLACE, (_, name: Name) =>
    isJson ? JSON.stringify(values[name]).slice(1, -1) : values[name],
  )
}

/** Whether readers of this form would find the password as it is. */
export function canHold({ passwords }: Template, { password }: Credential): boolean {
  return passwords?.test(password.reveal()) ?? true
}

/** A login that stands in a file; `differs` says why it is not what we would write, password aside. */
export type StoredLogin = { readonly expiresAt: number | undefined; readonly differs: string | undefined }

/** The login to this registry in a text, by the template or one that has a name; undefined where it holds anything else. */
export function parseText(template: Template, text: string, registry: Registry): StoredLogin | undefined {
  const login = loginIn(template, text, registry)
  if (login) return login
  for (const other of Object.values(templates)) {
    const found = loginIn(other, text, registry)
    if (found) return { ...found, differs: "it is a login in another format" }
  }
  return undefined
}

function loginIn(template: Template, text: string, registry: Registry): StoredLogin | undefined {
  const found = patternOf(template).exec(text)?.groups as Partial<Record<Name, string>> | undefined
  if (!found) return undefined
  const { host, username, auth, account, region, expires_at } = found
  const decoded = auth === undefined ? undefined : decodeAuthorizationToken(auth)
  const password = found.password ?? decoded?.password.reveal()
  if (password === undefined || [username, decoded?.userName].some((user) => user && user !== ECR_USER_NAME))
    return undefined
  // Without the host in it, the template may fit any text: then only the password can tell.
  if (host !== registry.host && !looksLikeToken(password)) return undefined
  const told = Date.parse(expires_at ?? "")
  const isOther =
    (host ?? registry.host) !== registry.host ||
    (account ?? registry.account) !== registry.account ||
    (region ?? registry.region) !== registry.region
  return {
    expiresAt: expiryOf(password) ?? (Number.isNaN(told) ? undefined : told),
    differs: isOther ? "it is the login to another registry" : undefined,
  }
}

// AWS does not promise that its passwords tell their expiry; that they are long and of base64 will hold for longer.
const looksLikeToken = (password: string): boolean =>
  expiryOf(password) !== undefined || /^[\w+/-]{1000,}={0,2}$/.test(password)

/** The whole text, also where a newline was added at the end or taken away. */
function patternOf({ text, isJson }: Template): RegExp {
  const seen = new Set<string>()
  const pattern = text
    .trimEnd()
    .split(PLACE)
    .map((part, i) => {
      if (i % 2 === 0) return part.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&")
      if (seen.has(part)) return `\\k<${part}>`
      seen.add(part)
      return `(?<${part}>${isJson ? JSON_STRING : VALUES[part as Name]})`
    })
  return new RegExp(`^${pattern.join("")}\\s*$`)
}
