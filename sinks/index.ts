// The kinds of sink, in alphabetical order. Each is loaded when it is used, so that a run pays for no other.
import type { SinkKinds } from "../src/sink-spec.ts"

/** By type. */
export const sinkKinds: SinkKinds = {
  "airflow-db": async () => (await import("./airflow-db.ts")).default,
  "airflow-rest": async () => (await import("./airflow-rest.ts")).default,
  "aws-secrets-manager": async () => (await import("./aws-secrets-manager.ts")).default,
  "aws-ssm": async () => (await import("./aws-ssm.ts")).default,
  "docker-config": async () => (await import("./docker-config.ts")).default,
  exec: async () => (await import("./exec.ts")).default,
  file: async () => (await import("./file.ts")).default,
  module: async () => (await import("./module.ts")).default,
  stdout: async () => (await import("./stdout.ts")).default,
}
