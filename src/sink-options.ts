// What a sink's options are built from: valibot schemas with a description each, and the templates of its targets' names.
import * as v from "valibot"
import { parseDuration } from "./duration.ts"
import type { Registry } from "./registry.ts"

/** Schema of a text option. */
export function textOption(description: string) {
  return v.pipe(v.string(), v.nonEmpty("must not be empty"), v.description(description))
}

/**
 * Schema of a text option that is secret or may hold a secret, such as a database URL. `config` and error messages
 * never show it where it is given literally; `secret()` of the dependencies resolves it at every delivery.
 */
export function secretOption(description: string) {
  return v.pipe(
    v.string(),
    v.nonEmpty("must not be empty"),
    v.description(description),
    v.metadata({ secret: true }),
  )
}

/** Schema of a yes-or-no option: a boolean in the config file, `true` or `false` on the command line. */
export function flagOption(description: string) {
  return v.pipe(
    v.union(
      [
        v.boolean(),
        v.pipe(
          v.picklist(["true", "false"]),
          v.transform((text) => text === "true"),
        ),
      ],
      "must be true or false",
    ),
    v.description(description),
  )
}

/** Schema of an option that takes one text or a list of them (on the command line: the key repeated). */
export function listOption(description: string) {
  const text = v.pipe(v.string(), v.nonEmpty("must not be empty"))
  return v.pipe(
    v.union(
      [
        v.pipe(
          text,
          v.transform((one) => [one]),
        ),
        v.pipe(v.array(text), v.minLength(1, "must not be empty")),
      ],
      "must be a string or a list of strings, none of them empty",
    ),
    v.description(description),
  )
}

/** Schema of an option that is a time with its unit, such as `30s`; what comes out is milliseconds. */
export function durationOption(description: string) {
  return v.pipe(
    v.string("must be a time with its unit, such as 30s or 2m"),
    v.check(
      (text) => (parseDuration(text) ?? 0) > 0,
      "must be a time with its unit, such as 30s or 2m, and more than zero",
    ),
    v.transform((text) => parseDuration(text) ?? 0),
    v.description(description),
  )
}

/** What may stand in a template of a target's name. */
const PLACEHOLDERS = ["account", "region", "host"] as const

/** A target's name for a registry: `{account}`, `{region}` and `{host}` stand for the registry's; the rest is as it was. */
export function fillTemplate(template: string, registry: Registry): string {
  return PLACEHOLDERS.reduce((text, key) => text.replaceAll(`{${key}}`, registry[key]), template)
}

/** What is wrong with the braces of a template, or undefined. */
export function templateProblem(template: string): string | undefined {
  const rest = PLACEHOLDERS.reduce((text, key) => text.replaceAll(`{${key}}`, ""), template)
  const unknown = /\{[^}]*\}?/.exec(rest)?.[0]
  return unknown && `${unknown} is not a placeholder; there are {account}, {region} and {host}`
}
