// The login of a registry as a file of its own: the password alone, JSON, netrc, or a text by a template. Mode and owner
// are enforced at every delivery. What is there and is no such login belongs to somebody else, and stays unless we are
// told to take it over.
import { isAbsolute, resolve } from "node:path"
import * as v from "valibot"
import { ConfigError } from "../src/errors.ts"
import { defineSink, fillTemplate, flagOption, templateProblem, textOption } from "../src/sink.ts"
import { fixedFolder, followLinks, inHome } from "./_folder.ts"
import { check, deliver, type Policy, read } from "./_login-file/delivery.ts"
import { OWNER } from "./_login-file/owner.ts"
import { FORMATS, templates, textProblem } from "./_login-file/template.ts"

const TYPE = "file"

const options = v.strictObject({
  path: v.pipe(
    textOption(
      "File, by its full path or below ~; {account}, {region} and {host} stand for the registry's, so that each has a file of its own",
    ),
    v.check(
      (path) => /^~[/\\]./.test(path) || isAbsolute(path),
      "must be a full path, such as /etc/ecrelay/ecr-password, or begin with ~/",
    ),
    v.check((path) => !/[/\\]$/.test(path), "must name a file, not a folder"),
    v.check(
      (path) => !templateProblem(path),
      ({ input }) => templateProblem(input) ?? "",
    ),
  ),
  format: v.optional(
    v.pipe(
      v.picklist(FORMATS),
      v.description(
        "password (the default; it alone, without a newline), json, or netrc (for curl, git and others)",
      ),
    ),
  ),
  template: v.optional(
    v.pipe(
      textOption(
        "A text of your own instead of format, with {password} or {auth} (user name and password in base64), {host}, {username}, {expires_at}, {account}, {region}; put one of several lines into the config file",
      ),
      v.check(
        (text) => !textProblem(text),
        ({ input }) => textProblem(input) ?? "",
      ),
    ),
  ),
  mode: v.optional(
    v.pipe(
      v.string('must be a string in quotes: "0640"'),
      v.regex(/^0?[4-7][0-7]{2}$/, "must be an octal mode that lets its owner read, such as 0640"),
      v.description("Who may use it, as for chmod: 0600 (the default), 0640, …; enforced at every delivery"),
    ),
    "0600",
  ),
  owner: v.optional(
    v.pipe(
      v.string('must be a string in quotes: "1000:1000"'),
      v.regex(OWNER, "must be USER, USER:GROUP or :GROUP, by name or number"),
      v.description(
        "Who owns it, as for chown: USER, USER:GROUP or :GROUP; enforced at every delivery. Needs root, except for a group that the user is in, and as root a path that nobody else can change",
      ),
    ),
  ),
  in_place: v.optional(
    flagOption(
      "Write into an existing file instead of renaming a new one onto it, for a file that is bind-mounted by itself; a crash halfway can leave half a file",
    ),
    false,
  ),
  adopt: v.optional(flagOption("Replace a file even if it holds something other than a login"), false),
})

export default defineSink({
  type: TYPE,
  summary: "a file with the password alone, as JSON, netrc or by a template",
  permissions: [
    "read and write the file and its folder",
    "with owner, except for a group that the user is in: root",
  ],
  options,
  create: ({ path, format, template, mode, owner, in_place, adopt }, deps) => {
    if (format !== undefined && template !== undefined)
      throw new ConfigError([
        { path: "template", message: "takes the place of format: leave one of them out" },
      ])
    const full = inHome(path, deps.home)
    if (full === undefined)
      throw new ConfigError([{ path: "path", message: "there is no home directory: give the full path" }])
    const policy: Policy = {
      template: template === undefined ? templates[format ?? "password"] : { text: template },
      adopt,
      owner,
      place: { sink: TYPE, inPlace: in_place, access: { mode: Number.parseInt(mode, 8) }, deps },
    }
    return {
      type: TYPE,
      targets: (registry) => {
        const file = resolve(fillTemplate(full, registry))
        return [{ registry, slot: file, name: file }]
      },
      deliver: (deliveries, signal) => deliver(deliveries, policy, signal),
      read: (targets, signal) => read(targets, policy, signal),
      check: (targets, signal) => check(targets, policy, signal),
      folders: async () => [fixedFolder(full)],
      files: { whole: true, realPath: ({ slot }) => followLinks(slot) },
    }
  },
})
