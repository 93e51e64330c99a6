// `ecrelay sinks`: that it takes its settings as every command does, from flags and variables, and refuses what is none.
import { expect, test } from "bun:test"
import { sinkKinds } from "../sinks/index.ts"
import { sinks } from "../src/commands/sinks.ts"
import { ConfigError } from "../src/errors.ts"
import type { World } from "../src/session.ts"
import type { Given } from "../src/settings.ts"

const flag = (key: string, text: string): Given => new Map([[key, { from: `--${key}`, texts: [text] }]])

async function printed(given: Given, args: readonly string[] = [], env: World["env"] = {}): Promise<string> {
  const texts: string[] = []
  const print = (text: string) => void texts.push(text)
  await sinks(given, args, { env, kinds: sinkKinds, print } as Partial<World> as World)
  return texts.join("")
}

test("refuses a form that there is not", async () => {
  const error = await printed(flag("output", "yaml")).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(ConfigError)
  expect((error as ConfigError).issues).toEqual([
    { path: "--output", message: '"yaml" is not one of text, json' },
  ])
})

test("takes the form from its variable where no flag gives it", async () => {
  const env = { ECRELAY_OUTPUT: "json" }
  expect(await printed(new Map(), ["stdout"], env)).toStartWith('{"sinks":[{"type":"stdout"')
  expect(await printed(flag("output", "text"), ["stdout"], env)).toStartWith("stdout: ")
})

test("prints what another side is written by, for the kinds that have one", async () => {
  expect(JSON.parse(await printed(flag("schema", "true"), ["exec"]))).toHaveProperty("$defs")
  const error = await printed(flag("types", "true"), ["exec"]).catch((error: unknown) => error)
  expect((error as ConfigError).message).toBe(
    "--types: exec has none; there is `ecrelay sinks module --types`",
  )
})
