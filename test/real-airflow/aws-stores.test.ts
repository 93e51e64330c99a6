// What aws-ssm and aws-secrets-manager write into moto, as Airflow's own backends read it from there: the connection that
// Airflow then finds, and the Docker provider's hook that logs in and pulls with it.
import { afterAll, beforeAll, expect, test } from "bun:test"
import { randomBytes } from "node:crypto"
import { type InstalledAirflow, openRealAirflow, type RealAirflow } from "../support/airflow.ts"
import { keysOf } from "../support/aws-environment.ts"
import { secretsSink } from "../support/aws-secrets.ts"
import { deliverTo, ssmSink } from "../support/aws-ssm.ts"
import { makeCredential } from "../support/credentials.ts"
import { expectPulledWith, startDockerDaemon } from "../support/docker-daemon.ts"
import { proven } from "../support/proven.ts"
import { describeWithService } from "../support/services.ts"
import { hours, NOW, REGISTRY } from "../support/sinks.ts"

const PATIENCE_MS = 120_000
const BACKENDS = "airflow.providers.amazon.aws.secrets"

const STORES = [
  {
    place: "ssm",
    backend: `${BACKENDS}.systems_manager.SystemsManagerParameterStoreBackend`,
    root: "/",
    sinkAt: ssmSink,
  },
  {
    place: "secrets",
    backend: `${BACKENDS}.secrets_manager.SecretsManagerBackend`,
    root: "",
    sinkAt: secretsSink,
  },
] as const

function proveOn(
  { place, backend, root, sinkAt }: (typeof STORES)[number],
  installed: InstalledAirflow,
  moto: string,
): void {
  const prefix = `${root}airflow-${randomBytes(4).toString("hex")}/connections`
  let airflow: RealAirflow
  let env: Record<string, string>
  beforeAll(async () => {
    airflow = await openRealAirflow(installed)
    env = {
      ...keysOf(),
      AWS_DEFAULT_REGION: "eu-central-1",
      AWS_ENDPOINT_URL: moto,
      AIRFLOW__SECRETS__BACKEND: backend,
      AIRFLOW__SECRETS__BACKEND_KWARGS: JSON.stringify({ connections_prefix: prefix }),
    }
  }, PATIENCE_MS)
  afterAll(() => airflow[Symbol.asyncDispose]())

  test.each(["airflow", "airflow-uri"])(
    "the connection in format=%s is the one that Airflow finds",
    async (format) => {
      const connId = `ecr_${format.replace("-", "_")}`
      const credential = makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(12) })
      const sink = sinkAt(moto, { name: `${prefix}/{conn_id}`, conn_id: connId, format })
      expect(await deliverTo(sink, credential)).toMatchObject({ outcome: "delivered" })
      expect(await airflow.find([connId], env)).toMatchObject([
        {
          conn_id: connId,
          conn_type: "docker",
          host: REGISTRY.host,
          login: "AWS",
          password: credential.password.reveal(),
          port: null,
          extra: {},
        },
      ])
      proven({ release: installed.version, place, how: "read" })
      using daemon = startDockerDaemon()
      await airflow.pull([{ daemon: daemon.url, connId, image: `${REGISTRY.host}/team/app:1` }], env)
      expectPulledWith(daemon, { host: REGISTRY.host, password: credential.password.reveal() })
      proven({ release: installed.version, place, how: "login" })
    },
    PATIENCE_MS,
  )
}

for (const name of ["airflow33", "airflow211"] as const)
  describeWithService(name, name, (installed) => {
    for (const store of STORES)
      describeWithService("moto", `${name} with moto's ${store.place}`, ({ url }) =>
        proveOn(store, installed, url),
      )
  })
