// `ecrelay check` on Airflow's REST API: a server that is none, one that lets nobody in, a connection that makes a good
// login useless. Each fault is made, found with its fix, and gone after the fix.
import { afterAll, beforeAll, beforeEach, describe } from "bun:test"
import { type RestServer, startAirflowRest, USERS } from "./support/airflow-rest-server.ts"
import { type Company, HOST, openCompany } from "./support/company.ts"
import { ecrelayAt, type Fault, proveEach, type Run, type Site } from "./support/doctor.ts"

let company: Company
let airflow: RestServer
beforeAll(async () => {
  company = await openCompany()
}, 60_000)
afterAll(() => company.stop())

const OURS = { connection_id: "ecr", host: HOST, login: "AWS", password: "x" }

/** The sink at this address, as an administrator unless something else is said. */
const at = (url: string, who = "admin", password: string = USERS.admin, more = ""): Run => ({
  env: { PASSWORD: password, NO_PROXY: "127.0.0.1,[::ffff:127.0.0.1],[::ffff:7f00:1],aws.airflow" },
  argv: ["--sink", `airflow-rest,conn_id=ecr,url=${url},username=${who},password=env:PASSWORD${more}`],
})

const withToken = (TOKEN: string): Run => {
  airflow.admit("ours", "admin")
  return { env: { TOKEN }, argv: ["--sink", `airflow-rest,conn_id=ecr,url=${airflow.url},token=env:TOKEN`] }
}

const answering = (response: () => Response | undefined): Run => {
  airflow.intercept(response)
  return at(airflow.url)
}
const asBefore = (): Run => {
  airflow.intercept(undefined)
  return at(airflow.url)
}
const refreshed = async (site: Site): Promise<Run> => {
  await ecrelayAt(site, ["refresh"], at(airflow.url))
  return at(airflow.url)
}

const PAGE = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<html>Log in</html>"
const faults: readonly Fault[] = [
  {
    name: "a server that does not answer",
    level: "error",
    code: "unreachable",
    says: "cannot be reached",
    fix: "url",
    fault: () => at("http://127.0.0.1:9"),
    mend: () => at(airflow.url),
  },
  {
    name: "a page in front of Airflow",
    level: "error",
    code: "not-airflow",
    says: "no Airflow REST API answers here",
    fix: "url is the address under which people open Airflow",
    fault: async () => at(`http://${await company.listen(PAGE)}`),
    mend: () => at(airflow.url),
  },
  {
    name: "a user who may only look",
    level: "error",
    code: "access-refused",
    says: "Airflow refused access",
    fix: "Op or Admin",
    fault: () => at(airflow.url, "reader", USERS.reader),
    mend: () => at(airflow.url),
  },
  {
    name: "a server in trouble",
    level: "error",
    code: "server-error",
    says: "the server failed (503)",
    fix: "the log of Airflow's web server says why",
    fault: () => answering(() => new Response("", { status: 503 })),
    mend: asBefore,
  },
  {
    name: "an address that leads elsewhere",
    level: "error",
    code: "redirected",
    says: "the server redirects to https://sso.test/",
    fix: "name the address it leads to with url",
    fault: () =>
      answering(() => new Response("", { status: 302, headers: { location: "https://sso.test/" } })),
    mend: asBefore,
  },
  {
    name: "a gateway in front of Airflow that wants a login of its own",
    level: "error",
    code: "gateway",
    says: "something in front of Airflow asks for its own login",
    fix: "or an address behind it",
    fault: () => answering(() => new Response("", { status: 401 })),
    mend: asBefore,
  },
  {
    name: "a token with the word Bearer before it",
    level: "error",
    code: "token-invalid",
    says: "token: holds spaces or other characters that no token has",
    fix: "give the token alone, without the word Bearer",
    fault: () => withToken("Bearer ours"),
    mend: () => withToken("ours"),
  },
  {
    name: "passwords in the clear",
    level: "warning",
    code: "clear-text",
    says: "passwords are sent there in clear text",
    fix: "name an https:// address",
    fault: () => at(airflow.url.replace("127.0.0.1", "[::ffff:127.0.0.1]")),
    mend: () => at(airflow.url),
  },
  {
    name: "a connection that is somebody else's",
    level: "error",
    code: "not-ours",
    says: "connection ecr is not an ECR login: it holds type postgres, host db",
    fix: "adopt=true",
    fault: () => {
      airflow.put({ connection_id: "ecr", conn_type: "postgres", host: "db" })
      return at(airflow.url)
    },
    mend: async (site) => {
      await ecrelayAt(site, ["refresh"], at(airflow.url, "admin", USERS.admin, ",adopt=true"))
      return at(airflow.url)
    },
  },
  {
    name: "a port on the connection",
    level: "warning",
    code: "differs",
    says: "cannot log in as it is: port is 443",
    fix: "`ecrelay refresh` fixes it",
    fault: () => {
      airflow.put({ ...OURS, port: 443 })
      return at(airflow.url)
    },
    mend: refreshed,
  },
  {
    name: "a helper that docker asks before it takes the connection's login",
    level: "warning",
    code: "worker-helper",
    says: `credHelpers["${HOST}"] is asked first where a worker has this file`,
    fix: "from the file on the workers",
    fault: async ({ write }) => {
      await write(".docker/config.json", `{"credHelpers": {"${HOST}": "ecr-login"}}`)
      return at(airflow.url)
    },
    mend: async ({ write }) => {
      await write(".docker/config.json", "{}")
      return at(airflow.url)
    },
  },
  {
    name: '"reauth": false',
    level: "warning",
    code: "reauth-off",
    says: "so that a stale login in the worker's config.json wins",
    fix: 'set "reauth" to true',
    fault: () => {
      airflow.put({ ...OURS, extra: '{"reauth": false}' })
      return at(airflow.url)
    },
    mend: () => {
      airflow.put({ ...OURS, extra: '{"reauth": true}' })
      return at(airflow.url)
    },
  },
]

const wrongPassword = {
  name: "a wrong password",
  level: "error",
  fault: () => at(airflow.url, "admin", "mine"),
  mend: () => at(airflow.url),
} as const
const versions: readonly { readonly api: "v1" | "v2"; readonly own: Fault }[] = [
  {
    api: "v2",
    own: {
      ...wrongPassword,
      code: "login-refused",
      says: "Airflow refused the login (401)",
      fix: "check username and password",
    },
  },
  {
    api: "v1",
    own: {
      ...wrongPassword,
      code: "access-refused",
      says: "Airflow refused access (403)",
      fix: "check username and password; Airflow 2 looks at them only if [api] auth_backends",
    },
  },
]

for (const { api, own } of versions)
  describe(`Airflow's API ${api}`, () => {
    beforeAll(() => {
      airflow = startAirflowRest({ api })
    })
    afterAll(() => airflow.stop())
    beforeEach(() => {
      airflow.intercept(undefined)
      airflow.connections.clear()
    })
    proveEach(
      () => company,
      [...faults, own].map((fault) => ({ ...fault, state: () => [...airflow.connections.values()] })),
    )
  })
