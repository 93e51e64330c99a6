// A sink of your own for ecrelay: a secret for each registry in the KV engine (version 2) of Vault or OpenBao.
//
//   [[sink]]
//   type = "module"
//   path = "/etc/ecrelay/sinks/vault.ts"      # writable by root alone, as are the folders above it
//   address = "https://vault.example.com:8200"
//   token = "credential:vault-token"
//
// The token needs, for the default mount and name: path "secret/data/ecr/*" { capabilities = ["create", "update", "read"] }
import type { Credential, Delivery, DeliveryResult, Finding, Held, Module, Target } from "ecrelay"

/** What a path holds; `version` is what a write must name, so that it replaces nothing else. */
type Found = { readonly version: number; readonly data: Readonly<Record<string, unknown>> | undefined }

const vault: Module = ({ v, defineSink, DeliveryError, isEcrHost, isTransient, outlives, ...contract }) => {
  const { textOption, secretOption, flagOption, fillTemplate, templateProblem, errorFinding } = contract
  const options = v.strictObject({
    address: v.pipe(
      textOption("URL of Vault, such as https://vault.example.com:8200"),
      v.url("must be a URL"),
    ),
    token: secretOption("a token, as env:NAME, file:PATH or credential:NAME"),
    mount: v.optional(textOption("where the KV engine is mounted"), "secret"),
    name: v.optional(
      v.pipe(
        textOption("path of the secret; {account}, {region} and {host} stand for the registry's"),
        v.check((text) => !templateProblem(text), "may hold {account}, {region}, {host} and no other braces"),
      ),
      "ecr/{account}/{region}",
    ),
    adopt: v.optional(flagOption("true: overwrite a secret that holds something else"), false),
  })

  function failure(target: string, says: string, code: string, hint: string, retryable: boolean) {
    return new DeliveryError(`${target}: ${says}`, { sink: "vault", target, code, hint, retryable })
  }

  const secretOf = ({ registry, userName, password, expiresAt }: Credential) => ({
    host: registry.host,
    username: userName,
    password: password.reveal(),
    expiresAt: new Date(expiresAt).toISOString(),
  })
  const expiryIn = (data: Found["data"]) => Date.parse(String(data?.expiresAt)) || undefined

  /** One after the other; a failure is the result of its target alone. */
  async function each<T, Result>(all: readonly T[], work: (one: T) => Promise<Result>) {
    const results: (Result | InstanceType<typeof DeliveryError>)[] = []
    for (const one of all)
      results.push(
        await work(one).catch((error: unknown) => {
          if (error instanceof DeliveryError) return error
          throw error
        }),
      )
    return results
  }

  return defineSink({
    type: "vault",
    summary: "a secret for each registry in Vault or OpenBao",
    permissions: ["create, update and read on the data paths of the secrets"],
    options,
    create({ address, token, mount, name, adopt }, deps) {
      /** A request about a target. Status 400 and 404 are answers; what else goes wrong is a failure of the target. */
      async function ask({ slot, name: target }: Target, body: object | undefined, signal: AbortSignal) {
        const path = `${mount}/data/${slot}`
        const headers = { authorization: `Bearer ${(await deps.secret(token)).reveal()}` }
        const request = body ? { method: "POST", body: JSON.stringify(body) } : {}
        const url = `${address.replace(/\/+$/, "")}/v1/${path}`
        const response = await deps.fetch(url, { ...request, headers, signal }).catch((cause) => {
          signal.throwIfAborted()
          const hint = `check whether ${address} answers, and whether its certificate is trusted`
          throw failure(target, "Vault cannot be reached", "unreachable", hint, isTransient(cause))
        })
        const { ok, status } = response
        if (ok || status === 400 || status === 404) return { status, json: await response.json() }
        const allow = `let the token's policy have create, update and read on ${path}`
        if (status === 403) throw failure(target, "Vault refuses the token", "refused", allow, false)
        const hint = "check whether Vault is sealed or overloaded"
        throw failure(target, `Vault answers ${status}`, "vault-failed", hint, isTransient({ status }))
      }

      async function look(target: Target, signal: AbortSignal): Promise<Found> {
        const { json } = await ask(target, undefined, signal)
        // A deleted secret holds nothing, and yet its version counts.
        return { version: json.data?.metadata?.version ?? 0, data: json.data?.data ?? undefined }
      }

      function requireOurs({ name: target, registry }: Target, data: Found["data"]): void {
        if (!data || adopt || data.host === registry.host || isEcrHost(String(data.host))) return
        const hint = "choose another name, or add adopt=true"
        throw failure(target, "holds something other than a login to ECR", "not-ours", hint, false)
      }

      async function deliver({ target, credential }: Delivery, signal: AbortSignal): Promise<DeliveryResult> {
        const { version, data } = await look(target, signal)
        const wanted = secretOf(credential)
        if (data && Object.entries(wanted).every(([key, value]) => data[key] === value))
          return { outcome: "unchanged", expiresAt: credential.expiresAt }
        requireOurs(target, data)
        if (data?.host === wanted.host && outlives(expiryIn(data), credential, deps.clock.now()))
          return { outcome: "unchanged", expiresAt: expiryIn(data) }
        const { status } = await ask(target, { data: wanted, options: { cas: version } }, signal)
        const hint = "this is retried; if it persists, check whether mount is a KV engine of version 2"
        if (status >= 400) throw failure(target.name, `Vault answers ${status}`, "not-taken", hint, true)
        return { outcome: "delivered", expiresAt: credential.expiresAt }
      }

      async function read(target: Target, signal: AbortSignal): Promise<Held> {
        const { data } = await look(target, signal)
        if (!data) return { state: "missing" }
        const differs = data.host === target.registry.host ? {} : { differs: "its host is different" }
        return { state: "held", expiresAt: expiryIn(data), ...differs }
      }

      return {
        type: "vault",
        targets: (registry) => {
          const slot = fillTemplate(name, registry)
          return [{ registry, slot, name: `${address} ${mount}/${slot}` }]
        },
        deliver: async (deliveries, signal) => {
          const results = await each(deliveries, (one) => deliver(one, signal))
          return results.map((one) =>
            one instanceof DeliveryError ? { outcome: "failed", error: one } : one,
          )
        },
        read: async (targets, signal) => {
          const results = await each(targets, (one) => read(one, signal))
          return results.map((one) =>
            one instanceof DeliveryError ? { state: "unreadable", error: one } : one,
          )
        },
        check: async (targets, signal) => {
          const results = await each(targets, async (one) => requireOurs(one, (await look(one, signal)).data))
          return results.map((one, i): Finding => {
            const subject = targets[i]?.name ?? address
            if (one instanceof DeliveryError) return errorFinding(subject, one)
            return { level: "ok", subject, message: "can be read" }
          })
        },
      }
    },
  })
}

export default vault
