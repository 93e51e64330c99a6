// A Secrets Manager of our own on loopback, for what moto does not keep: permissions per action, and deletions that are
// under way.

/** A secret as the server keeps it. */
type StoredSecret = {
  /** Undefined where nobody has given it a value yet. */
  readonly value: string | undefined
  readonly keyId: string | undefined
  readonly tags: readonly { readonly Key: string; readonly Value: string }[]
  readonly versions: number
  readonly deleted?: boolean
}

export type SecretsServer = {
  readonly url: string
  readonly secrets: Map<string, StoredSecret>
  /** AWS's actions without the service, in the order in which they came. */
  readonly actions: readonly string[]
  /** Answers an action with an error, until the function that it returns is called. */
  refuse(action: string, type?: string): () => void
  /** Called before a secret is made: what others do in the meantime. */
  beforeCreate: (name: string, value: string) => void
  stop(): Promise<void>
}

type Input = {
  readonly SecretId: string
  readonly Name: string
  readonly SecretString: string
  readonly KmsKeyId?: string
  readonly Tags?: StoredSecret["tags"]
}

const namesOf = (Name: string) => ({
  ARN: `arn:aws:secretsmanager:eu-central-1:1:secret:${Name}-AbCdEf`,
  Name,
})

/** Starts a server. */
export function startSecretsManager(): SecretsServer {
  const secrets = new Map<string, StoredSecret>()
  const actions: string[] = []
  const refusals = new Map<string, string>()
  const known = (name: string): StoredSecret => {
    const found = secrets.get(name)
    if (!found) throw "ResourceNotFoundException"
    if (found.deleted) throw "InvalidRequestException"
    return found
  }
  const answers: Readonly<Record<string, (input: Input) => object>> = {
    GetSecretValue({ SecretId }) {
      const { value } = known(SecretId)
      if (value === undefined) throw "ResourceNotFoundException"
      return { ...namesOf(SecretId), SecretString: value }
    },
    DescribeSecret: ({ SecretId }) => ({ Name: SecretId, Tags: known(SecretId).tags }),
    CreateSecret({ Name, SecretString, KmsKeyId, Tags = [] }) {
      if (Tags.length > 0 && refusals.has("TagResource")) throw refusals.get("TagResource")
      server.beforeCreate(Name, SecretString)
      if (secrets.has(Name)) throw "ResourceExistsException"
      secrets.set(Name, { value: SecretString, keyId: KmsKeyId, tags: Tags, versions: 1 })
      return namesOf(Name)
    },
    PutSecretValue({ SecretId, SecretString }) {
      const before = known(SecretId)
      secrets.set(SecretId, { ...before, value: SecretString, versions: before.versions + 1 })
      return namesOf(SecretId)
    },
  }
  const http = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const action = (request.headers.get("x-amz-target") ?? "").replace("secretsmanager.", "")
      actions.push(action)
      try {
        const refusal = refusals.get(action)
        if (refusal) throw refusal
        return Response.json(answers[action]?.((await request.json()) as Input) ?? {})
      } catch (type) {
        const message = `User: arn:aws:iam::1:user/us is not authorized to perform: secretsmanager:${action}`
        return Response.json(
          { __type: type, message },
          { status: type === "InternalServiceError" ? 500 : 400 },
        )
      }
    },
  })
  const server: SecretsServer = {
    url: `http://127.0.0.1:${http.port}`,
    secrets,
    actions,
    refuse(action, type = "AccessDeniedException") {
      refusals.set(action, type)
      return () => void refusals.delete(action)
    },
    beforeCreate: () => undefined,
    stop: () => http.stop(true),
  }
  return server
}
