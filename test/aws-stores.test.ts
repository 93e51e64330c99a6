// The binary against moto from the token to the store: Parameter Store and Secrets Manager filled in one refresh, left
// alone in the next, and told by status and check.
import { expect, test } from "bun:test"
import { randomBytes } from "node:crypto"
import { ecrelay, temporaryFolder } from "./support/binary.ts"
import { describeWithService } from "./support/services.ts"

describeWithService("moto", "moto's stores", ({ url }) => {
  test("are filled once, and told by status and check", async () => {
    const env = {
      HOME: await temporaryFolder(),
      AWS_ACCESS_KEY_ID: "AKIAMOTO",
      AWS_SECRET_ACCESS_KEY: "moto",
      AWS_REGION: "eu-central-1",
      AWS_ENDPOINT_URL: url,
    }
    const connId = `ecr_${randomBytes(4).toString("hex")}`
    const name = `/suite/${connId}/{region}`
    const argv = [
      ["--region", "eu-central-1", "--region", "eu-west-2"],
      ["--sink", `aws-ssm,conn_id=${connId}-{region}`],
      ["--sink", `aws-secrets-manager,conn_id=${connId}-{region}`],
      ["--sink", `aws-secrets-manager,name=${connId}/pull,format=docker-config`],
      ["--sink", `aws-ssm,name=${name},format=password,region=eu-west-1`],
    ].flat()
    const outcomesOf = async () => {
      const { out, error, code } = await ecrelay(["refresh", ...argv, "--output", "json"], { env })
      expect({ error, code }).toEqual({ error: "", code: 0 })
      return JSON.parse(out).outcomes.map(({ outcome }: { outcome: string }) => outcome)
    }
    expect(await outcomesOf()).toEqual(Array(8).fill("delivered"))
    const status = await ecrelay(["status", ...argv, "--output", "json"], { env })
    const targets: readonly { target: string; state: string }[] = JSON.parse(status.out).targets
    expect(targets.map(({ target }) => target)).toContain(
      `eu-central-1 secret airflow/connections/${connId}-eu-west-2`,
    )
    // What moto gives for a token tells no expiry.
    expect(new Set(targets.map(({ state }) => state))).toEqual(new Set(["unknown"]))
    const check = await ecrelay(["check", ...argv, "--output", "json"], { env })
    const findings: readonly { level: string; subject: string }[] = JSON.parse(check.out).findings
    const ours = findings.filter(({ subject }) => subject.includes(connId))
    expect({ code: check.code, levels: [...new Set(ours.map(({ level }) => level))] }).toEqual({
      code: 0,
      levels: ["ok"],
    })
  }, 60_000)
})
