// Airflow's REST API as the sink suite wants it: a stand-in of either version, full of what a careless writer would
// damage.
import kind from "../../sinks/airflow-rest.ts"
import type { Credential } from "../../src/credential.ts"
import { DeliveryError } from "../../src/errors.ts"
import type { Sink, SinkDeps } from "../../src/sink.ts"
import {
  type RestServer,
  type RestServerOptions,
  type StoredConnection,
  startAirflowRest,
  USERS,
} from "./airflow-rest-server.ts"
import { makeCredential } from "./credentials.ts"
import type { SinkRig } from "./sink-suite.ts"
import { calm, deliveriesOf, hours, makeSink, NOW, REGISTRY, testDeps } from "./sinks.ts"

/** A fresh stand-in with a sink for it. */
export type RestRig = SinkRig & { readonly server: RestServer }

/** The connection ids that the sink writes. */
export const SLOT = "ecr-{account}-{region}"
const OURS = /^ecr-\d{12}-/

/** Opens a stand-in of Airflow 2 (`v1`) or 3 (`v2`). */
export async function openAirflowRest(options: RestServerOptions): Promise<RestRig> {
  const server = startAirflowRest(options)
  const setup = { options: { url: server.url, username: "admin", password: USERS.admin, conn_id: SLOT } }
  const contents = () => [...server.connections.values()]
  return {
    server,
    setup,
    stored: async ({ slot }) => {
      const one = server.connections.get(slot)
      if (!one) return undefined
      if (one.conn_type !== "docker" || one.port !== null) return { host: "", userName: "", password: "" }
      return { host: one.host ?? "", userName: one.login ?? "", password: one.password ?? "" }
    },
    snapshot: async () => ({ contents: structuredClone(contents()), writes: server.writes() }),
    seedNeighbours: async () => {
      for (const one of NEIGHBOURS) server.put(one)
    },
    neighbours: async () =>
      structuredClone(contents().filter(({ connection_id }) => !OURS.test(connection_id))),
    unreachable: async () => {
      const gone = startAirflowRest(options)
      await gone.stop()
      return { options: { ...setup.options, url: gone.url } }
    },
    silent: async (port) => ({ options: { ...setup.options, url: `http://127.0.0.1:${port}` } }),
    refused: async () => ({
      options: { ...setup.options, username: "viewer", password: USERS.viewer },
    }),
    breakDelivery: async () => {
      server.intercept(({ method, path }) =>
        path.includes("/connections") && method !== "GET" ? new Response("", { status: 503 }) : undefined,
      )
      return async () => server.intercept(undefined)
    },
    spoil: async ({ slot }) => server.put({ connection_id: slot, conn_type: "postgres", host: "db" }),
    secrets: Object.values(USERS),
    close: () => server.stop(),
  }
}

const NEIGHBOURS: readonly (Partial<StoredConnection> & { readonly connection_id: string })[] = [
  { connection_id: "postgres_default", conn_type: "postgres", host: "db", port: 5432, password: "pg" },
  {
    connection_id: "hub",
    host: "https://index.docker.io/v1/",
    login: "eva",
    password: "h",
    extra: '{"reauth": false}',
  },
  { connection_id: "ECR-123456789012-eu-central-1", host: "", description: "other case" },
  { connection_id: "ecr-123456789012-eu-central-", conn_type: "aws", extra: '{"token": "t"}' },
]

/** A sink for a stand-in, as admin unless the options say otherwise, its one connection id `ecr`. */
export function sinkFor(
  { url }: { readonly url: string },
  options: object = {},
  deps: Partial<SinkDeps> = {},
): Sink {
  const who = IDENTITIES.some((key) => key in options) ? {} : { username: "admin", password: USERS.admin }
  return makeSink(kind, { url, conn_id: "ecr", ...who, ...options }, testDeps(deps))
}

const IDENTITIES = ["username", "token", "client_id", "assertion"]

/** One login delivered to connection `ecr`: the outcome, or the DeliveryError that came of it. */
export async function deliverOne(
  sink: Sink,
  credential: Credential = makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(12), size: 300 }),
): Promise<"delivered" | "unchanged" | DeliveryError> {
  try {
    const [result] = await sink.deliver(deliveriesOf(sink, [credential]), calm())
    if (!result) throw new Error("no result")
    return result.outcome === "failed" ? result.error : result.outcome
  } catch (error) {
    if (error instanceof DeliveryError) return error
    throw error
  }
}

/** The DeliveryError that a delivery must come to. */
export async function failureOf(sink: Sink, credential?: Credential): Promise<DeliveryError> {
  const outcome = await deliverOne(sink, credential)
  if (outcome instanceof DeliveryError) return outcome
  throw new Error(`expected a DeliveryError, got ${outcome}`)
}

/** Methods and paths of the calls that arrived, for what begins with `prefix`. */
export function callsOf({ seen }: Pick<RestServer, "seen">, prefix = ""): readonly string[] {
  return seen
    .map(({ method, path }) => `${method} ${path}`)
    .filter((call) => call.split(" ")[1]?.startsWith(prefix))
}
