// The example sink for Kubernetes as a kind of sink, as the sink suite imports one.
import { exampleFile, loadExample } from "./module-kind.ts"

/** The file of the example. */
export const KUBERNETES_FILE = exampleFile("kubernetes")

export default await loadExample("kubernetes")
