// A sink of your own for ecrelay: pull secrets (kubernetes.io/dockerconfigjson) in the namespaces that pull from ECR.
//
//   [[sink]]
//   type = "module"
//   path = "/etc/ecrelay/sinks/kubernetes.ts" # writable by root alone, as are the folders above it
//   namespace = ["default", "batch"]
//   name = "ecr"                              # as imagePullSecrets names it; the logins of several registries share it
//
// In a pod, the API and the token are those of its service account, and NODE_EXTRA_CA_CERTS names that account's ca.crt.
// The account needs a Role in each namespace: apiGroups [""], resources ["secrets"], verbs ["get", "create", "update"].
import type { Delivery, DeliveryResult, Finding, Held, Module, Target } from "ecrelay"

const TYPE = "kubernetes.io/dockerconfigjson"
const KEY = ".dockerconfigjson"
const REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

type Fields = Readonly<Record<string, unknown>>

/** A secret as the API has it; its `resourceVersion` makes a write fail where somebody came in between. */
type Secret = Fields & { readonly type?: string; readonly data?: Readonly<Record<string, string>> }

const encode = (text: string): string => new TextEncoder().encode(text).toBase64()

/** The text in base64, empty where it is none. */
function decode(base64: string): string {
  try {
    return new TextDecoder().decode(Uint8Array.fromBase64(base64))
  } catch {
    return ""
  }
}

const kubernetes: Module = ({ v, defineSink, DeliveryError, ConfigError, isTransient, ...contract }) => {
  const { textOption, secretOption, listOption, fillTemplate, templateProblem } = contract
  const { errorFinding, expiryOf, outlives } = contract
  const options = v.strictObject({
    name: v.optional(
      v.pipe(
        textOption("name of the secret; {account} and {region} stand for the registry's"),
        v.check((text) => !templateProblem(text), "may hold {account}, {region}, {host} and no other braces"),
      ),
      "ecr",
    ),
    namespace: listOption("namespaces that get it (repeatable)"),
    api: v.optional(v.pipe(textOption("URL of the API (default: the pod's)"), v.url("must be a URL"))),
    token: v.optional(
      secretOption("a token for the API (default: the pod's)"),
      "file:/var/run/secrets/kubernetes.io/serviceaccount/token",
    ),
  })

  function failure(target: string, says: string, code: string, hint: string, retryable = false) {
    return new DeliveryError(`${target}: ${says}`, { sink: "kubernetes", target, code, hint, retryable })
  }

  /** What an entry of `auths` tells, read as the kubelet reads it. */
  function loginIn(entry: unknown) {
    const { auth, ...rivals } = (entry ?? {}) as Fields
    const pair = decode(String(auth))
    if (!pair.startsWith("AWS:") || Object.keys(rivals).length > 0)
      return { expiresAt: undefined, differs: "it is not in the form of AWS's login" }
    return { expiresAt: expiryOf(pair.slice("AWS:".length)) }
  }

  /** The docker config in a secret, empty where there is none yet. */
  function configIn(secret: Secret | undefined, target: string): Fields & { readonly auths: Fields } {
    const notOurs = (says: string) => failure(target, says, "not-ours", "choose another name, or delete it")
    if (!secret) return { auths: {} }
    if (secret.type !== TYPE) throw notOurs(`is a secret of type ${secret.type}`)
    try {
      const config = JSON.parse(decode(secret.data?.[KEY] ?? ""))
      return { ...config, auths: { ...config.auths } }
    } catch {
      throw notOurs(`holds no docker config under ${KEY}`)
    }
  }

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
    type: "kubernetes",
    summary: "pull secrets of Kubernetes",
    permissions: ["get, create and update secrets in each namespace"],
    options,
    create({ name, namespace: namespaces, api, token }, deps) {
      const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = deps.env
      const inPod = host && `https://${host.includes(":") ? `[${host}]` : host}:${port}`
      const address = api?.replace(/\/+$/, "") ?? inPod
      if (!address)
        throw new ConfigError([{ path: "api", message: "is required outside a pod: https://HOST:6443" }])

      /** Asks the API. Status 404 and 409 are answers; what else goes wrong is a failure of the target. */
      async function ask(
        { name: target }: Target,
        method: string,
        path: string,
        body: unknown,
        signal: AbortSignal,
      ) {
        const headers = {
          authorization: `Bearer ${(await deps.secret(token)).reveal()}`,
          "content-type": "application/json",
        }
        const request = { method, headers, signal, ...(body ? { body: JSON.stringify(body) } : {}) }
        const response = await deps
          .fetch(`${address}${path}`, { ...request, redirect: "manual" })
          .catch((cause) => {
            signal.throwIfAborted()
            const hint = `check whether ${address} answers, and whether NODE_EXTRA_CA_CERTS names its CA`
            throw failure(target, "the API cannot be reached", "unreachable", hint, isTransient(cause))
          })
        const { ok, status } = response
        if (ok || status === 404 || status === 409) {
          const json: Fields = await response.json().catch(() => ({}))
          signal.throwIfAborted()
          return { status, json }
        }
        const renew = "check whether the token has expired, and whether it is for this cluster"
        if (status === 401) throw failure(target, "the API does not know the token", "unauthorized", renew)
        const allow = "allow get, create and update on secrets in the namespace"
        if (status === 403) throw failure(target, "RBAC forbids it", "forbidden", allow)
        const hint = "the API server's own log says why"
        throw failure(target, `the API answers ${status}`, "api-failed", hint, isTransient({ status }))
      }

      const placeOf = ({ registry, slot }: Target) => {
        const [namespace] = slot.split("/")
        const secretName = fillTemplate(name, registry)
        const secrets = `/api/v1/namespaces/${namespace}/secrets`
        return { namespace, secretName, secrets, path: `${secrets}/${secretName}`, host: registry.host }
      }

      async function look(target: Target, signal: AbortSignal) {
        const { status, json } = await ask(target, "GET", placeOf(target).path, undefined, signal)
        const secret = status === 404 ? undefined : (json as Secret)
        const config = configIn(secret, target.name)
        const entry = config.auths[placeOf(target).host]
        return { secret, config, entry, login: entry === undefined ? undefined : loginIn(entry) }
      }

      async function deliver({ target, credential }: Delivery, signal: AbortSignal): Promise<DeliveryResult> {
        const { secret, config, entry, login } = await look(target, signal)
        const { secretName, secrets, path, host } = placeOf(target)
        if (login && outlives(login.expiresAt, credential, deps.clock.now()))
          return { outcome: "unchanged", expiresAt: login.expiresAt }
        const { userName, password, expiresAt } = credential
        const auth = encode(`${userName}:${password.reveal()}`)
        if (login && !login.differs && (entry as Fields).auth === auth)
          return { outcome: "unchanged", expiresAt }
        const text = JSON.stringify({ ...config, auths: { ...config.auths, [host]: { auth } } })
        const data = { ...secret?.data, [KEY]: encode(text) }
        const made = { apiVersion: "v1", kind: "Secret", type: TYPE, metadata: { name: secretName }, data }
        const { status } = secret
          ? await ask(target, "PUT", path, { ...secret, data }, signal)
          : await ask(target, "POST", secrets, made, signal)
        const create = "create the namespace, or correct namespace="
        if (status === 404 && !secret) throw failure(target.name, "has no namespace", "no-namespace", create)
        const again = "this is retried, and looked at afresh"
        if (status >= 400)
          throw failure(target.name, "was changed meanwhile", "changed-meanwhile", again, true)
        return { outcome: "delivered", expiresAt }
      }

      async function check(target: Target, signal: AbortSignal): Promise<Finding> {
        const { secret } = await look(target, signal)
        const { namespace, secretName } = placeOf(target)
        const verb = secret ? "update" : "create"
        const resourceAttributes = {
          namespace,
          verb,
          resource: "secrets",
          ...(secret ? { name: secretName } : {}),
        }
        const review = { apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectAccessReview" }
        const question = { ...review, spec: { resourceAttributes } }
        const { json } = await ask(target, "POST", REVIEWS, question, signal)
        if ((json.status as Fields | undefined)?.allowed === true)
          return { level: "ok", subject: target.name, message: `RBAC allows to ${verb} it` }
        const allow = `allow ${verb} on secrets in the namespace`
        throw failure(target.name, `RBAC forbids to ${verb} it`, "forbidden", allow)
      }

      return {
        type: "kubernetes",
        targets: (registry) =>
          namespaces.map((namespace) => {
            const slot = `${namespace}/${fillTemplate(name, registry)} auths["${registry.host}"]`
            return { registry, slot, name: `${address} ${slot}` }
          }),
        deliver: async (deliveries, signal) => {
          const results = await each(deliveries, (one) => deliver(one, signal))
          return results.map((one) =>
            one instanceof DeliveryError ? { outcome: "failed", error: one } : one,
          )
        },
        read: async (targets, signal) => {
          const results = await each(targets, async (one): Promise<Held> => {
            const { login } = await look(one, signal)
            return login ? { state: "held", ...login } : { state: "missing" }
          })
          return results.map((one) =>
            one instanceof DeliveryError ? { state: "unreadable", error: one } : one,
          )
        },
        check: async (targets, signal) => {
          const results = await each(targets, (one) => check(one, signal))
          return results.map((one, i) =>
            one instanceof DeliveryError ? errorFinding(targets[i]?.name ?? "", one) : one,
          )
        },
      }
    },
  })
}

export default kubernetes
