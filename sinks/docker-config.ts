// The login of a registry in docker's config.json, or in a file of the same form such as podman's auth.json.
import { resolve } from "node:path"
import * as v from "valibot"
import { ConfigError } from "../src/errors.ts"
import {
  defineSink,
  type Finding,
  fillTemplate,
  flagOption,
  type SinkDeps,
  type Target,
  templateProblem,
  textOption,
} from "../src/sink.ts"
import { byFile, deliverByFile } from "./_by-file.ts"
import { check, deliver, type Policy, read } from "./_docker-config/delivery.ts"
import { fixedFolder, followLinks, inHome } from "./_folder.ts"

const TYPE = "docker-config"

const options = v.strictObject({
  path: v.optional(
    textOption(
      "File, or folder of a config.json; by default $DOCKER_CONFIG, else ~/.docker. A name without .json is a folder; {account}, {region} and {host} stand for the registry's",
    ),
  ),
  in_place: v.optional(
    flagOption(
      "Write into an existing file instead of renaming a new one onto it, for a file that is bind-mounted by itself; a crash halfway can leave half a file",
    ),
    false,
  ),
  shadowed: v.optional(
    v.pipe(
      v.picklist(["allow"]),
      v.description("allow: deliver even if a credsStore or credHelpers entry hides the login from docker"),
    ),
  ),
})

export default defineSink({
  type: TYPE,
  summary: "docker's config.json, and podman's auth.json",
  permissions: ["read and write the file and its folder"],
  options,
  create: ({ path, in_place, shadowed }, deps) => {
    const template = configPath(path, deps)
    const fileOf = ({ registry }: Target) => fillTemplate(template, registry)
    const policyFor = (file: string): Policy => ({
      place: { sink: TYPE, path: file, inPlace: in_place, deps },
      allowShadowed: shadowed === "allow",
    })
    return {
      type: TYPE,
      targets: (registry) => {
        const file = fillTemplate(template, registry)
        return [{ registry, slot: registry.host, name: `${file} auths["${registry.host}"]` }]
      },
      deliver: (deliveries, signal) =>
        deliverByFile(deliveries, fileOf, (ofFile, file) => deliver(ofFile, policyFor(file), signal)),
      read: (targets, signal) =>
        byFile(targets, fileOf, (ofFile, file) => read(ofFile, policyFor(file), signal)),
      check: async (targets, signal) => {
        const findings: Finding[] = []
        for (const [file, ofFile] of Map.groupBy(targets, fileOf))
          findings.push(...(await check(ofFile, policyFor(file), signal)))
        return findings
      },
      folders: async () => [fixedFolder(template)],
      files: { whole: false, realPath: (target) => followLinks(fileOf(target)) },
    }
  },
})

/** The file that is meant, by its name alone. Throws a ConfigError where there is nothing to tell it by. */
function configPath(path: string | undefined, { env, home }: SinkDeps): string {
  const given = path ?? (env.DOCKER_CONFIG ? resolve(env.DOCKER_CONFIG, "config.json") : "~/.docker")
  const full = inHome(given, home)
  if (full === undefined)
    throw refused(
      "there is no home directory: name the file with path=/…/config.json, or set DOCKER_CONFIG or HOME",
    )
  const problem = templateProblem(full)
  if (problem) throw refused(problem)
  return full.endsWith(".json") ? resolve(full) : resolve(full, "config.json")
}

const refused = (message: string) => new ConfigError([{ path: "path", message }])
