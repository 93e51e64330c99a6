// What goes wrong in AWS's stores: Parameter Store and Secrets Manager.
import { startAws } from "../../scripts/aws.ts"
import { standInEnvironment } from "../support/binary.ts"
import { type SecretsServer, startSecretsManager } from "../support/secrets-server.ts"
import { type SsmServer, startSsm } from "../support/ssm-server.ts"
import type { Case, Lab } from "./lab.ts"

const PARAMETER = "/airflow/connections/ecr"

/** Delivers into a Parameter Store that `prepare` has had in hand. */
async function intoParameters(
  lab: Lab,
  prepare: (ssm: SsmServer) => unknown,
  options = "conn_id=ecr",
  more: Readonly<Record<string, string>> = {},
  flags: readonly string[] = [],
): Promise<string> {
  const ssm = lab.keep(startSsm())
  prepare(ssm)
  const person = await lab.person({ ...more, AWS_ENDPOINT_URL_SSM: ssm.url })
  return person.ecrelay(["refresh", "--sink", `aws-ssm,region=eu-west-1,${options}`, ...flags])
}

/** The same for a Secrets Manager. */
async function intoSecrets(lab: Lab, prepare: (server: SecretsServer) => unknown): Promise<string> {
  const server = lab.keep(startSecretsManager())
  prepare(server)
  const person = await lab.person({ AWS_ENDPOINT_URL_SECRETS_MANAGER: server.url })
  return person.ecrelay(["refresh", "--sink", "aws-secrets-manager,name=ecr,format=json"])
}

const theirs = { value: "theirs", keyId: undefined, tags: [], versions: 1 }

export const storeCases: readonly Case[] = [
  {
    text: "was not made by ecrelay",
    fault: "a parameter that somebody else made",
    make: (lab) => intoParameters(lab, (ssm) => ssm.seed(PARAMETER, { value: "theirs" })),
  },
  {
    text: "was not made by ecrelay",
    fault: "a secret that somebody else made",
    make: (lab) => intoSecrets(lab, ({ secrets }) => secrets.set("ecr", theirs)),
  },
  {
    text: "characters long, and",
    fault: "a login that is longer than a standard parameter",
    make: (lab) => {
      const aws = lab.keep(startAws({ passwordLength: 4900 }))
      return intoParameters(lab, () => undefined, undefined, standInEnvironment(aws.url))
    },
  },
  {
    text: "its KMS key cannot be used",
    fault: "a key that is disabled",
    make: (lab) =>
      intoParameters(lab, (ssm) =>
        ssm.refuse("ssm:PutParameter", { type: "InvalidKeyId", message: "key is disabled" }),
      ),
  },
  {
    text: "is scheduled for deletion",
    fault: "a secret that somebody deleted",
    make: (lab) => intoSecrets(lab, ({ secrets }) => secrets.set("ecr", { ...theirs, deleted: true })),
  },
  {
    text: "registries share it",
    fault: "one docker config for two registries that may not be read",
    make: (lab) =>
      intoParameters(
        lab,
        (ssm) => {
          ssm.seed("/ecr", { value: "{}" })
          ssm.refuse("ssm:GetParameters")
        },
        "name=/ecr,format=docker-config,adopt=true",
        {},
        ["--region", "eu-west-1", "--region", "us-east-1"],
      ),
  },
]
