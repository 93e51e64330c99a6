// The example sink for Vault as a kind of sink, as the sink suite imports one.
import { exampleFile, loadExample } from "./module-kind.ts"

/** The file of the example. */
export const VAULT_FILE = exampleFile("vault")

export default await loadExample("vault")
