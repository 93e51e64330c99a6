// The sink contract for modules, by the example: loaded under Bun from source, in the compiled binary, and under Deno.
import { afterAll, expect, test } from "bun:test"
import { join } from "node:path"
import type { SinkKind } from "../../src/sink.ts"
import { binary } from "../support/binary.ts"
import { makeCredential } from "../support/credentials.ts"
import { driveModule } from "../support/driven-module.ts"
import { type SinkRig, testSink } from "../support/sink-suite.ts"
import { calm, deliveriesOf, hours, makeSink, NOW, onlyTarget, REGISTRY, testDeps } from "../support/sinks.ts"
import local, { VAULT_FILE } from "../support/vault-kind.ts"
import { startVault, VAULT_TOKEN } from "../support/vault-server.ts"

const ROOT = join(import.meta.dir, "../..")
const DENO = ["node_modules/.bin/deno", "run", "--quiet", "--no-prompt", "--allow-all", "src/main.ts"]

/** A Vault of its own. */
async function openVault(): Promise<SinkRig> {
  const vault = startVault()
  const optionsFor = (address: string, token = VAULT_TOKEN) => ({ path: VAULT_FILE, address, token })
  const isOurs = (path: string) => /^ecr\/\d{12}\/[a-z0-9-]+$/.test(path)
  const all = () => [...vault.secrets].sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    setup: { options: optionsFor(vault.url) },
    stored: async ({ slot }) => {
      const data = vault.secrets.get(slot)?.data
      if (!data || data.owner) return undefined
      return { host: String(data.host), userName: String(data.username), password: String(data.password) }
    },
    snapshot: async () => all(),
    seedNeighbours: async () => {
      for (const path of ["ecr", "ecr/notes", "team/123456789012/eu-central-1"])
        vault.secrets.set(path, { version: 3, data: { owner: "team" } })
    },
    neighbours: async () => all().filter(([path]) => !isOurs(path)),
    unreachable: async () => ({ options: optionsFor("http://127.0.0.1:9") }),
    silent: async (port) => ({ options: optionsFor(`http://127.0.0.1:${port}`) }),
    refused: async () => ({ options: optionsFor(vault.url, "hvs.wrong") }),
    breakDelivery: async () => {
      vault.failWrites(500)
      return async () => vault.failWrites(undefined)
    },
    spoil: async ({ slot }) => {
      vault.secrets.set(slot, { version: 1, data: { owner: "team" } })
    },
    distort: async ({ slot }) => {
      const { version, data } = vault.secrets.get(slot) ?? { version: 0 }
      vault.secrets.set(slot, { version: version + 1, data: { ...data, host: `https://${data?.host}` } })
    },
    secrets: [VAULT_TOKEN],
    close: () => vault.stop(),
  }
}

const file = import.meta.resolve("../support/vault-kind.ts")
const prove = (kind: SinkKind, place: string) => testSink({ kind, file, place, open: openVault })

prove(local, "Vault, under Bun")
for (const [place, command] of [
  ["Vault, in the binary", async () => [await binary()]],
  ["Vault, under Deno", async () => DENO.map((word) => (word.includes("/") ? join(ROOT, word) : word))],
] as const) {
  const { kind, stop } = driveModule(local, VAULT_FILE, command)
  afterAll(stop)
  prove(kind, place)
}

test("the example does not replace what somebody wrote while it was looking", async () => {
  const vault = startVault()
  try {
    const theirs = { host: REGISTRY.host, username: "AWS", password: "theirs" }
    const meddling = (async (input, init) => {
      if (init?.method === "POST") vault.secrets.set(slot, { version: 7, data: theirs })
      return fetch(input, init)
    }) as typeof fetch
    const options = { path: VAULT_FILE, address: vault.url, token: VAULT_TOKEN }
    const sink = makeSink(local, options, testDeps({ fetch: meddling }))
    const { slot } = onlyTarget(sink, REGISTRY)
    const credential = makeCredential({ registry: REGISTRY, expiresAt: NOW + hours(12) })
    const results = await sink.deliver(deliveriesOf(sink, [credential]), calm())
    expect(results).toMatchObject([{ outcome: "failed", error: { code: "not-taken", retryable: true } }])
    expect(vault.secrets.get(slot)?.data).toEqual(theirs)
  } finally {
    await vault.stop()
  }
})
