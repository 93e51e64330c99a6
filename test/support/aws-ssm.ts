// Parameter Store as the sink suite wants it: moto's or our own, with a path of its own for each test, read by plain
// requests and decoded as each form's readers do.
import { randomBytes } from "node:crypto"
import kind from "../../sinks/aws-ssm.ts"
import { createAwsAccess } from "../../src/aws-access.ts"
import type { Credential } from "../../src/credential.ts"
import type { DeliveryResult, Sink, SinkDeps } from "../../src/sink.ts"
import { keysOf } from "./aws-environment.ts"
import type { SinkRig, StoredLogin } from "./sink-suite.ts"
import { calm, deliveriesOf, makeSink, testDeps } from "./sinks.ts"
import { type SsmServer, startSsm } from "./ssm-server.ts"

/** Access to the AWS at `url`, as an identity whose keys mean nothing. */
export function accessTo(
  url: string,
  customFetch: typeof fetch = fetch,
  variables: Readonly<Record<string, string>> = {},
): SinkDeps["aws"] {
  const own = { AWS_ENDPOINT_URL: url, AWS_MAX_ATTEMPTS: "1", AWS_REGION: "eu-central-1" }
  const env = { ...keysOf(), ...own, ...variables }
  const loadAirflowIdentity = () => Promise.reject(new Error("this test has no Airflow"))
  return createAwsAccess({}, { env, fetch: customFetch, loadAirflowIdentity })
}

/** The sink with these options, at the Parameter Store behind `url`. */
export function ssmSink(url: string, options: object, deps: Partial<SinkDeps> = {}): Sink {
  return makeSink(kind, { region: "eu-central-1", ...options }, testDeps({ aws: accessTo(url), ...deps }))
}

/** Delivers one login to the sink's first target for it. */
export async function deliverTo(sink: Sink, credential: Credential): Promise<DeliveryResult | undefined> {
  const [result] = await sink.deliver(deliveriesOf(sink, [credential]), calm())
  return result
}

/** Asks Parameter Store without a client of AWS's; moto tells the region by the header. */
async function askSsm<T>(url: string, action: string, input: object): Promise<T> {
  const credential = "AKIA/20260101/eu-central-1/ssm/aws4_request"
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/x-amz-json-1.1",
      "x-amz-target": `AmazonSSM.${action}`,
      authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=host, Signature=0`,
    },
    body: JSON.stringify(input),
  })
  const body = await response.json()
  if (!response.ok) throw new Error(`${action}: ${JSON.stringify(body)}`)
  return body as T
}

/** How a reader of each form takes a login out of it. */
export const readers: Readonly<Record<string, (text: string, host: string) => StoredLogin>> = {
  airflow: (text) => {
    const { conn_type, login, host, password, ...unknown } = JSON.parse(text)
    if (conn_type !== "docker" || Object.keys(unknown).length > 0)
      throw new Error("Airflow would not take it")
    return { host, userName: login, password }
  },
  "airflow-uri": (text) => {
    const { protocol, username, password, host, pathname, search } = new URL(text)
    if (protocol !== "docker:" || pathname + search !== "") throw new Error("Airflow would misread it")
    return { host, userName: username, password: decodeURIComponent(password) }
  },
  "docker-config": (text) => {
    const [[host = "", entry] = [], ...more] = Object.entries<{ auth: string }>(JSON.parse(text).auths)
    if (more.length > 0) throw new Error("more than one login")
    const [userName = "", ...password] = Buffer.from(entry?.auth ?? "", "base64")
      .toString()
      .split(":")
    return { host, userName, password: password.join(":") }
  },
  password: (password, host) => ({ host, userName: "AWS", password }),
  json: (text) => {
    const { host, username, password } = JSON.parse(text)
    return { host, userName: username, password }
  },
}

const ANY_TEXT =
  "a password alone may be any text: until when it is good is unknown then, and so is whose it is"

/** What the form `password` cannot tell. */
export const tellsNothing = {
  "takes what is not ours neither for missing nor for right": ANY_TEXT,
  "mends what differs, also in a login that outlives ours": ANY_TEXT,
} as const

/** The text of a login with another user or another host in it. */
export function distorted(text: string, host: string): string {
  const asOther = (_: string, auth: string) => {
    const [, ...password] = Buffer.from(auth, "base64").toString().split(":")
    return `"auth":"${Buffer.from(["aws", ...password].join(":")).toString("base64")}"`
  }
  if (text.includes('"auths"')) return text.replace(/"auth":"([^"]*)"/, asOther)
  return text.replace(host, `old.${host}`)
}

type Page = { readonly Parameters: readonly { readonly Name: string }[]; readonly NextToken?: string }

async function parametersUnder(url: string, Path: string): Promise<Page["Parameters"]> {
  const found: Page["Parameters"][number][] = []
  let next: object = {}
  do {
    const query = { Path, Recursive: true, WithDecryption: true, ...next }
    const { Parameters, NextToken } = await askSsm<Page>(url, "GetParametersByPath", query)
    found.push(...Parameters)
    next = NextToken ? { NextToken } : {}
  } while ("NextToken" in next)
  return found.sort((a, b) => (a.Name < b.Name ? -1 : 1))
}

/** A fresh path in the Parameter Store at `url`, or in one of our own. */
export async function openParameterStore(format: string, url?: string): Promise<SinkRig> {
  const own = url === undefined ? startSsm() : undefined
  const endpoint = url ?? (own as SsmServer).url
  const path = `/suite-${randomBytes(6).toString("hex")}`
  const denying = startSsm()
  denying.refuse("ssm:GetParameters")
  let broken = false
  const breakable = (async (input, init) => {
    const request = new Request(input, init)
    const isWrite = request.headers.get("x-amz-target") === "AmazonSSM.PutParameter"
    return broken && isWrite
      ? Response.json({ __type: "InternalServerError" }, { status: 500 })
      : fetch(request)
  }) as typeof fetch
  const all = async () =>
    own
      ? [...own.parameters]
          .map(([Name, stored]) => ({ Name, ...stored }))
          .sort((a, b) => (a.Name < b.Name ? -1 : 1))
      : parametersUnder(endpoint, path)
  const naming = format.startsWith("airflow")
    ? { name: `${path}/ours/{conn_id}`, conn_id: "{account}-{region}" }
    : { name: `${path}/ours/{account}/{region}` }
  // One of the awkward passwords is too long for a standard parameter.
  const options = { ...naming, format, region: "eu-central-1", tier: "Intelligent-Tiering" }
  // As for any user: somebody else's server may drop a connection.
  const attempts = url === undefined ? {} : { AWS_MAX_ATTEMPTS: "3" }
  const textIn = async (name: string) =>
    own
      ? own.parameters.get(name)?.value
      : (
          await askSsm<{ Parameters: readonly { Value: string }[] }>(endpoint, "GetParameters", {
            Names: [name],
            WithDecryption: true,
          })
        ).Parameters[0]?.Value
  return {
    setup: { options, deps: { aws: accessTo(endpoint, breakable, attempts) } },
    stored: async ({ slot, registry }) => {
      const found = await textIn(slot)
      if (found === undefined || found === "theirs") return undefined
      return readers[format]?.(found, registry.host)
    },
    snapshot: all,
    seedNeighbours: async () => {
      for (const name of [`${path}/other`, `${path}/ours-not`, `${path}/ours/of/somebody`])
        await askSsm(endpoint, "PutParameter", { Name: name, Value: "beside", Type: "String" })
    },
    neighbours: async () => {
      const isOurs = format.startsWith("airflow") ? /\/ours\/[^/]*$/ : /\/ours\/\d+\/[^/]*$/
      return (await all()).filter(({ Name }) => !isOurs.test(Name))
    },
    unreachable: async () => ({ options, deps: { aws: accessTo("http://127.0.0.1:9") } }),
    silent: async (port) => ({ options, deps: { aws: accessTo(`http://127.0.0.1:${port}`) } }),
    refused: async () => ({ options, deps: { aws: accessTo(denying.url) } }),
    breakDelivery: async () => {
      broken = true
      return async () => {
        broken = false
      }
    },
    spoil: async ({ slot }) => {
      await askSsm(endpoint, "PutParameter", { Name: slot, Value: "theirs", Type: "SecureString" })
    },
    distort: async ({ slot, registry }) => {
      const Value = distorted((await textIn(slot)) ?? "", registry.host)
      await askSsm(endpoint, "PutParameter", { Name: slot, Value, Type: "SecureString", Overwrite: true })
    },
    close: async () => {
      await Promise.all([own?.stop(), denying.stop()])
    },
  }
}
