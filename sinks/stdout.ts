// A login alone on standard output, for the program behind the pipe. The report goes to standard error meanwhile, and
// whoever starts us sees to it that nothing else writes there. Nothing can be read back.
import * as v from "valibot"
import { type Delivery, type DeliveryResult, defineSink, type SinkDeps } from "../src/sink.ts"
import { formatLogin, LOGIN_FORMATS } from "./_login-format.ts"
import { targetError } from "./_target-error.ts"

const TYPE = "stdout"

const options = v.strictObject({
  format: v.optional(
    v.pipe(
      v.picklist(LOGIN_FORMATS),
      v.description(
        "password (the default; for `docker login --password-stdin`), json (one line for each registry), docker-config (a config.json), airflow or airflow-uri (Airflow's connection); only json takes more than one registry",
      ),
    ),
    "password",
  ),
})

export default defineSink({
  type: TYPE,
  summary: "the login alone on standard output, the report on standard error; with `refresh` only",
  permissions: ["none; whoever reads the output has the login"],
  options,
  create: ({ format }, deps) => ({
    type: TYPE,
    takesStdout: true,
    // Only lines of JSON can follow each other. Any other form is one text: with one name for all registries, the plan
    // refuses a second one.
    targets: (registry) => [
      format === "json"
        ? { registry, slot: registry.host, name: `standard output ${registry.host}` }
        : { registry, slot: "standard output", name: "standard output" },
    ],
    async deliver(deliveries, signal) {
      const results: DeliveryResult[] = []
      for (const delivery of deliveries) {
        signal.throwIfAborted()
        results.push(await write(delivery, `${formatLogin(format, delivery.credential)}\n`, deps))
      }
      return results
    },
  }),
})

const CLOSED = {
  code: "stdout-closed",
  hint: "the program behind the pipe ended before it read the login: its own messages say why",
}
const FULL = {
  code: "no-space",
  hint: "free some space on the file system that standard output is redirected to; the file may hold a part of the login now",
}

async function write(
  { target, credential }: Delivery,
  text: string,
  { writeOut }: SinkDeps,
): Promise<DeliveryResult> {
  try {
    await writeOut(text)
    return { outcome: "delivered", expiresAt: credential.expiresAt }
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    const words = {
      ...(code === "ENOSPC" || code === "EDQUOT" ? FULL : CLOSED),
      says: `cannot be written${code ? ` [${code}]` : ""}`,
      // A second attempt could not tell how much of the first was read.
      retryable: false,
    }
    return { outcome: "failed", error: targetError(TYPE, target.name, words, cause) }
  }
}
