// Parameter Store as values: what parameters hold, whether we made them, and the two ways to write one. Each function
// is one kind of call and rejects with a CallError; what to do about it is decided in `service.ts`.
import type { ParameterType, SSMClient } from "@aws-sdk/client-ssm"
import { isTransient } from "../../src/errors.ts"
import { CallError, call, emptyAnswer, PARALLEL } from "../_aws/call.ts"
import { type Look, type SlotStore, TAG } from "../_aws/slot-service.ts"
import type { StoreConfig } from "../_aws/visit.ts"
import { inParallel } from "../_parallel.ts"
import type { Tier } from "./size.ts"

/** A parameter as it stands. */
export type Parameter = {
  readonly value: string
  readonly type: ParameterType
  readonly version: number
  /** Milliseconds since 1970. */
  readonly changedAt: number | undefined
}

/** What is to be written; without a type the parameter keeps its own, without a key AWS takes the account's. */
export type Writing = {
  readonly name: string
  readonly value: string
  readonly type?: ParameterType | undefined
  readonly kmsKey?: string | undefined
  readonly tier?: Tier | undefined
}

/** Parameter Store of one account and region. */
export type Store = SlotStore<Parameter> & {
  /** Makes a parameter, with our tag if asked; one that is there already is an error. */
  create(writing: Writing, tagged: boolean): Promise<void>
  /** Gives a parameter a new value and resolves with its version; its tags stay. Makes one that is gone. */
  overwrite(writing: Writing): Promise<number>
  /** Gives a parameter our tag. */
  tag(name: string): Promise<void>
}

const BATCH = 10

/** A store that is spoken to with such a configuration. */
export async function openStore(config: StoreConfig, signal: AbortSignal): Promise<Store> {
  const [sdk, { streamCollector }] = await Promise.all([
    import("@aws-sdk/client-ssm"),
    import("@smithy/fetch-http-handler"),
  ])
  const client: SSMClient = new sdk.SSMClient({ ...config, streamCollector })
  const until = { abortSignal: signal }

  async function lookAt(names: readonly string[]): Promise<readonly (readonly [string, Look<Parameter>])[]> {
    try {
      const command = new sdk.GetParametersCommand({ Names: [...names], WithDecryption: true })
      const { Parameters = [], InvalidParameters = [] } = await call("ssm:GetParameters", () =>
        client.send(command, until),
      )
      const found = new Map(Parameters.map((one) => [one.Name, one]))
      return names.map((name) => {
        const one = found.get(name)
        if (!one)
          return [name, InvalidParameters.includes(name) ? "missing" : emptyAnswer("ssm:GetParameters")]
        const { Value: value = "", Type: type = "SecureString", Version: version = 0, LastModifiedDate } = one
        return [name, { value, type, version, changedAt: LastModifiedDate?.getTime() }]
      })
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof CallError)) throw error
      if (names.length === 1 || isTransient(error.cause)) return names.map((name) => [name, error])
      // AWS refuses a whole batch for one name that may not be read, or whose key is gone.
      return (await inParallel(PARALLEL, names, (name) => lookAt([name]))).flat()
    }
  }

  async function put(
    { name, value, type, kmsKey, tier }: Writing,
    how: "create" | "overwrite",
    tags: boolean,
  ) {
    const command = new sdk.PutParameterCommand({
      Name: name,
      Value: value,
      Overwrite: how === "overwrite",
      ...(type ? { Type: type } : {}),
      ...(kmsKey ? { KeyId: kmsKey } : {}),
      ...(tier ? { Tier: tier } : {}),
      ...(tags ? { Tags: [TAG] } : {}),
    })
    const { Version } = await call("ssm:PutParameter", () => client.send(command, until))
    if (Version === undefined) throw emptyAnswer("ssm:PutParameter")
    return Version
  }

  return {
    look: async (names) => {
      const batches = Array.from({ length: Math.ceil(names.length / BATCH) }, (_, i) =>
        names.slice(i * BATCH, (i + 1) * BATCH),
      )
      return new Map((await inParallel(PARALLEL, batches, lookAt)).flat())
    },
    isOurs: async (name) => {
      const command = new sdk.ListTagsForResourceCommand({ ResourceType: "Parameter", ResourceId: name })
      const { TagList = [] } = await call("ssm:ListTagsForResource", () => client.send(command, until))
      return TagList.some(({ Key }) => Key === TAG.Key)
    },
    create: async (writing, tagged) => {
      await put(writing, "create", tagged)
    },
    overwrite: (writing) => put(writing, "overwrite", false),
    tag: async (name) => {
      const about = { ResourceType: "Parameter", ResourceId: name } as const
      const command = new sdk.AddTagsToResourceCommand({ ...about, Tags: [TAG] })
      await call("ssm:AddTagsToResource", () => client.send(command, until))
    },
  }
}
