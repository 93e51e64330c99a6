// A visit to a store of AWS: its client is configured anew for whoever delivers now, and what keeps us from asking at
// all becomes a DeliveryError of the place.
import type { AwsIdentity, SinkDeps } from "../../src/sink.ts"
import { asDeliveryError, CallError, call, pacing } from "./call.ts"

/** What a client is made with. */
export type StoreConfig = Awaited<ReturnType<SinkDeps["aws"]["clientConfig"]>>

/** Which store, of which sink, and where that is in words. */
export type Place = {
  readonly service: Parameters<SinkDeps["aws"]["clientConfig"]>[0]
  readonly sink: string
  readonly place: string
  readonly who: AwsIdentity
}

/** Does work with the configuration of a client. Rejects with a DeliveryError. */
export async function visitStore<T>(
  { service, sink, place, who }: Place,
  deps: SinkDeps,
  signal: AbortSignal,
  work: (config: StoreConfig) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  try {
    const config = await call("sts:AssumeRole", () => deps.aws.clientConfig(service, who, signal))
    return await work(pacing(config, deps.env))
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof CallError)) throw error
    const permissionHint = () =>
      "allow sts:AssumeRole on each role for the identity that assumes it, and let the role trust that identity; external_id is the one that the role asks for"
    throw asDeliveryError(error, { sink, target: place, aws: deps.aws, meanings: {}, permissionHint })
  }
}
