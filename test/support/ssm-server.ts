// A Parameter Store of our own on loopback, for the rules that moto does not keep: sizes, tiers that never go down, types
// that never change, permissions per action, few writes a second. It is stricter than AWS where AWS's documents leave
// it open: a write without a tier counts as one for the standard tier.
import type { PutParameterRequest, Tag } from "@aws-sdk/client-ssm"

/** A parameter as the server keeps it. */
type Stored = {
  readonly value: string
  readonly type: string
  readonly version: number
  readonly tier: string
  readonly keyId: string | undefined
  readonly tags: Readonly<Record<string, string>>
}

/** An error as AWS answers it. */
export type Refusal = { readonly type: string; readonly message?: string; readonly status?: number }

/** One request: AWS's action without the service, what was sent, and as whom and where. */
type Request = {
  readonly action: string
  readonly input: Readonly<Record<string, unknown>>
  readonly accessKeyId: string | undefined
  readonly region: string | undefined
}

export type SsmServer = {
  readonly url: string
  readonly parameters: Map<string, Stored>
  readonly requests: readonly Request[]
  /** Answers an IAM action with an error while `when` says so; returns what ends it. */
  refuse(action: string, refusal?: Refusal, when?: (name: string) => boolean): () => void
  /** Puts a parameter there that nobody tagged. */
  seed(name: string, parameter: Partial<Stored>): void
  /** Called before a parameter is made: what others do in the meantime. */
  beforeCreate: (name: string, value: string) => void
  stop(): Promise<void>
}

const DENIED: Refusal = { type: "AccessDeniedException" }

/** Starts a server; `writesPerSecond` is how many it takes before it throttles. */
export function startSsm({ writesPerSecond = Number.POSITIVE_INFINITY } = {}): SsmServer {
  const parameters = new Map<string, Stored>()
  const requests: Request[] = []
  const refusals = new Map<string, { refusal: Refusal; when: (name: string) => boolean }>()
  const writes: number[] = []

  const require = (action: string, name: string) => {
    const planned = refusals.get(action)
    if (!planned?.when(name)) return
    const message = `User: arn:aws:iam::1:user/us is not authorized to perform: ${action} on resource: ${name}`
    throw { message, ...planned.refusal }
  }
  const known = (name: string): Stored => {
    const found = parameters.get(name)
    if (!found) throw { type: "InvalidResourceId", message: "" }
    return found
  }

  const actions: Record<string, (input: never) => object> = {
    GetParameters({ Names }: { Names: readonly string[] }) {
      if (Names.length > 10)
        throw { type: "ValidationException", message: "Member must have length less than 11" }
      for (const name of Names) require("ssm:GetParameters", name)
      for (const name of Names) if (parameters.get(name)?.keyId) require("kms:Decrypt", name)
      const found = Names.filter((name) => parameters.has(name))
      return {
        Parameters: found.map((Name) => {
          const { value, type, version } = known(Name)
          return { Name, Value: value, Type: type, Version: version, LastModifiedDate: 1_700_000_000 }
        }),
        InvalidParameters: Names.filter((name) => !parameters.has(name)),
      }
    },
    ListTagsForResource({ ResourceId }: { ResourceId: string }) {
      require("ssm:ListTagsForResource", ResourceId)
      const tags = Object.entries(known(ResourceId).tags)
      return { TagList: tags.map(([Key, Value]) => ({ Key, Value })) }
    },
    AddTagsToResource({ ResourceId, Tags }: { ResourceId: string; Tags: readonly Tag[] }) {
      require("ssm:AddTagsToResource", ResourceId)
      const before = known(ResourceId)
      parameters.set(ResourceId, { ...before, tags: { ...before.tags, ...asRecord(Tags) } })
      return {}
    },
    PutParameter(input: PutParameterRequest) {
      const { Name: name = "", Overwrite, Tags } = input
      require("ssm:PutParameter", name)
      if (Tags) require("ssm:AddTagsToResource", name)
      if (input.KeyId) require("kms:Encrypt", name)
      const now = Date.now()
      if (writes.filter((at) => at > now - 1000).length >= writesPerSecond)
        throw { type: "ThrottlingException" }
      writes.push(now)
      if (!Overwrite) server.beforeCreate(name, input.Value ?? "")
      const stored = written(input, parameters.get(name))
      parameters.set(name, stored)
      return { Version: stored.version, Tier: stored.tier }
    },
  }

  const http = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    async fetch(request) {
      const action = (request.headers.get("x-amz-target") ?? "").replace("AmazonSSM.", "")
      const input = (await request.json()) as Record<string, unknown>
      const [, accessKeyId, , region] =
        /Credential=([^/]+)\/([^/]+)\/([^/]+)\//.exec(request.headers.get("authorization") ?? "") ?? []
      requests.push({ action, input, accessKeyId, region })
      const headers = { "content-type": "application/x-amz-json-1.1" }
      try {
        return Response.json(actions[action]?.(input as never) ?? {}, { headers })
      } catch (error) {
        const { type, message = "", status = 400 } = error as Refusal
        return Response.json({ __type: type, message }, { status, headers })
      }
    },
  })
  const server: SsmServer = {
    url: `http://127.0.0.1:${http.port}`,
    parameters,
    requests,
    refuse(action, refusal = DENIED, when = () => true) {
      refusals.set(action, { refusal, when })
      return () => void refusals.delete(action)
    },
    seed: (name, parameter) => {
      const blank = {
        value: "theirs",
        type: "SecureString",
        version: 1,
        tier: "Standard",
        keyId: undefined,
        tags: {},
      }
      parameters.set(name, { ...blank, ...parameter })
    },
    beforeCreate: () => undefined,
    stop: () => http.stop(true),
  }
  return server
}

/** What a write makes of a parameter. Throws a Refusal. */
function written(input: PutParameterRequest, before: Stored | undefined): Stored {
  const { Value: value = "", Type, KeyId, Overwrite, Tags } = input
  const invalid = (message: string): Refusal => ({ type: "ValidationException", message })
  if (Overwrite && Tags) throw invalid("tags and overwrite can't be used together")
  if (before && !Overwrite) throw { type: "ParameterAlreadyExists" }
  const type = Type ?? before?.type
  if (!type) throw invalid("A parameter type is required when you create a parameter.")
  if (before && type !== before.type) throw { type: "HierarchyTypeMismatchException" }
  if (KeyId && type !== "SecureString") throw invalid("KeyId is for SecureString only")
  if (/\{\{.*\}\}/s.test(value)) throw invalid("Parameter value can't nest another parameter")
  const tier = tierOf(input.Tier, value, before)
  if (before?.tier === "Advanced" && tier === "Standard") throw invalid("You can't downgrade a parameter")
  if (Buffer.byteLength(value) > (tier === "Advanced" ? 8192 : 4096))
    throw invalid(`Value '${value}' at 'value' failed to satisfy constraint: it is too long`)
  const tags = asRecord(Tags ?? [])
  return {
    value,
    type,
    version: (before?.version ?? 0) + 1,
    tier,
    // What is written without a key goes back to the account's own.
    keyId: KeyId,
    tags: before?.tags ?? tags,
  }
}

function asRecord(tags: readonly Tag[]): Readonly<Record<string, string>> {
  return Object.fromEntries(tags.map(({ Key = "", Value = "" }) => [Key, Value]))
}

function tierOf(tier: string | undefined, value: string, before: Stored | undefined): string {
  if (tier !== "Intelligent-Tiering") return tier ?? "Standard"
  return before?.tier === "Advanced" || Buffer.byteLength(value) > 4096 ? "Advanced" : "Standard"
}
