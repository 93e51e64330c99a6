// Where airflow.cfg is, and as root, who else may have written it.
import { access, readFile } from "node:fs/promises"
import { join, resolve } from "node:path"
import type { SinkDeps } from "../../src/sink.ts"
import { findTrusted } from "../_trust.ts"
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
  /** As root: what lets somebody else change the file or put another in its place, and what to do about it. */
  readonly distrust?: { readonly says: string; readonly remedy: string } | undefined
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
  if (!path) return { path: undefined, cfg: undefined }
  try {
    // Before it is read: where all the way is root's, nobody else can change what is read after that.
    const distrust = deps.uid === 0 ? await whyDistrusted(path) : undefined
    return { path, cfg: parseCfg(await readFile(path, "utf8"), path), distrust }
  } catch (cause) {
    if (cause instanceof AirflowError) throw cause
    const { code } = cause as NodeJS.ErrnoException
    const missing = code === "ENOENT" || code === "ENOTDIR"
    if (missing && named === undefined) return { path, cfg: undefined }
    throw new AirflowError(missing ? `${path}: there is no such file` : `${path}: cannot be read (${code})`, {
      code: "airflow-config-unreadable",
      hint: missing
        ? "AIRFLOW_CONFIG names it: correct the variable, or wait for the file to be mounted"
        : "run ecrelay as the user that Airflow runs as, or let it read the file",
      cause,
    })
  }
}

// The file's own owner and mode would not do: whoever owns the folder chooses the file.
async function whyDistrusted(path: string): Promise<CfgFile["distrust"]> {
  try {
    const found = await findTrusted(resolve(path), 0)
    return "file" in found ? undefined : { says: `${found.part} ${found.fault}`, remedy: found.hint }
  } catch {
    // Whether it can be read at all, the reading tells.
    return { says: "who else can write it cannot be seen", remedy: "let root see all the folders above it" }
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
