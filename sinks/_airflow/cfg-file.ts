// Where airflow.cfg is and who may have written it. Owner and mode are those of the very file that was read.
import { access, open } from "node:fs/promises"
import { join } from "node:path"
import type { SinkDeps } from "../../src/sink.ts"
import { type Cfg, parseCfg } from "./cfg.ts"
import { AirflowError } from "./error.ts"
import { expand } from "./expand.ts"

/** What finding Airflow's configuration takes of the world. */
export type AirflowConfigDeps = Pick<SinkDeps, "env" | "home" | "uid">

/** An airflow.cfg; `cfg` is undefined where there is none. */
export type CfgFile = {
  /** Undefined where no variable names one and there is no home directory to look in. */
  readonly path: string | undefined
  readonly cfg: Cfg | undefined
  /** Only root can have written it. */
  readonly rootsOwn: boolean
}

/** Airflow's home directory: `$AIRFLOW_HOME`, else `~/airflow`; undefined where there is no `~`. */
export function airflowHome(deps: AirflowConfigDeps): string | undefined {
  const home = expand(deps.env.AIRFLOW_HOME ?? "~/airflow", deps)
  return home.startsWith("~") ? undefined : home
}

/**
 * Reads `$AIRFLOW_CONFIG`, else `airflow.cfg` in Airflow's home, where it may be missing. AirflowError
 * `airflow-config-unreadable` (also where the file that `$AIRFLOW_CONFIG` names is missing), `airflow-config-invalid`.
 */
export async function loadCfgFile(deps: AirflowConfigDeps): Promise<CfgFile> {
  const named = deps.env.AIRFLOW_CONFIG
  const home = airflowHome(deps)
  const path = named !== undefined ? expand(named, deps) : home && join(home, "airflow.cfg")
  if (!path) return { path: undefined, cfg: undefined, rootsOwn: false }
  try {
    const { text, rootsOwn } = await read(path)
    return { path, cfg: parseCfg(text, path), rootsOwn }
  } catch (cause) {
    if (cause instanceof AirflowError) throw cause
    const { code } = cause as NodeJS.ErrnoException
    const missing = code === "ENOENT" || code === "ENOTDIR"
    if (missing && named === undefined) return { path, cfg: undefined, rootsOwn: false }
    throw new AirflowError(missing ? `${path}: there is no such file` : `${path}: cannot be read (${code})`, {
      code: "airflow-config-unreadable",
      hint: missing
        ? "AIRFLOW_CONFIG names it: correct the variable, or wait for the file to be mounted"
        : "run ecrelay as the user that Airflow runs as, or let it read the file",
      cause,
    })
  }
}

async function read(path: string): Promise<{ text: string; rootsOwn: boolean }> {
  const file = await open(path)
  try {
    const { uid, mode } = await file.stat()
    return { text: await file.readFile("utf8"), rootsOwn: uid === 0 && (mode & 0o022) === 0 }
  } finally {
    await file.close()
  }
}

/** Whether there is a file; one that may not be looked at counts as there. */
export async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch (error) {
    return !["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")
  }
}
