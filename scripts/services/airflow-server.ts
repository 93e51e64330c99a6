// The web servers of Airflow 3 and 2 with users of three roles, each on a database file of its own.
import { copyFile, mkdir, writeFile } from "node:fs/promises"
import { get } from "node:http"
import { join } from "node:path"
import { AIRFLOW_FERNET_KEY, AIRFLOW_ROLES, airflowEnvironment, passwordOfRole } from "./airflow-releases.ts"
import type { Ground } from "./ground.ts"
import { freePort, startServer } from "./server.ts"
import type { Facts } from "./variables.ts"

/** Where Airflow is served below the host's root, as behind a gateway. */
const BASE_PATH = "/base"

/** How long a token of Airflow 3 lives here, without leeway: a test waits for its end. */
export const TOKEN_SECONDS = 3

/** Starts Airflow 3's API server, `installed` being what `provideAirflow` tells. `url` is where people open it, `home` and `database` are its folder and its database. */
export async function startApiServer(ground: Ground, installed: Facts) {
  const place = await makePlace(ground, installed)
  const passwords = join(place.home, "passwords.json")
  const users = AIRFLOW_ROLES.map((role) => [role, passwordOfRole(role)])
  await writeFile(passwords, JSON.stringify(Object.fromEntries(users)))
  return serve(ground, installed, place, {
    command: ["api-server", "--host", "127.0.0.1", "--port", place.port, "--workers", "1"],
    health: "/api/v2/version",
    settings: {
      AIRFLOW__API__BASE_URL: place.url,
      AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS: AIRFLOW_ROLES.map((role) => `${role}:${role}`).join(","),
      AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE: passwords,
      AIRFLOW__API_AUTH__JWT_SECRET:
        "a secret for tests of ecrelay only, which has to be this long to be taken",
      AIRFLOW__API_AUTH__JWT_EXPIRATION_TIME: String(TOKEN_SECONDS),
      AIRFLOW__API_AUTH__JWT_LEEWAY: "0",
    },
  })
}

/** Starts Airflow 2's web server, whose API takes a user and password. It tells the same. */
export async function startWebServer(ground: Ground, installed: Facts) {
  const place = await makePlace(ground, installed)
  return serve(ground, installed, place, {
    command: ["webserver", "--hostname", "127.0.0.1", "--port", place.port, "--workers", "1"],
    health: "/api/v1/version",
    settings: {
      AIRFLOW__WEBSERVER__BASE_URL: place.url,
      AIRFLOW__WEBSERVER__SECRET_KEY: "for tests of ecrelay only",
      AIRFLOW__API__AUTH_BACKENDS: "airflow.api.auth.backend.basic_auth",
    },
  })
}

type Place = {
  readonly name: string
  readonly home: string
  readonly port: string
  readonly url: string
  readonly database: string
}

async function makePlace(ground: Ground, installed: Facts): Promise<Place> {
  const name = `airflow-${installed.version}-server`
  const home = join(ground.folder, name)
  await mkdir(home)
  const file = join(home, "airflow.db")
  await copyFile(installed.database ?? "", file)
  const port = String(await freePort())
  return { name, home, port, url: `http://127.0.0.1:${port}${BASE_PATH}`, database: `sqlite:///${file}` }
}

async function serve(
  ground: Ground,
  { version = "", python = "", airflow = "" }: Facts,
  { name, home, url, database }: Place,
  how: { readonly command: readonly string[]; readonly health: string; readonly settings: object },
) {
  const env = airflowEnvironment({ version, home, url: database, fernetKey: AIRFLOW_FERNET_KEY })
  await startServer(ground, {
    name,
    command: [python, airflow, ...how.command],
    stopSignal: "SIGKILL",
    env: { ...env, ...how.settings },
    // Ten seconds on an idle machine, and many times that beside an installation.
    patienceMs: 240_000,
    answers: () => answers(url + how.health),
  })
  return { version, url, home, database }
}

function answers(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    get(url, ({ statusCode }) =>
      statusCode === 200 ? resolve() : reject(new Error(`it answers ${statusCode}`)),
    ).on("error", reject)
  })
}
