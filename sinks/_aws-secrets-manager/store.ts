// Secrets Manager as values: what secrets hold, whether we made them, and the ways to write one. Each function is one
// kind of call and rejects with a CallError; what to do about it is decided in `service.ts`.
import type { SecretsManagerClient, Tag } from "@aws-sdk/client-secrets-manager"
import { CallError, call, emptyAnswer, isDenied, isNamed, PARALLEL } from "../_aws/call.ts"
import { type Look, type SlotStore, TAG, type Text } from "../_aws/slot-service.ts"
import type { StoreConfig } from "../_aws/visit.ts"
import { inParallel } from "../_parallel.ts"

/** A secret as it stands; of one that holds bytes, or nothing yet, an empty text. */
export type Secret = Text

/** A secret to be made. */
export type Making = {
  readonly name: string
  readonly value: string
  /** Without one AWS takes the account's own. */
  readonly kmsKey: string | undefined
}

/** Secrets Manager of one account and region. */
export type Store = SlotStore<Secret> & {
  /** Makes a secret, with our tag if asked; one that is there already is an error. */
  create(making: Making, tagged: boolean): Promise<void>
  /** Gives a secret a new value; its key, tags and description stay. */
  put(name: string, value: string): Promise<void>
}

/** A store that is spoken to with such a configuration. */
export async function openStore(config: StoreConfig, signal: AbortSignal): Promise<Store> {
  const [sdk, { streamCollector }] = await Promise.all([
    import("@aws-sdk/client-secrets-manager"),
    import("@smithy/fetch-http-handler"),
  ])
  const client: SecretsManagerClient = new sdk.SecretsManagerClient({ ...config, streamCollector })
  const until = { abortSignal: signal }

  async function lookAt(name: string): Promise<Look<Secret>> {
    try {
      const command = new sdk.GetSecretValueCommand({ SecretId: name })
      const { ARN, SecretString } = await call("secretsmanager:GetSecretValue", () =>
        client.send(command, until),
      )
      if (!ARN) throw emptyAnswer("secretsmanager:GetSecretValue")
      // A secret of bytes holds no login of ours.
      return { value: SecretString ?? "" }
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof CallError)) throw error
      return isNamed(error, "ResourceNotFoundException") ? lookForEmpty(name) : error
    }
  }

  // AWS's answer is the same for a secret that nobody has given a value yet. Whoever may not tell the two apart tries to
  // make it.
  async function lookForEmpty(name: string): Promise<Look<Secret>> {
    try {
      await tagsOf(name)
      return { value: "" }
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof CallError)) throw error
      return isNamed(error, "ResourceNotFoundException") || isDenied(error) ? "missing" : error
    }
  }

  async function tagsOf(name: string): Promise<readonly Tag[]> {
    const command = new sdk.DescribeSecretCommand({ SecretId: name })
    return (await call("secretsmanager:DescribeSecret", () => client.send(command, until))).Tags ?? []
  }

  return {
    look: async (names) =>
      new Map(await inParallel(PARALLEL, names, async (name) => [name, await lookAt(name)] as const)),
    isOurs: async (name) => (await tagsOf(name)).some(({ Key }) => Key === TAG.Key),
    create: async ({ name, value, kmsKey }, tagged) => {
      const command = new sdk.CreateSecretCommand({
        Name: name,
        SecretString: value,
        ...(kmsKey ? { KmsKeyId: kmsKey } : {}),
        ...(tagged ? { Tags: [TAG] } : {}),
      })
      const { ARN } = await call("secretsmanager:CreateSecret", () => client.send(command, until))
      if (!ARN) throw emptyAnswer("secretsmanager:CreateSecret")
    },
    put: async (name, value) => {
      const command = new sdk.PutSecretValueCommand({ SecretId: name, SecretString: value })
      const { ARN } = await call("secretsmanager:PutSecretValue", () => client.send(command, until))
      if (!ARN) throw emptyAnswer("secretsmanager:PutSecretValue")
    },
  }
}
