// The airflow-db sink where the network between it and the server fails: what is told, and that nothing but the call that
// it happened to comes to harm.
import { expect, test } from "bun:test"
import { writeFile } from "node:fs/promises"
import { connect, createServer, type Socket } from "node:net"
import { join } from "node:path"
import { createAuthority } from "../../scripts/services/certificate.ts"
import { CERTIFIED_USER } from "../../scripts/services/ground.ts"
import { temporaryFolder } from "../airflow/folder.ts"
import { deliver, errorOf, fresh, onEachServer, openAirflow, outcomesOf } from "../support/airflow-db.ts"
import { ZERO_REGISTRY } from "../support/sinks.ts"

/** A server that does no more than this with whoever calls. */
async function calledBy(answer: (caller: Socket) => void) {
  const server = createServer((caller) => {
    caller.on("error", () => {})
    answer(caller)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as { readonly port: number }
  return { address: `127.0.0.1:${port}`, [Symbol.dispose]: () => void server.close() }
}

// Every handshake of TLS begins with it: the type of the record, and its version.
const TLS_BEGINS = Buffer.from([0x16, 3, 1])

/** Passes all on to a server, but for a connection that begins with TLS: that one is lost. */
function losesTls(caller: Socket, port: number): void {
  const server = connect(port, "127.0.0.1")
  server.on("error", () => {})
  server.pipe(caller)
  caller.on("data", (bytes: Buffer) => {
    if (!bytes.includes(TLS_BEGINS)) return void server.write(bytes)
    server.destroy()
    caller.end()
  })
}

/** Passes `count` of the server's answers on, and breaks the connection with the last of them. */
function breaksAfter(count: number, letGo: (caller: Socket) => void): (caller: Socket, port: number) => void {
  return (caller, port) => {
    const server = connect(port, "127.0.0.1")
    server.on("error", () => {})
    caller.on("data", (bytes) => server.write(bytes)).on("close", () => server.destroy())
    let answers = 0
    server.on("data", (bytes) => {
      answers += 1
      if (answers > count) return
      caller.write(bytes, () => void (answers >= count && letGo(caller)))
    })
  }
}

const WAYS_TO_GO = [
  ["closes", (caller: Socket) => void caller.end()],
  ["resets", (caller: Socket) => void caller.resetAndDestroy()],
] as const

onEachServer((place) => {
  const isPostgres = place === "postgres"
  const withoutTls = isPostgres ? "sslmode=disable" : "ssl_mode=DISABLED"

  for (const [how, letGo] of WAYS_TO_GO) {
    test(`ends by itself, with all or nothing, whichever answer of the server's is the last before it ${how}, on ${place}`, async () => {
      await using airflow = await openAirflow(place)
      const { port } = new URL(airflow.url)
      const outcomes: string[] = []
      for (let count = 1; outcomes.at(-1) !== "delivered"; count += 1) {
        const breaks = breaksAfter(count, letGo)
        using broken = await calledBy((caller) => breaks(caller, Number(port)))
        const url = `${airflow.url.replace(/@[^/]*/, `@${broken.address}`)}?${withoutTls}`
        const [outcome = ""] = await outcomesOf(deliver(airflow.sink({ url }), fresh(), fresh(ZERO_REGISTRY)))
        outcomes.push(outcome)
        const rows = await airflow.rows()
        expect(rows).toHaveLength(outcome === "delivered" || rows.length > 0 ? 2 : 0)
        await airflow.run(`DELETE FROM connection`)
      }
      expect(outcomes.length).toBeGreaterThan(8)
      expect(new Set(outcomes)).toEqual(new Set(["unreachable", "delivered"]))
    })

    test(`tells at once of a server that takes the call and ${how} it, on ${place}`, async () => {
      await using airflow = await openAirflow(place)
      using gone = await calledBy(letGo)
      const url = airflow.url.replace(/@[^/]*/, `@${gone.address}`)
      const error = await errorOf(deliver(airflow.sink({ url: `${url}?${withoutTls}` }), fresh()))
      expect(error).toMatchObject({ code: "unreachable", retryable: true })
      // Not the one for a server that never says a word, which is waited for.
      expect(error.message).toMatch(/\[(ECONNRESET|CONNECTION_CLOSED|PROTOCOL_CONNECTION_LOST)\]$/)
    })
  }

  test(`does not take a connection lost in the handshake for a matter of trust, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    const { port } = new URL(airflow.url)
    using lost = await calledBy((caller) => losesTls(caller, Number(port)))
    const url = airflow.url.replace(/@[^/]*/, `@${lost.address}`)
    const withTls = isPostgres ? "sslmode=require" : "ssl_mode=REQUIRED"
    const error = await errorOf(deliver(airflow.sink({ url: `${url}?${withTls}` }), fresh()))
    expect(error).toMatchObject({ code: "unreachable", retryable: true })
  })

  test(`lets go of a server whose goodbye never arrives, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    const { port } = new URL(airflow.url)
    const { promise: isLeft, resolve: left } = Promise.withResolvers<void>()
    using mute = await calledBy((caller) => {
      const server = connect(Number(port), "127.0.0.1")
      server.on("data", (bytes) => caller.write(bytes))
      caller.on("data", (bytes) => server.write(bytes)).on("end", left)
    })
    const url = airflow.url.replace(/@[^/]*/, `@${mute.address}`)
    expect(await outcomesOf(deliver(airflow.sink({ url }), fresh()))).toEqual(["delivered"])
    await isLeft
  })

  test(`says that it is the certificate where the server refuses ours, on ${place}`, async () => {
    await using airflow = await openAirflow(place)
    await using folder = await temporaryFolder()
    const { certificate, key } = createAuthority("nobody's authority").issue(CERTIFIED_USER, [])
    const [certificateFile, keyFile] = [join(folder.path, "client.pem"), join(folder.path, "client.key")]
    await writeFile(certificateFile, certificate)
    await writeFile(keyFile, key, { mode: 0o600 })
    const options = isPostgres
      ? `sslmode=require&sslcert=${certificateFile}&sslkey=${keyFile}`
      : `ssl_mode=REQUIRED&ssl_cert=${certificateFile}&ssl_key=${keyFile}`
    const error = await errorOf(deliver(airflow.sink({ url: `${airflow.url}?${options}` }), fresh()))
    expect(error).toMatchObject({ code: "login-refused", retryable: false })
    expect(error.message).toContain("our client certificate")
    expect(error.hint).toContain(isPostgres ? "sslcert" : "ssl_cert")
    expect(await outcomesOf(deliver(airflow.sink(), fresh()))).toEqual(["delivered"])
  })
})
