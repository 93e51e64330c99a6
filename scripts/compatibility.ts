// The README's table of real Airflow by the place that logins are written to, made of what the tests noted as proven.
// `bun scripts/compatibility.ts` runs those tests and writes the table; `bun run test` fails where it says too much.
import { readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { airflowReleases } from "./services/airflow-releases.ts"

const README = join(import.meta.dir, "../README.md")

/** Where logins are written, as the table's columns, with the service that must be there. */
const PLACES = {
  sqlite: { title: "SQLite", service: undefined },
  postgres: { title: "PostgreSQL", service: "postgres" },
  mariadb: { title: "MariaDB", service: "mariadb" },
  mysql: { title: "MySQL", service: "mysql" },
  rest: { title: "REST API", service: undefined },
  ssm: { title: "Parameter Store", service: "moto" },
  secrets: { title: "Secrets Manager", service: "moto" },
} as const

/** What can be proven, in the table's words. */
const PROOFS = {
  read: "read",
  login: "pulled",
  rotation: "key rotated",
  viewer: "viewer refused",
  expiry: "token expired",
} as const

/** One thing that a test proved. */
export type Proof = {
  /** Of Airflow. */
  readonly release: string
  readonly place: keyof typeof PLACES
  readonly how: keyof typeof PROOFS
}

const BEGIN = "<!-- what the tests proved, written by scripts/compatibility.ts -->"
const END = "<!-- end of what the tests proved -->"

const keysOf = <T extends object>(record: T) => Object.keys(record) as (keyof T)[]
const textOf = ({ release, place, how }: Proof) =>
  `Airflow ${release}, ${PLACES[place].title}: ${PROOFS[how]}`

/** The table, with a column for each place where anything is proven. */
export function formatTable(proofs: readonly Proof[]): string {
  const places = keysOf(PLACES).filter((place) => proofs.some((proof) => proof.place === place))
  const lines = Object.values(airflowReleases).map(({ version }) => {
    const cells = places.map((place) =>
      keysOf(PROOFS)
        .filter((how) =>
          proofs.some((one) => one.release === version && one.place === place && one.how === how),
        )
        .map((how) => PROOFS[how])
        .join(", "),
    )
    return ["", version, ...cells.map((cell) => cell || "–"), ""]
  })
  const head = ["", "Airflow", ...places.map((place) => PLACES[place].title), ""]
  return [
    head.join(" | ").trim(),
    `|${"---|".repeat(places.length + 1)}`,
    ...lines.map((line) => line.join(" | ").trim()),
  ].join("\n")
}

/** A README with another table. Throws where it has no place for one. */
export function replaceTable(readme: string, table: string): string {
  const [before, after] = [readme.split(BEGIN)[0], readme.split(END)[1]]
  if (after === undefined) throw new Error("the README has no place for a table of what was proven")
  return `${before}${BEGIN}\n\n${table}\n\n${END}${after}`
}

/** What a README's table says. Throws where it has none, and at words that are no proof. */
export function parseTable(readme: string): readonly Proof[] {
  const text = readme.split(BEGIN)[1]?.split(END)[0]
  if (text === undefined) throw new Error("the README has no table of what was proven")
  const [head = [], , ...rows] = text
    .trim()
    .split("\n")
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
  return rows.flatMap(([release = "", ...cells]) =>
    cells.flatMap((cell, i) =>
      cell === "–" ? [] : cell.split(", ").map((word) => parseProof(release, head[i + 1] ?? "", word)),
    ),
  )
}

function parseProof(release: string, title: string, word: string): Proof {
  const place = keysOf(PLACES).find((one) => PLACES[one].title === title)
  const how = keysOf(PROOFS).find((one) => PROOFS[one] === word)
  if (!place || !how) throw new Error(`the README's table says ${title}: ${word}, which no test proves`)
  return { release, place, how }
}

/**
 * What the table claims and no test proved, in words. A claim that needs a service that is not there is passed over; one about
 * a release that no test runs is always unproven.
 */
export function unprovenClaims(
  claims: readonly Proof[],
  proofs: readonly Proof[],
  isThere: (service: string) => boolean,
): readonly string[] {
  const given = new Set(proofs.map(textOf))
  return claims.filter((claim) => servicesOf(claim).every(isThere) && !given.has(textOf(claim))).map(textOf)
}

function servicesOf({ release, place }: Proof): readonly string[] {
  const name = keysOf(airflowReleases).find((one) => airflowReleases[one].version === release)
  const { service } = PLACES[place]
  const server = place === "rest" && name ? [name.replace("airflow", "server")] : []
  return [...(name ? [name] : []), ...(service ? [service] : []), ...server]
}

/** The proofs that the tests of a run noted. */
async function loadProofs(file: string): Promise<readonly Proof[]> {
  const text = await readFile(file, "utf8").catch(() => "")
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

/** Compares the README with what a run proved; prints what does not fit, and returns how many claims are unproven. */
export async function compareReadme(file: string, isThere: (service: string) => boolean): Promise<number> {
  const [claims, proofs] = [parseTable(await readFile(README, "utf8")), await loadProofs(file)]
  const unproven = unprovenClaims(claims, proofs, isThere)
  for (const text of unproven) console.error(`the README says what was not proven: ${text}`)
  const unclaimed = new Set(unprovenClaims(proofs, claims, () => true))
  if (unclaimed.size > 0) console.log(`proven, and not in the README: ${[...unclaimed].join("; ")}`)
  return unproven.length
}

async function main(): Promise<number> {
  const file = join(tmpdir(), `ecrelay-proven-${process.pid}.jsonl`)
  try {
    const tests = Bun.spawn([process.execPath, join(import.meta.dir, "test.ts"), "test/real-airflow"], {
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, ECRELAY_TEST_PROVEN: file },
    })
    if ((await tests.exited) !== 0) return 1
    const table = formatTable(await loadProofs(file))
    await writeFile(README, replaceTable(await readFile(README, "utf8"), table))
    return 0
  } finally {
    await rm(file, { force: true })
  }
}

if (import.meta.main) process.exit(await main())
