// One option of Airflow's configuration, looked up in Airflow's own order: environment, airflow.cfg, commands.
// Commands run without a shell, and as root only from a file that nobody else can change; a secrets backend is not asked.
import { Secret } from "../../src/credential.ts"
import { cfgValue } from "./cfg.ts"
import type { AirflowConfigDeps, CfgFile } from "./cfg-file.ts"
import { type Command, runCommand } from "./command.ts"
import { AirflowError } from "./error.ts"
import { expand } from "./expand.ts"

/** An option: the section it stands in, then the one it stood in before Airflow 2.3. */
export type Option = {
  readonly sections: readonly [string, ...string[]]
  readonly key: string
  /** The option of ours that can be given in its place. */
  readonly ours: string
}

/** A value and where it came from, in words: `AIRFLOW__CORE__FERNET_KEY` or `/etc/airflow.cfg [core] fernet_key`. */
export type Found = { readonly value: Secret; readonly from: string }

/** What a look-up takes of the world; `file` reads airflow.cfg when it comes to that. */
export type Sources = AirflowConfigDeps & { file(): Promise<CfgFile> }

/** An option that may be given by a command; undefined where it is not configured. */
export async function lookUp(
  option: Option,
  sources: Sources,
  signal: AbortSignal,
): Promise<Found | undefined> {
  for (const section of option.sections) {
    const found =
      fromVariable(section, option, sources) ?? (await fromVariableCommand(section, option, sources, signal))
    if (found) return found
  }
  const file = await sources.file()
  return fromFile(option, sources, file) ?? (await fromFileCommand(option, sources, file, signal))
}

/** An option that Airflow takes as it stands, never from a command. */
export async function lookUpPlain(option: Option, sources: Sources): Promise<Found | undefined> {
  for (const section of option.sections) {
    const found = fromVariable(section, option, sources)
    if (found) return found
  }
  return fromFile(option, sources, await sources.file())
}

/** Where `lookUp` looks, for hints. */
export function listPlaces({ sections, key }: Option, { path, cfg }: CfgFile): string {
  const variables = sections.map((section) => variable(section, key)).flatMap((name) => [name, `${name}_CMD`])
  const file =
    path === undefined
      ? "airflow.cfg (no home directory, or AIRFLOW_HOME or AIRFLOW_CONFIG is empty)"
      : `${path}${cfg ? "" : " (not there)"}`
  return [...variables, file].join(", ")
}

const variable = (section: string, key: string) => `AIRFLOW__${section}__${key}`.toUpperCase()

function fromVariable(section: string, { key }: Option, sources: Sources): Found | undefined {
  const from = variable(section, key)
  const text = sources.env[from]
  return text === undefined ? undefined : { value: new Secret(expand(text, sources)), from }
}

async function fromVariableCommand(
  section: string,
  option: Option,
  { env, uid }: Sources,
  signal: AbortSignal,
): Promise<Found | undefined> {
  const from = variable(section, `${option.key}_cmd`)
  const text = env[from]
  if (text !== undefined) {
    if (uid === 0)
      throw notAsRoot(from, "", `put ${option.key}_cmd into an airflow.cfg that only root can write`)
    return output({ text, from }, env, signal)
  }
  const secret = variable(section, `${option.key}_secret`)
  if (env[secret] !== undefined) throw inSecretsBackend(secret, option)
  return undefined
}

function fromFile({ sections, key }: Option, sources: Sources, { cfg }: CfgFile): Found | undefined {
  if (!cfg) return undefined
  for (const section of sections) {
    const text = cfgValue(cfg, section, key)
    if (text !== undefined)
      return { value: new Secret(expand(text, sources)), from: `${cfg.path} [${section}] ${key}` }
  }
  return undefined
}

async function fromFileCommand(
  option: Option,
  { env }: Sources,
  { cfg, distrust }: CfgFile,
  signal: AbortSignal,
): Promise<Found | undefined> {
  if (!cfg) return undefined
  for (const section of option.sections) {
    const text = cfgValue(cfg, section, `${option.key}_cmd`)
    if (text === undefined) continue
    const from = `${cfg.path} [${section}] ${option.key}_cmd`
    if (distrust) throw notAsRoot(from, `: ${distrust.says}`, distrust.remedy)
    return output({ text, from }, env, signal)
  }
  for (const section of option.sections)
    if (cfgValue(cfg, section, `${option.key}_secret`) !== undefined)
      throw inSecretsBackend(`${cfg.path} [${section}] ${option.key}_secret`, option)
  return undefined
}

async function output(command: Command, env: Sources["env"], signal: AbortSignal): Promise<Found> {
  return { value: await runCommand(command, { env, signal }), from: command.from }
}

// Whoever can write the command would otherwise be root.
function notAsRoot(from: string, why: string, remedy: string): AirflowError {
  return new AirflowError(`${from}: root runs a command only from a file that only root can write${why}`, {
    code: "airflow-config-command-refused",
    hint: `run ecrelay as the user that Airflow runs as; or ${remedy}`,
  })
}

function inSecretsBackend(from: string, { ours }: Option): AirflowError {
  return new AirflowError(
    `${from}: the value is in one of Airflow's secrets backends, which ecrelay does not ask`,
    {
      code: "airflow-config-secrets-backend",
      hint: `give the value itself, for example with ${ours}=file:/path`,
    },
  )
}
