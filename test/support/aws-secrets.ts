// Secrets Manager as the sink suite wants it: moto's or our own, with names of its own for each test, read by plain
// requests and decoded as each form's readers do.
import { randomBytes } from "node:crypto"
import kind from "../../sinks/aws-secrets-manager.ts"
import type { Sink, SinkDeps } from "../../src/sink.ts"
import { accessTo, distorted, readers } from "./aws-ssm.ts"
import { type SecretsServer, startSecretsManager } from "./secrets-server.ts"
import type { SinkRig } from "./sink-suite.ts"
import { makeSink, testDeps } from "./sinks.ts"

/** The sink with these options, at the Secrets Manager behind `url`. */
export function secretsSink(url: string, options: object, deps: Partial<SinkDeps> = {}): Sink {
  return makeSink(kind, { region: "eu-central-1", ...options }, testDeps({ aws: accessTo(url), ...deps }))
}

async function ask<T>(url: string, action: string, input: object): Promise<T> {
  const credential = "AKIA/20260101/eu-central-1/secretsmanager/aws4_request"
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/x-amz-json-1.1",
      "x-amz-target": `secretsmanager.${action}`,
      authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=host, Signature=0`,
    },
    body: JSON.stringify(input),
  })
  const body = await response.json()
  if (!response.ok) throw new Error(`${action}: ${JSON.stringify(body)}`)
  return body as T
}

type Listed = { readonly SecretList: readonly { readonly Name: string }[]; readonly NextToken?: string }

async function namesUnder(url: string, prefix: string): Promise<readonly string[]> {
  const names: string[] = []
  let next: object = {}
  do {
    const Filters = [{ Key: "name", Values: [prefix] }]
    const { SecretList, NextToken } = await ask<Listed>(url, "ListSecrets", {
      Filters,
      MaxResults: 100,
      ...next,
    })
    names.push(...SecretList.map(({ Name }) => Name))
    next = NextToken ? { NextToken } : {}
  } while ("NextToken" in next)
  return names.sort()
}

/** Fresh names in the Secrets Manager at `url`, or in one of our own. */
export async function openSecretsManager(format: string, url?: string): Promise<SinkRig> {
  const own = url === undefined ? startSecretsManager() : undefined
  const endpoint = url ?? (own as SecretsServer).url
  const prefix = `suite/${randomBytes(6).toString("hex")}`
  const denying = startSecretsManager()
  denying.refuse("GetSecretValue")
  let broken = false
  const breakable = (async (input, init) => {
    const request = new Request(input, init)
    const action = request.headers.get("x-amz-target") ?? ""
    const isWrite = /\.(CreateSecret|PutSecretValue)$/.test(action)
    return broken && isWrite
      ? Response.json({ __type: "InternalServiceError" }, { status: 500 })
      : fetch(request)
  }) as typeof fetch
  const textIn = async (name: string) =>
    own
      ? own.secrets.get(name)?.value
      : (await ask<{ SecretString: string }>(endpoint, "GetSecretValue", { SecretId: name })).SecretString
  const all = async () =>
    own
      ? [...own.secrets]
          .map(([name, stored]) => ({ name, ...stored }))
          .sort((a, b) => (a.name < b.name ? -1 : 1))
      : Promise.all(
          (await namesUnder(endpoint, prefix)).map(async (name) => {
            const { VersionId, SecretString } = await ask<Record<string, unknown>>(
              endpoint,
              "GetSecretValue",
              {
                SecretId: name,
              },
            )
            return { name, VersionId, SecretString }
          }),
        )
  const naming = format.startsWith("airflow")
    ? { name: `${prefix}/ours/{conn_id}`, conn_id: "{account}/{region}" }
    : { name: `${prefix}/ours/{account}/{region}` }
  const options = { ...naming, format, region: "eu-central-1" }
  // As for any user: somebody else's server may drop a connection.
  const attempts = url === undefined ? {} : { AWS_MAX_ATTEMPTS: "3" }
  return {
    setup: { options, deps: { aws: accessTo(endpoint, breakable, attempts) } },
    stored: async ({ slot, registry }) => {
      const found = await textIn(slot).catch(() => undefined)
      return found === undefined || found === "theirs" ? undefined : readers[format]?.(found, registry.host)
    },
    snapshot: all,
    seedNeighbours: async () => {
      for (const name of [`${prefix}/other`, `${prefix}/ours-not`, `${prefix}/ours/of`])
        await ask(endpoint, "CreateSecret", { Name: name, SecretString: "beside" })
    },
    neighbours: async () => (await all()).filter(({ name }) => !/\/ours\/\d+\/[^/]*$/.test(name)),
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
      await ask(endpoint, "CreateSecret", { Name: slot, SecretString: "theirs" })
    },
    distort: async ({ slot, registry }) => {
      const SecretString = distorted((await textIn(slot)) ?? "", registry.host)
      await ask(endpoint, "PutSecretValue", { SecretId: slot, SecretString })
    },
    close: async () => {
      await Promise.all([own?.stop(), denying.stop()])
    },
  }
}
