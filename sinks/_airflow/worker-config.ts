// What this user's docker config does to the login of a connection: DockerHook's docker client asks a credential helper
// for the registry before it takes the login that Airflow gave it. For `check`; it is ours to read only where ecrelay runs
// as Airflow's worker does, which the finding says.
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import type { Registry } from "../../src/registry.ts"
import type { Finding, SinkDeps } from "../../src/sink.ts"
import { hidingHelper, parseDockerConfig } from "../_docker-config/config.ts"

/** Helpers that win over connections to these registries. A config that cannot be read or understood has none. */
export async function findWorkerHelpers(
  registries: readonly Registry[],
  { env, home }: Pick<SinkDeps, "env" | "home">,
): Promise<readonly Finding[]> {
  const folder = env.DOCKER_CONFIG || (home && join(home, ".docker"))
  if (!folder) return []
  const path = join(folder, "config.json")
  const bytes = await readFile(path).catch(() => undefined)
  const config = bytes && parseDockerConfig(bytes)
  if (!config || typeof config === "string") return []
  const helpers = new Set(registries.flatMap(({ host }) => hidingHelper(config, host) ?? []))
  return [...helpers].map((helper) => ({
    level: "warning",
    code: "worker-helper",
    subject: path,
    message: `${helper} is asked first where a worker has this file: DockerHook then logs in with what the helper says, not with the connection`,
    fix: `remove ${helper} from the file on the workers, unless its logins are kept fresh too`,
  }))
}
