// What the sink `exec` promises beside the contract: what a command is told and what it cannot see, how it is ended with
// all that it started, and what of its words reaches a report.
import { afterAll, expect, spyOn, test } from "bun:test"
import * as childProcess from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as v from "valibot"
import { protocolSchema } from "../../sinks/_exec/json-schema.ts"
import { requests } from "../../sinks/_exec/protocol.ts"
import kind from "../../sinks/exec.ts"
import { DeliveryError } from "../../src/errors.ts"
import type { SinkDeps } from "../../src/sink.ts"
import { createSink, parseSinkTable, parseSinkText } from "../../src/sink-spec.ts"
import { makeCredential } from "../support/credentials.ts"
import { credentialForms, textOf } from "../support/secrets.ts"
import {
  calm,
  deliveriesOf,
  hours,
  makeSink,
  NOW,
  REGISTRY,
  testDeps,
  ZERO_REGISTRY,
} from "../support/sinks.ts"

const folder = mkdtempSync(join(tmpdir(), "exec-command-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
for (const name of ["own-shell", "naïve-shell"]) symlinkSync("/bin/sh", join(folder, name))
const credential = makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(12) })
const beside = makeCredential({ registry: ZERO_REGISTRY, expiresAt: NOW + hours(12) })
const HOST = REGISTRY.host
let count = 0

/** A shell script as a command, with what is to be said of it in the options. */
function shell(script: string, options: object = {}, deps: Partial<SinkDeps> = {}) {
  const path = join(folder, `script-${count++}`)
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o700 })
  return makeSink(kind, { command: [path], ...options }, testDeps(deps))
}

const deliver = (sink: ReturnType<typeof shell>, signal = calm(), credentials = [credential]) =>
  sink.deliver(deliveriesOf(sink, credentials), signal)

async function failureOf(work: Promise<unknown>): Promise<DeliveryError> {
  const error = await work.then(
    (result) => (Array.isArray(result) ? result[0]?.error : result),
    (error: unknown) => error,
  )
  if (error instanceof DeliveryError) return error
  throw new Error(`expected a DeliveryError, got ${textOf(error)}`)
}

/** Prints an answer as a script would. */
const answering = (answer: object) => `cat <<'END'\n${JSON.stringify(answer)}\nEND`

/** Breaks a pipe of whatever command is started next, as the system would. */
function breakPipe(name: "stdin" | "stdout" | "stderr"): Disposable {
  const { spawn } = childProcess
  const start = (...given: Parameters<typeof spawn>) => {
    const child = spawn(...given)
    child[name]?.destroy(Object.assign(new Error("EIO"), { code: "EIO" }))
    return child
  }
  const watch = spyOn(childProcess, "spawn").mockImplementation(start as typeof spawn)
  return { [Symbol.dispose]: () => watch.mockRestore() }
}

test("a command that could not be told all has not delivered, however it ends", async () => {
  const sink = shell("cat > /dev/null")
  using _ = breakPipe("stdin")
  expect(await failureOf(deliver(sink))).toMatchObject({
    code: "command-not-started",
    message: expect.stringContaining("EIO"),
  })
})

test("a pipe of the command's words that breaks leaves how it ends", async () => {
  const sink = shell("cat > /dev/null; exit 3")
  using _ = breakPipe("stderr")
  expect(await failureOf(deliver(sink))).toMatchObject({
    code: "command-failed",
    message: expect.stringMatching(/exit code 3$/),
  })
})

test("tells the command its logins on standard input, in the documented form", async () => {
  await deliver(shell(`cat > ${folder}/told`), calm(), [credential, beside])
  const told = JSON.parse(readFileSync(join(folder, "told"), "utf8"))
  expect(v.parse(requests.deliver, told)).toEqual({
    version: 1,
    action: "deliver",
    registries: [credential, beside].map(({ registry: { host, account, region }, password, expiresAt }) => ({
      ...{ host, account, region, username: "AWS", password: password.reveal() },
      expiresAt: new Date(expiresAt).toISOString(),
    })),
  })
})

test("shows the command no login but on standard input, and of the environment what it needs", async () => {
  const env = { PATH: "/usr/bin:/bin", LANG: "C", AWS_SECRET_ACCESS_KEY: "hunter2", DOCKER_HOST: "unix:///x" }
  const script = `tr '\\0' '\\n' < /proc/$$/cmdline > ${folder}/seen; env >> ${folder}/seen; pwd >> ${folder}/seen`
  await deliver(shell(script, { env: "DOCKER_HOST ABSENT" }, { env, home: "/home/me" }))
  const seen = readFileSync(join(folder, "seen"), "utf8")
  expect(credentialForms(credential).filter((form) => seen.includes(form))).toEqual([])
  const lines = seen.trim().split("\n")
  const variables = lines.filter((line) => /^\w+=/.test(line) && !/^(PWD|_|SHLVL)=/.test(line)).sort()
  expect(variables).toEqual(["DOCKER_HOST=unix:///x", "HOME=/home/me", "LANG=C", "PATH=/usr/bin:/bin"])
  expect(lines.at(-1)).toBe("/")
})

test.each([
  ["/bin/echo --stack 'my stack' a\\ b", ["/bin/echo", "--stack", "my stack", "a b"]],
  [
    ["/bin/echo", "one text; $(no shell) *"],
    ["/bin/echo", "one text; $(no shell) *"],
  ],
])("takes the command %j as the words %j", (command, words) => {
  const parsed = v.parse(kind.options, { command })
  expect((parsed as { command: readonly string[] }).command).toEqual(words)
  const name = makeSink(kind, { command }).targets(REGISTRY)[0]?.name ?? ""
  // What people see can be pasted, and means the same.
  const again = v.parse(kind.options, { command: name.slice(0, -HOST.length) })
  expect((again as { command: readonly string[] }).command).toEqual(words)
})

test("takes the same command from the command line and from the config file", async () => {
  const kinds = { exec: async () => kind }
  const specs = [
    parseSinkText("exec,command=/bin/push --to web,answers=read check", "--sink"),
    parseSinkText("exec,command=/bin/push,command=--to,command=web,answers=read,answers=check", "--sink"),
    parseSinkTable({ type: "exec", command: ["/bin/push", "--to", "web"], answers: ["read", "check"] }, ""),
  ]
  for (const spec of specs) {
    const sink = await createSink(spec, kinds, testDeps())
    expect(sink.targets(REGISTRY)).toMatchObject([{ slot: HOST, name: `/bin/push --to web ${HOST}` }])
    expect(sink.read).toBeDefined()
  }
})

test.each([
  ["exec", "command: is required"],
  ["exec,command=push", "command: must begin with the full path of a program"],
  ["exec,command=", "command: must not be empty"],
  ["exec,command=/bin/push 'x", "command: has an unclosed quote"],
  ["exec,command=/bin/push,timeout=30", "timeout: must be a time with its unit"],
  ["exec,command=/bin/push,timeout=0s", "timeout: must be a time with its unit"],
  ["exec,command=/bin/push,answers=yes", "answers.0: must be among deliver, read, check"],
  ["exec,command=/bin/push,env=A=B", "env.0: must be names of variables"],
])("refuses %s: %s", async (text, complaint) => {
  const made = createSink(parseSinkText(text, "--sink"), { exec: async () => kind }, testDeps())
  expect(await made.catch((error: Error) => error.message)).toContain(complaint)
})

const isAlive = (pid: string) =>
  existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))

/** Resolves once these processes have ended, which the system may take a moment for. */
async function gone(pids: readonly string[]): Promise<void> {
  while (pids.some(isAlive)) await Bun.sleep(2)
}

/** The process ids that a script wrote into its file. */
const pidsIn = (name: string) => readFileSync(join(folder, name), "utf8").trim().split("\n")

test("ends a command that takes too long, with all that it started and even if it will not", async () => {
  const script = `trap '' TERM; sleep 600 & echo $! >> ${folder}/slow; echo $$ >> ${folder}/slow; echo waiting >&2; sleep 600; sleep 600`
  const error = await failureOf(deliver(shell(script, { timeout: "300ms" })))
  expect(error.message).toEndWith("not done within 0.3 s, and ended with all that it had started: waiting")
  expect([error.code, error.retryable]).toEqual(["timeout", true])
  expect(pidsIn("slow")).toHaveLength(2)
  await gone(pidsIn("slow"))
})

test("asks a command to end before it forces it to", async () => {
  const script = `trap 'echo tidied > ${folder}/tidied; exit 0' TERM; sleep 600 & wait`
  await failureOf(deliver(shell(script, { timeout: "300ms" })))
  expect(readFileSync(join(folder, "tidied"), "utf8")).toBe("tidied\n")
})

test("leaves nothing running behind a command that ended well", async () => {
  const results = await deliver(shell(`sleep 600 & echo $! > ${folder}/behind`))
  expect(results).toEqual([{ outcome: "delivered", expiresAt: credential.expiresAt }])
  await gone(pidsIn("behind"))
})

test("ends the command when the signal is aborted, with its reason", async () => {
  const stop = new AbortController()
  const delivery = deliver(shell(`echo $$ > ${folder}/stopped; sleep 600`), stop.signal)
  while (!existsSync(join(folder, "stopped")) || pidsIn("stopped")[0] === "") await Bun.sleep(5)
  stop.abort(new Error("stop"))
  expect(await delivery.catch((error: Error) => error.message)).toBe("stop")
  await gone(pidsIn("stopped"))
})

test.each([
  [1, "command-failed", false],
  [75, "command-failed", true],
])("takes exit code %d for %s, and whether it may pass by itself for %p", async (code, name, retryable) => {
  const error = await failureOf(deliver(shell(`cat > /dev/null; echo 'no. such. stack.' >&2; exit ${code}`)))
  expect(error).toMatchObject({ code: name, retryable, sink: "exec" })
  expect(error.message).toEndWith(`: exit code ${code}: no. such. stack`)
})

test("names the signal that ended a command", async () => {
  const error = await failureOf(deliver(shell("cat > /dev/null; kill -KILL $$")))
  expect(error).toMatchObject({ code: "command-killed", message: expect.stringContaining("SIGKILL") })
})

test.each([
  ["#!/nowhere/sh\n", "command-missing", "its first line #! names one that is not there"],
  ["#! /usr/bin/env no-such-shell\n", "command-missing", "has env look for no-such-shell"],
  ["#!/usr/bin/env -S X=1 no-such-shell -e\n", "command-missing", "has env look for no-such-shell"],
  ["#!/usr/bin/env sh -e\n", "command-missing", "has env look for 'sh -e', spaces included"],
  ["#!/bin/sh\r\n", "command-missing", "ends with a carriage return"],
  ["#!/usr/bin/env sh\r\n", "command-missing", "ends with a carriage return"],
  ["#!/usr/bin\n", "command-not-executable", "this user may not execute it"],
  ["echo hello\n", "command-not-executable", "nor a script that begins with #!"],
  ["", "command-not-executable", "nor a script that begins with #!"],
])("check finds that a file beginning with %j cannot be run", async (text, code, says) => {
  const path = join(folder, `first-line-${count++}`)
  writeFileSync(path, `${text}true\n`.slice(text ? 0 : 5), { mode: 0o700 })
  const sink = makeSink(kind, { command: [path] }, testDeps({ env: { PATH: process.env.PATH } }))
  const findings = await sink.check?.(sink.targets(REGISTRY), calm())
  expect(findings).toMatchObject([{ level: "error", code, message: expect.stringContaining(says) }])
  // And it is so.
  expect(["command-missing", "command-not-executable", "command-failed"]).toContain(
    (await failureOf(deliver(sink))).code,
  )
})

test.each([
  "#!/bin/sh\n",
  "#!bin/sh\n",
  "#! /usr/bin/env sh\n",
  "#!/usr/bin/env -S sh -e\n",
  "#!/usr/bin/env -S sh\r\n",
  `#!${folder}/naïve-shell\n`,
  "#!/usr/bin/env -S -u OTHER sh\n",
  `#!/usr/bin/env -S PATH=${folder} own-shell\n`,
  '#!/usr/bin/env -S "sh" -e\n',
])("check finds nothing wrong with a script beginning with %j, which runs", async (text) => {
  const path = join(folder, `first-line-${count++}`)
  writeFileSync(path, `${text}/bin/cat > /dev/null\n`, { mode: 0o700 })
  const sink = makeSink(kind, { command: [path] }, testDeps({ env: { PATH: process.env.PATH } }))
  expect(await sink.check?.(sink.targets(REGISTRY), calm())).toMatchObject([{ level: "ok" }])
  expect(await deliver(sink)).toMatchObject([{ outcome: "delivered" }])
})

test("says what keeps a program from being started", async () => {
  const problems = [
    ["/nowhere/push", "command-missing", /there is no such program/],
    [folder, "command-not-executable", /may not execute it/],
  ] as const
  for (const [path, code, says] of problems) {
    const sink = makeSink(kind, { command: [path] })
    const error = await failureOf(deliver(sink))
    expect(error).toMatchObject({ code, retryable: false, message: expect.stringMatching(says) })
    expect(await sink.check?.(sink.targets(REGISTRY), calm())).toMatchObject([
      { level: "error", subject: path, message: expect.stringMatching(says), fix: error.hint },
    ])
  }
})

test("shows the end of what a command complains about, on one line and nothing that a terminal obeys", async () => {
  const script = `i=0; while [ $i -lt 3000 ]; do echo "line $i of noise"; i=$((i+1)); done >&2; printf '\\033[31mred\\033[0m\\a\\n\\nlast \\342\\200\\256line\\n' >&2; exit 1`
  const { message } = await failureOf(deliver(shell(script)))
  expect(message).toEndWith("line 2999 of noise | red | last line")
  expect(message.length).toBeLessThan(900)
})

test("believes an answer registry by registry, and fails what it does not mention", async () => {
  const answer = {
    registries: [
      { host: HOST, outcome: "failed", message: "stack is locked.", hint: "unlock it", retryable: true },
    ],
  }
  const sink = shell(`${answering(answer)}\nexit 3`, { answers: "deliver" })
  const results = await deliver(sink, calm(), [credential, beside])
  expect(results).toMatchObject([
    { outcome: "failed", error: { code: "command-answered", hint: "unlock it", retryable: true } },
    { outcome: "failed", error: { code: "command-failed" } },
  ])
  expect((await failureOf(Promise.resolve(results))).message).toEndWith(`${HOST}: stack is locked`)
  const silent = await deliver(shell(answering({ registries: [] }), { answers: "deliver" }))
  expect(silent).toMatchObject([{ outcome: "failed", error: { code: "answer-invalid" } }])
})

test("fails all where a command ends badly and its answer names no failure", async () => {
  const answer = { registries: [{ host: HOST, outcome: "delivered" }] }
  const error = await failureOf(deliver(shell(`${answering(answer)}\nexit 1`, { answers: "deliver" })))
  expect(error.code).toBe("command-failed")
})

test("does not believe what a command read that ended badly", async () => {
  const answer = { registries: [{ host: HOST, state: "missing" }] }
  const sink = shell(`${answering(answer)}\nexit 4`, { answers: "read" })
  const error = await failureOf(sink.read?.(sink.targets(REGISTRY), calm()) ?? Promise.resolve())
  expect(error).toMatchObject({ code: "command-failed", message: expect.stringContaining("exit code 4") })
  expect((await failureOf(deliver(sink))).message).toContain("exit code 4")
})

test.each([
  ["nothing", ""],
  ["no JSON", "echo done"],
  ["JSON of the wrong shape: registries is not as it should be", "echo '{}'"],
  ["JSON of the wrong shape: more is not as it should be", `echo '{"registries": [], "more": 1}'`],
  [
    "JSON of the wrong shape: registries.0.outcom is not as it should be",
    answering({ registries: [{ host: HOST, outcome: "delivered", outcom: "failed" }] }),
  ],
])("refuses an answer that is %s", async (fault, script) => {
  const error = await failureOf(deliver(shell(script, { answers: "deliver" })))
  expect(error).toMatchObject({ code: "answer-invalid", retryable: false })
  expect(error.message).toEndWith(`: answered ${fault}`)
})

test("ends a command that never stops answering", async () => {
  const error = await failureOf(deliver(shell("cat /dev/zero", { answers: "deliver" })))
  expect(error.code).toBe("answer-too-long")
})

test("hands a command that can read no login that it holds a later one of", async () => {
  const later = NOW + hours(12.5)
  const script = `case $(cat) in
    *'"action":"read"'*) echo '${JSON.stringify({
      registries: [
        { host: HOST, state: "held", expiresAt: new Date(later).toISOString() },
        { host: ZERO_REGISTRY.host, state: "missing" },
      ],
    })}' ;;
    *${HOST}*) exit 1 ;;
  esac`
  const results = await deliver(shell(script, { answers: "read" }), calm(), [credential, beside])
  expect(results).toEqual([
    { outcome: "unchanged", expiresAt: later },
    { outcome: "delivered", expiresAt: beside.expiresAt },
  ])
})

test("passes on what a command finds, and its failure to check as a finding", async () => {
  const findings = [{ level: "error", message: "stack is locked.", host: HOST, fix: "unlock it." }]
  const sink = shell(answering({ findings }), { answers: "check" })
  const [, finding] = (await sink.check?.(sink.targets(REGISTRY), calm())) ?? []
  expect(finding).toEqual({
    level: "error",
    code: "command-found",
    subject: sink.targets(REGISTRY)[0]?.name as string,
    message: "stack is locked",
    fix: "unlock it",
  })
  const general = shell(answering({ findings: [{ level: "warning", message: "m" }] }), { answers: "check" })
  const [runs, warning] = (await general.check?.(general.targets(REGISTRY), calm())) ?? []
  expect([warning?.level, warning?.subject]).toEqual(["warning", runs?.subject])
  const broken = shell("exit 1", { answers: "check" })
  expect(await broken.check?.(broken.targets(REGISTRY), calm())).toMatchObject([{ level: "error" }])
})

test("warns of a program that others can change", async () => {
  const sink = shell("exit 0")
  const [{ name = "" } = {}] = sink.targets(REGISTRY)
  const path = name.slice(0, -HOST.length - 1)
  expect(await sink.check?.([], calm())).toEqual([{ level: "ok", subject: path, message: "can be run" }])
  Bun.spawnSync(["chmod", "777", path])
  expect(await sink.check?.([], calm())).toMatchObject([
    { level: "ok" },
    {
      level: "warning",
      message: `${path} can be written by everybody (mode 0777)`,
      fix: `\`chmod go-w ${path}\``,
    },
  ])
})

test("prints a JSON Schema in which every key says what it is, and nothing else is allowed", () => {
  const schema = JSON.parse(protocolSchema())
  expect(Object.keys(schema.$defs)).toEqual([
    ...["deliver", "read", "check"],
    ...["deliver-answer", "read-answer", "check-answer"],
  ])
  expect(schema.$defs.deliver.properties.registries.items.required).toEqual([
    ...["host", "account", "region", "username", "password", "expiresAt"],
  ])
  expect(schema.$defs.deliver).toMatchObject({ type: "object", additionalProperties: false })
  expect(schema.$defs["read-answer"].properties.registries.items.oneOf).toHaveLength(3)
  expect(schema.$defs.deliver.properties.registries.items.properties.expiresAt.format).toBe("date-time")
})
