// The example sink as ecrelay makes it of its file: for the sink suite, which imports a kind of sink.
import { fileURLToPath } from "node:url"
import module from "../../sinks/module.ts"
import type { SinkKind } from "../../src/sink.ts"

/** The file of the example. */
export const VAULT_FILE = fileURLToPath(new URL("../../examples/module/vault.ts", import.meta.url))

// Who may write the file is not looked at here: a checkout may belong to anybody.
const loaded = await module.loadActual?.({ path: VAULT_FILE }, { uid: undefined })

export default loaded as SinkKind
