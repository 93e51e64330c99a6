// The binary against moto, an ECR and STS that nobody here wrote: a second opinion beside our own stand-in.
import { expect, test } from "bun:test"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { ecrelay, temporaryFolder } from "./support/binary.ts"
import { describeWithService } from "./support/services.ts"

describeWithService("moto", "moto", ({ url }) => {
  const environment = async (home: string) => ({
    HOME: home,
    AWS_ACCESS_KEY_ID: "AKIAMOTO",
    AWS_SECRET_ACCESS_KEY: "moto",
    AWS_REGION: "eu-central-1",
    AWS_ENDPOINT_URL: url,
  })

  test("gives a login for the caller's own registry", async () => {
    const home = await temporaryFolder()
    const { out, error, code } = await ecrelay(["--sink", "docker-config"], { env: await environment(home) })
    expect({ out, error, code }).toMatchObject({
      out: expect.stringMatching(/^delivered/),
      error: "",
      code: 0,
    })
    const { auths } = JSON.parse(await readFile(join(home, ".docker/config.json"), "utf8"))
    const [host] = Object.keys(auths)
    expect(host).toMatch(/^\d{12}\.dkr\.ecr\.eu-central-1\.amazonaws\.com$/)
    expect(Buffer.from(auths[host as string].auth, "base64").toString()).toStartWith("AWS:")
  }, 30_000)

  test("gives one through an assumed role, and tells whose account it is", async () => {
    const home = await temporaryFolder()
    const env = await environment(home)
    const role = ["--role-arn", "arn:aws:iam::123456789012:role/pull", "--external-id", "us"]
    expect((await ecrelay(["--sink", "docker-config", ...role], { env })).code).toBe(0)
    const { out } = await ecrelay(["status", "--sink", "docker-config", "--output", "json"], { env })
    expect(JSON.parse(out).targets[0].target).toContain("123456789012.dkr.ecr.eu-central-1.amazonaws.com")
  }, 30_000)
})
