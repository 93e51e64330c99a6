// An example module as ecrelay makes it of its file: for the sink suite, which imports a kind of sink.
import { fileURLToPath } from "node:url"
import module from "../../sinks/module.ts"
import type { SinkKind } from "../../src/sink.ts"

/** The file of an example. */
export const exampleFile = (name: string) =>
  fileURLToPath(new URL(`../../examples/module/${name}.ts`, import.meta.url))

/** The kind of sink that an example makes. Who may write the file is not looked at: a checkout may belong to anybody. */
export async function loadExample(name: string): Promise<SinkKind> {
  const kind = await module.loadActual?.({ path: exampleFile(name) }, { uid: undefined })
  if (!kind) throw new Error(`${name} is no module`)
  return kind
}
