// The airflow-rest sink through Amazon MWAA, as the sink suite wants it: the stand-in of InvokeRestApi in front of the one
// of Airflow.
import kind from "../../sinks/airflow-rest.ts"
import type { Sink, SinkDeps } from "../../src/sink.ts"
import { openAirflowRest, type RestRig, SLOT } from "./airflow-rest.ts"
import type { RestServer } from "./airflow-rest-server.ts"
import { accessTo } from "./aws-ssm.ts"
import {
  ENVIRONMENT,
  INVOKERS,
  type InnerAirflow,
  type Invoker,
  type MwaaServer,
  startMwaa,
} from "./mwaa-server.ts"
import { makeSink, testDeps } from "./sinks.ts"

/** Deps of a sink that asks the MWAA at `url` as `invoker`. */
export function depsOf(
  url: string,
  invoker: Invoker = INVOKERS.admin,
  variables: Readonly<Record<string, string>> = {},
): Partial<SinkDeps> {
  const keys = {
    AWS_ACCESS_KEY_ID: invoker.accessKeyId,
    AWS_SECRET_ACCESS_KEY: invoker.secretAccessKey,
    ...(invoker.sessionToken ? { AWS_SESSION_TOKEN: invoker.sessionToken } : {}),
  }
  const env = { AWS_REGION: "eu-central-1" }
  return { env, aws: accessTo(url, fetch, { ...keys, ...variables }) }
}

/** A sink for the environment behind `url`, its one connection id `ecr`. */
export function mwaaSink(url: string, options: object = {}, deps: Partial<SinkDeps> = depsOf(url)): Sink {
  return makeSink(kind, { mwaa_environment: ENVIRONMENT, conn_id: "ecr", ...options }, testDeps(deps))
}

/** The stand-in of Airflow as an environment's. */
export function innerAirflow(server: RestServer, api: "v1" | "v2"): InnerAirflow {
  const authorize = (role: string) => {
    server.admit(`mwaa-${role}`, role)
    return `Bearer mwaa-${role}`
  }
  return { url: server.url, api, authorize }
}

/** A fresh environment with Airflow 2 (`v1`) or 3 (`v2`), and a sink for it. */
export async function openMwaa(api: "v1" | "v2"): Promise<RestRig & { readonly mwaa: MwaaServer }> {
  const rig = await openAirflowRest({ api, base: "/base" })
  const mwaa = startMwaa({ airflow: innerAirflow(rig.server, api) })
  const options = {
    mwaa_environment: ENVIRONMENT,
    conn_id: SLOT,
    region: "eu-central-1",
  }
  return {
    ...rig,
    mwaa,
    setup: { options, deps: depsOf(mwaa.url) },
    unreachable: async () => ({ options, deps: depsOf("http://127.0.0.1:9") }),
    silent: async (port) => ({ options, deps: depsOf(`http://127.0.0.1:${port}`) }),
    refused: async () => ({ options, deps: depsOf(mwaa.url, INVOKERS.viewer) }),
    secrets: Object.values<Invoker>(INVOKERS).flatMap(({ secretAccessKey, sessionToken = [] }) =>
      [secretAccessKey].concat(sessionToken),
    ),
    close: async () => {
      await Promise.all([rig.close?.(), mwaa.stop()])
    },
  }
}
