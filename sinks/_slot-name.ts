// Slots that are named by templates, in which `{account}`, `{region}` and `{host}` stand for the registry's. A template
// that can name none is refused when the sink is made, and not at its first delivery.
import { ConfigError } from "../src/errors.ts"
import { ownRegistry, type Registry } from "../src/registry.ts"
import { fillTemplate, templateProblem } from "../src/sink.ts"

// To try templates with: its region is one of the longest.
const SAMPLE_REGISTRY = ownRegistry("123456789012", "us-gov-east-1")

/**
 * Gives the names that templates make for a registry, in order. `option` is where the templates were given, `problemOf` says
 * what is wrong with a name. Throws a ConfigError, and so does what it returns.
 */
export function slotNaming(
  option: string,
  templates: readonly string[],
  problemOf: (name: string) => string | undefined,
): (registry: Registry) => readonly string[] {
  const namesFor = (registry: Registry) =>
    templates.map((template) => {
      const name = fillTemplate(template, registry)
      const problem = templateProblem(template) ?? problemOf(name)
      if (problem) throw new ConfigError([{ path: option, message: `${template}: ${problem}` }])
      return name
    })
  namesFor(SAMPLE_REGISTRY)
  return namesFor
}
