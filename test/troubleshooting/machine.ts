// What goes wrong on the machine itself: files, commands and modules.
import { chmod, chown, mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { LACKS, POWERLESS, UNSHARE } from "../support/files.ts"
import { type Case, HOST, type Lab } from "./lab.ts"

const NOBODY = 12345

/** Delivers into a file below the home, after it was given to `prepare`. */
async function intoFile(
  lab: Lab,
  options: string,
  prepare: (path: string, home: string) => unknown = () => undefined,
  { path = "ecr", wrapper = [] as readonly string[] } = {},
): Promise<string> {
  const person = await lab.person()
  const file = join(person.home, path)
  await prepare(file, person.home)
  return person.ecrelay(["refresh", "--sink", `file,path=${file},${options}`], wrapper)
}

/** Delivers by a script with this text. */
async function byCommand(lab: Lab, text: string, options = "timeout=20s", timeout = "20s"): Promise<string> {
  const person = await lab.person()
  const command = await person.write("deliver", text, 0o755)
  return person.ecrelay(["refresh", "--timeout", timeout, "--sink", `exec,command=${command},${options}`])
}

/** Delivers by a module with this text. */
async function byModule(lab: Lab, text: string, mode = 0o600): Promise<string> {
  const person = await lab.person()
  const path = await person.write("sink.js", text)
  // Past the umask.
  await chmod(path, mode)
  return person.ecrelay(["refresh", "--sink", `module,path=${path}`])
}

const sinkWhoseDeliver = (deliver: string) => `export default ({ v, defineSink }) => defineSink({
  type: "local", summary: "a sink", permissions: [], options: v.strictObject({}),
  create: () => ({
    type: "local",
    targets: (registry) => [{ registry, slot: registry.host, name: registry.host }],
    deliver: ${deliver},
  }),
})`

export const machineCases: readonly Case[] = [
  {
    text: "would hide the login from docker",
    fault: "a credsStore",
    async make(lab) {
      const person = await lab.person()
      await person.write(".docker/config.json", '{"credsStore": "desktop"}')
      return person.ecrelay(["refresh", "--sink", "docker-config"])
    },
  },
  {
    text: "would hide the login from docker",
    fault: "a credHelper for the registry",
    async make(lab) {
      const person = await lab.person()
      await person.write(".docker/config.json", JSON.stringify({ credHelpers: { [HOST]: "ecr-login" } }))
      return person.ecrelay(["refresh", "--sink", "docker-config"])
    },
  },
  {
    text: "is not valid JSON",
    fault: "half of a config.json",
    async make(lab) {
      const person = await lab.person()
      await person.write(".docker/config.json", '{"auths": {')
      return person.ecrelay(["refresh", "--sink", "docker-config"])
    },
  },
  {
    text: "is a mount of its own",
    fault: "a config.json that is mounted by itself",
    lack: LACKS.mounts,
    async make(lab) {
      const person = await lab.person()
      const file = await person.write(".docker/config.json", "{}")
      const mounted = 'mount --bind "$0" "$0"; exec "$@"'
      return person.ecrelay(["refresh", "--sink", "docker-config"], [...UNSHARE, "sh", "-ec", mounted, file])
    },
  },
  {
    text: "not permitted to read or write it",
    fault: "a config.json that nobody may read",
    lack: LACKS.powerless,
    async make(lab) {
      const person = await lab.person()
      await person.write(".docker/config.json", "{}", 0o000)
      return person.ecrelay(["refresh", "--sink", "docker-config"], POWERLESS)
    },
  },
  {
    text: "holds something other than one ECR login",
    fault: "a file that is somebody else's",
    make: (lab) => intoFile(lab, "format=json", (file) => writeFile(file, "[diary]\n")),
  },
  {
    text: "where others can change the way to it",
    fault: "a folder that its owner could swap for a link",
    lack: LACKS.root,
    make: (lab) =>
      intoFile(
        lab,
        `owner=${NOBODY}`,
        async (_, home) => {
          await mkdir(join(home, "theirs"))
          await chown(join(home, "theirs"), NOBODY, NOBODY)
        },
        { path: "theirs/ecr" },
      ),
  },
  {
    text: "this machine knows no",
    fault: "an owner whom nobody knows",
    make: (lab) => intoFile(lab, "owner=nobody-here"),
  },
  {
    text: "its mode cannot be made",
    fault: "a file in place that is somebody else's",
    lack: LACKS.root ?? LACKS.powerless,
    make: (lab) =>
      intoFile(
        lab,
        "in_place=true",
        async (file) => {
          await writeFile(file, "")
          await chmod(file, 0o666)
          await chown(file, NOBODY, NOBODY)
        },
        { wrapper: POWERLESS },
      ),
  },
  {
    text: "standard output: cannot be written",
    fault: "a reader that has gone",
    async make(lab) {
      const person = await lab.person()
      const intoNothing = `{ until [ -e gone ]; do sleep 0.05; done; "$0" "$@"; } | { exec <&-; touch gone; }`
      return person.ecrelay(["refresh", "--sink", "stdout"], ["sh", "-c", intoNothing])
    },
  },
  {
    text: "there is no such program, or its first line",
    fault: "a command that is not there",
    async make(lab) {
      const person = await lab.person()
      return person.ecrelay(["refresh", "--sink", "exec,command=/nowhere/deliver"])
    },
  },
  {
    text: "there is no such program, or its first line",
    fault: "an interpreter that is not there",
    make: (lab) => byCommand(lab, "#!/nowhere/sh\n"),
  },
  {
    text: "and ended with all that it had started",
    fault: "a command that takes longer than it may",
    make: (lab) => byCommand(lab, "#!/bin/sh\nsleep 600\n", "timeout=1s", "2s"),
  },
  {
    text: "JSON of the wrong shape",
    fault: "an answer of another form",
    make: (lab) => byCommand(lab, "#!/bin/sh\ncat >/dev/null; echo '{}'\n", "answers=deliver"),
  },
  {
    text: "can be written by",
    fault: "a module that everybody can change",
    make: (lab) => byModule(lab, sinkWhoseDeliver("async () => []"), 0o666),
  },
  {
    text: "cannot be loaded",
    fault: "a module that cannot be parsed",
    make: (lab) => byModule(lab, "export default ("),
  },
  {
    text: "returned something that the contract does not allow",
    fault: "a module that breaks the contract",
    make: (lab) => byModule(lab, sinkWhoseDeliver("async () => ['done']")),
  },
]
