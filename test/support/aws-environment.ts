// An environment for the AWS SDK and nothing else: its own home, no settings of whoever runs the tests.
// The SDK reads `process.env` itself where it looks for profiles, so that is what is changed, and put back.
import { mkdir, mkdtemp, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DEMO_IDENTITY, type Identity } from "../../scripts/aws.ts"
import { type Aws, createAws } from "../../src/ecr.ts"

const FOREIGN = /^(AWS_|HOME$|HTTPS?_PROXY$|NO_PROXY$|ALL_PROXY$|https?_proxy$|no_proxy$|all_proxy$)/

const noAirflow = () => Promise.reject(new Error("this test has no Airflow"))

/** The variables that carry an identity's keys. */
export function keysOf({ accessKeyId, secretAccessKey }: Identity = DEMO_IDENTITY) {
  return { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }
}

/** A home directory with these files in its `.aws`: `config`, `credentials`, and what they name. */
export async function homeWith(files: Readonly<Record<string, string>>): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), "ecrelay-home-"))
  await mkdir(join(home, ".aws"))
  for (const [name, text] of Object.entries(files)) await writeFile(join(home, ".aws", name), text)
  return home
}

/** Asks AWS in an environment that holds these variables, an empty home and no instance metadata. */
export async function withAws<T>(
  variables: Readonly<Record<string, string>>,
  work: (aws: Aws, env: Readonly<Record<string, string>>) => Promise<T>,
  customFetch: typeof fetch = fetch,
): Promise<T> {
  const env = {
    HOME: await homeWith({}),
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_MAX_ATTEMPTS: "1",
    ...variables,
  }
  const before = { ...process.env }
  for (const name of Object.keys(process.env)) if (FOREIGN.test(name)) delete process.env[name]
  Object.assign(process.env, env)
  try {
    return await work(createAws({ env, fetch: customFetch, loadAirflowIdentity: noAirflow }), env)
  } finally {
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name]
    Object.assign(process.env, before)
  }
}
