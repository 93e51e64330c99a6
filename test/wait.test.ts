// `ecrelay wait`: the binary, with logins that come while it waits, that never come, and that nothing tells of.
import { expect, test } from "bun:test"
import { awsForAll, binary, ecrelay, standInEnvironment, temporaryFolder } from "./support/binary.ts"

const HOST = "012345678901.dkr.ecr.eu-west-1.amazonaws.com"
const WHAT = ["--sink", "docker-config", "--registry", HOST]

const aws = awsForAll()

const person = async () => ({ HOME: await temporaryFolder(), ...standInEnvironment(aws.url) })

test("returns at once where all is fresh, and asks AWS nothing", async () => {
  const env = await person()
  await ecrelay(["refresh", ...WHAT], { env })
  const calls = aws.calls.length
  const { out, error, code } = await ecrelay(["wait", ...WHAT], { env })
  expect({ error, code, calls: aws.calls.length }).toEqual({ error: "", code: 0, calls })
  expect(out).toStartWith("fresh")
})

test("says what it waits for, and returns when somebody else has delivered it", async () => {
  const env = await person()
  const child = Bun.spawn([await binary(), "wait", ...WHAT, "--timeout", "1m"], { env, stderr: "pipe" })
  const reader = child.stderr.getReader()
  const said = new TextDecoder().decode((await reader.read()).value)
  expect(said).toMatch(
    new RegExp(`waiting for docker-config ${env.HOME}/.docker/config.json .*\\(missing\\)`),
  )
  await ecrelay(["refresh", ...WHAT], { env })
  expect(await child.exited).toBe(0)
  expect(await new Response(child.stdout).text()).toStartWith("fresh")
}, 30_000)

test("ends with 1 when the time is over, with what is missing and what to do", async () => {
  const env = await person()
  const { out, error, code } = await ecrelay(["wait", ...WHAT, "--timeout", "1s"], { env })
  expect(code).toBe(1)
  expect(out).toStartWith("missing")
  expect(error).toContain("not every target is fresh after 1s")
  expect(error).toContain("run `ecrelay check` to see why")
})

test("does not wait for what cannot be read, and says so", async () => {
  const env = await person()
  const sink = "airflow-rest,url=https://airflow.example.com,conn_id=ecr,token=env:TOKEN"
  const { out, error, code } = await ecrelay(["wait", "--sink", sink, "--registry", HOST], { env })
  expect({ out: out.slice(0, 7), code }).toEqual({ out: "unknown", code: 0 })
  expect(error).toContain("not waited for: airflow-rest cannot be read")
})

test("stops waiting when it is asked to", async () => {
  const env = await person()
  const child = Bun.spawn([await binary(), "wait", ...WHAT], { env, stderr: "pipe", stdout: "ignore" })
  await child.stderr.getReader().read()
  child.kill("SIGTERM")
  expect(await child.exited).toBe(1)
}, 30_000)
