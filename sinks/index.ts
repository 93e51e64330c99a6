// The kinds of sink, in alphabetical order. Each is loaded when it is used, so that a run pays for no other.
import type { SinkKinds } from "../src/sink-spec.ts"

export const sinkKinds: SinkKinds = {
  "docker-config": async () => (await import("./docker-config.ts")).default,
}
