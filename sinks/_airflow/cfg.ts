// airflow.cfg as Python's configparser reads it: sections, continuation lines, comments, `%` interpolation.
// What configparser refuses is refused here too, by line and never by content: a line may hold a secret.
import { AirflowError } from "./error.ts"

/** Options by section, as they stand in the file; DEFAULT's count in every section. */
export type Cfg = {
  readonly path: string
  readonly sections: ReadonlyMap<string, ReadonlyMap<string, string>>
}

const DEFAULTS = "DEFAULT"

/** Reads the text of an airflow.cfg; AirflowError `airflow-config-invalid`. */
export function parseCfg(text: string, path: string): Cfg {
  const refuse = (line: number, problem: string) => invalid(`${path}: line ${line + 1} ${problem}`)
  const sections = new Map<string, Map<string, string[]>>()
  let section: Map<string, string[]> | undefined
  let values: string[] | undefined
  let indent = 0
  for (const [number, line] of text.split(/\r\n|\r|\n/).entries()) {
    const content = line.trim()
    if (/^[#;]/.test(content)) continue
    if (content === "") {
      values?.push("")
      continue
    }
    const margin = line.search(/\S/)
    if (values && margin > indent) {
      values.push(content)
      continue
    }
    indent = margin
    values = undefined
    const header = /^\[(.+)\]/.exec(content)?.[1]
    if (header !== undefined) {
      if (sections.has(header) && header !== DEFAULTS) throw refuse(number, "begins a section a second time")
      section = sections.get(header) ?? new Map()
      sections.set(header, section)
      continue
    }
    const [, name = "", value = ""] = /^([^=:]*)[=:](.*)$/.exec(content) ?? []
    const key = name.trim().toLowerCase()
    if (!section) throw refuse(number, "comes before the first section")
    if (key === "") throw refuse(number, "is neither a section nor an option")
    if (section.has(key)) throw refuse(number, "sets an option a second time")
    values = [value.trim()]
    section.set(key, values)
  }
  return { path, sections: joinLines(sections) }
}

function joinLines(sections: ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>): Cfg["sections"] {
  const joined = new Map<string, Map<string, string>>()
  for (const [section, options] of sections)
    joined.set(section, new Map([...options].map(([key, values]) => [key, values.join("\n").trimEnd()])))
  return joined
}

/** An option's value with `%%` and `%(name)s` resolved; undefined where the file does not set it. */
export function cfgValue(cfg: Cfg, section: string, key: string): string | undefined {
  const options = cfg.sections.get(section)
  if (!options) return undefined
  const raw = (name: string) => options.get(name) ?? cfg.sections.get(DEFAULTS)?.get(name)
  const value = raw(key)
  return value === undefined ? undefined : interpolate(value, 0)

  function interpolate(text: string, depth: number): string {
    return text.replace(/%(%|\(([^)]+)\)s)?/g, (_, after?: string, name?: string) => {
      if (after === "%") return "%"
      const other = name === undefined ? undefined : raw(name.toLowerCase())
      // configparser gives up at the same depth, where options refer to each other in a circle.
      if (other !== undefined && depth < 10) return interpolate(other, depth + 1)
      throw invalid(
        `${cfg.path}: [${section}] ${key} has a % that begins neither %% nor %(another_option)s`,
        "write every % of the value as %% in airflow.cfg",
      )
    })
  }
}

function invalid(message: string, hint = "Airflow refuses this file too: correct the line"): AirflowError {
  return new AirflowError(message, { code: "airflow-config-invalid", hint })
}
