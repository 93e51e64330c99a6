// A login as the text that one store holds: in which form its readers want it, and what a text that is found
// there tells. Pure: text in, text out; no piece of a text that is not understood reaches a message.
import { isDeepStrictEqual } from "node:util"
import { type Credential, decodeAuthorizationToken, ECR_USER_NAME, expiryOf } from "../src/credential.ts"

/** The forms: Airflow's connection as JSON or URI, docker's config.json, the password alone, an object of our own. */
export const LOGIN_FORMATS = ["airflow", "airflow-uri", "docker-config", "password", "json"] as const

/** How a login is written down. */
export type LoginFormat = (typeof LOGIN_FORMATS)[number]

/** What a text that was found tells. `differs` says why it is not what we would write, password aside. */
export type FoundLogin = { readonly expiresAt: number | undefined; readonly differs?: string }

type Login = {
  readonly host: string
  readonly userName: string
  readonly password: string
  /** Milliseconds since 1970; undefined where the form does not tell. */
  readonly expiresAt: number | undefined
}

type Form = {
  /** `held` is the text that is there, of which a docker config keeps what belongs to others. */
  format(login: Login, held?: string): string
  /** Undefined where the text is not of this form; `host` is the one that is looked for. */
  parse(text: string, host: string): Login | undefined
}

const forms: Readonly<Record<LoginFormat, Form>> = {
  // Airflow fails every task over a key that its Connection does not know, and docker-py needs the bare host.
  airflow: {
    format: ({ host, userName, password }) =>
      toJson({ conn_type: "docker", host, login: userName, password }),
    parse: (text) => loginOf(asObject(text), "login"),
  },
  "airflow-uri": {
    format: ({ host, userName, password }) => `docker://${quote(userName)}:${quote(password)}@${quote(host)}`,
    parse: (text) => {
      const parts = /^docker:\/\/([^:@/]*):([^:@/]*)@([^:@/?#]+)$/.exec(text)?.slice(1).map(unquote)
      const [userName, password, host] = parts ?? []
      if (userName === undefined || password === undefined || host === undefined) return undefined
      return { host, userName, password, expiresAt: undefined }
    },
  },
  // With user name and password beside `auth`, as some write it, a login would not fit into a standard parameter.
  "docker-config": {
    format: ({ host, userName, password }, held) => {
      const entry = { auth: Buffer.from(`${userName}:${password}`).toString("base64") }
      const config = held === undefined ? undefined : asObject(held)
      const auths = asRecord(config?.auths)
      // A text of the same content in another layout stays as it is.
      if (held !== undefined && isDeepStrictEqual(auths?.[host], entry)) return held
      return toJson({ ...config, auths: { ...auths, [host]: entry } })
    },
    parse: (text, host) => {
      const auth = asRecord(asRecord(asObject(text)?.auths)?.[host])?.auth
      const login = typeof auth === "string" ? decodeAuthorizationToken(auth) : undefined
      if (!login) return undefined
      return { host, userName: login.userName, password: login.password.reveal(), expiresAt: undefined }
    },
  },
  password: {
    format: ({ password }) => password,
    parse: (password, host) =>
      password === "" ? undefined : { host, userName: ECR_USER_NAME, password, expiresAt: undefined },
  },
  json: {
    format: ({ host, userName, password, expiresAt }) =>
      toJson({ host, username: userName, password, expiresAt: instant(expiresAt) }),
    parse: (text) => {
      const object = asObject(text)
      const told = typeof object?.expiresAt === "string" ? Date.parse(object.expiresAt) : Number.NaN
      const login = loginOf(object, "username")
      return login && { ...login, expiresAt: Number.isNaN(told) ? undefined : told }
    },
  },
}

/** The text of a login in this form, in place of the text that is held. */
export function formatLogin(format: LoginFormat, credential: Credential, held?: string): string {
  const { registry, userName, password, expiresAt } = credential
  const login = { host: registry.host, userName, password: password.reveal(), expiresAt }
  return forms[format].format(login, held)
}

/** The part of the text that is this registry's, in words; empty where the whole of it is. */
export function partOf(format: LoginFormat, host: string): string {
  return holdsSeveral(format) ? ` auths["${host}"]` : ""
}

/** Whether logins of several registries go into one text. */
export function holdsSeveral(format: LoginFormat): boolean {
  return format === "docker-config"
}

/** What a text tells of the login to `host` that it should hold in this form. */
export function readLogin(format: LoginFormat, text: string, host: string): FoundLogin {
  const login = forms[format].parse(text, host)
  if (!login)
    return {
      expiresAt: undefined,
      differs: `it holds no login to this registry as format=${format} writes it`,
    }
  const expiresAt = expiryOf(login.password) ?? login.expiresAt
  const differs = differenceOf(format, text, login, host)
  return { expiresAt, ...(differs ? { differs } : {}) }
}

function differenceOf(format: LoginFormat, text: string, login: Login, host: string): string | undefined {
  if (login.host !== host) return "it is the login for another host"
  if (login.userName !== ECR_USER_NAME) return `user name is not ${ECR_USER_NAME}`
  const ours = forms[format].format(login, text)
  const same = ours === text || (ours.startsWith("{") && isDeepStrictEqual(asObject(ours), asObject(text)))
  return same ? undefined : "it holds more than this login, or holds it in another format"
}

// Parameter Store takes what stands between two pairs of braces for another parameter's name, and refuses it.
function toJson(value: object): string {
  return JSON.stringify(value).replaceAll("{{", "{\\u007b")
}

function loginOf(object: Readonly<Record<string, unknown>> | undefined, userKey: string): Login | undefined {
  const { host, [userKey]: userName, password } = object ?? {}
  if (typeof host !== "string" || typeof userName !== "string" || typeof password !== "string")
    return undefined
  return { host, userName, password, expiresAt: undefined }
}

function asObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return asRecord(JSON.parse(text))
  } catch {
    return undefined
  }
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value)
  return isObject ? (value as Readonly<Record<string, unknown>>) : undefined
}

// As Python's quote(safe=""): whatever is raw in a URI's user part, Airflow may take for a part of its own.
function quote(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function unquote(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

function instant(expiresAt: number | undefined): string | null {
  return expiresAt === undefined ? null : new Date(expiresAt).toISOString()
}
