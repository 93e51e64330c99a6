// What goes wrong on the way to AWS and to the registry.

import { unlink } from "node:fs/promises"
import { startAws } from "../../scripts/aws.ts"
import { createAuthority } from "../../scripts/services/certificate.ts"
import { standInEnvironment } from "../support/binary.ts"
import { startProxy } from "../support/proxy.ts"
import { startSsm } from "../support/ssm-server.ts"
import { type Case, HOST, type Lab } from "./lab.ts"

const DELIVER = ["refresh", "--sink", "docker-config", "--timeout", "5s"]

/** Runs a plain delivery for somebody with these variables. */
const deliverWith = (more: Readonly<Record<string, string>>) => async (lab: Lab) =>
  (await lab.person(more)).ecrelay(DELIVER)

export const awsCases: readonly Case[] = [
  {
    text: "no region: name one with --region",
    fault: "no region anywhere",
    make: deliverWith({ AWS_REGION: "" }),
  },
  {
    text: "no AWS credentials found",
    fault: "no keys anywhere",
    make: deliverWith({ AWS_ACCESS_KEY_ID: "" }),
  },
  {
    text: "no AWS credentials found",
    fault: "an SSO session that has ended",
    async make(lab) {
      const person = await lab.person()
      const account = "sso_account_id = 012345678901\nsso_role_name = pull\n"
      const session = "[sso-session corp]\nsso_start_url = https://corp.test/start\nsso_region = eu-west-1\n"
      await person.write(".aws/config", `[profile corp]\nsso_session = corp\n${account}${session}`)
      return person.ecrelay([...DELIVER, "--profile", "corp"])
    },
  },
  {
    text: "the AWS credentials have expired",
    fault: "a session token that has run out",
    async make(lab) {
      const message = "The security token included in the request is expired"
      lab.aws.fail(
        "GetAuthorizationToken",
        { kind: "error", status: 400, type: "ExpiredTokenException", message },
        9,
      )
      return (await lab.person({ AWS_SESSION_TOKEN: "of yesterday" })).ecrelay(DELIVER)
    },
  },
  {
    text: "AWS does not know this access key",
    fault: "a key that was deleted",
    make: deliverWith({ AWS_ACCESS_KEY_ID: "AKIDDELETED" }),
  },
  {
    text: "AWS refused access",
    fault: "no permission to get a token",
    async make(lab) {
      const message = "User: arn:aws:iam::1:user/us is not authorized to perform: ecr:GetAuthorizationToken"
      lab.aws.fail(
        "GetAuthorizationToken",
        { kind: "error", status: 400, type: "AccessDeniedException", message },
        9,
      )
      return (await lab.person()).ecrelay(DELIVER)
    },
  },
  {
    text: "AWS refused access",
    fault: "no permission to write into the store",
    async make(lab) {
      const ssm = lab.keep(startSsm())
      ssm.refuse("ssm:PutParameter")
      const person = await lab.person({ AWS_ENDPOINT_URL_SSM: ssm.url })
      return person.ecrelay(["refresh", "--sink", "aws-ssm,conn_id=ecr"])
    },
  },
  {
    text: "AWS did not accept the signature",
    fault: "a mistyped secret key",
    make: deliverWith({ AWS_SECRET_ACCESS_KEY: "mistyped" }),
  },
  {
    text: "the server's certificate is not trusted",
    fault: "an authority that nobody knows",
    async make(lab) {
      const { certificate, key } = createAuthority("a proxy that inspects").issue("127.0.0.1", ["127.0.0.1"])
      const aws = lab.keep(startAws({ tls: { cert: certificate, key } }))
      return (await lab.person(standInEnvironment(aws.url))).ecrelay(DELIVER)
    },
  },
  {
    text: "the CA file holds no certificate",
    fault: "a bundle that is not PEM",
    async make(lab) {
      const person = await lab.person()
      const bundle = await person.write("ca.der", "not PEM")
      return person.ecrelay(DELIVER, ["env", `AWS_CA_BUNDLE=${bundle}`])
    },
  },
  {
    text: "AWS cannot be reached",
    fault: "an endpoint where nobody listens",
    make: deliverWith({ AWS_ENDPOINT_URL: "http://127.0.0.1:9" }),
  },
  {
    text: "the proxy does not let the call through",
    fault: "a proxy that wants a login",
    async make(lab) {
      const proxy = lab.keep(await startProxy({ login: "me:mine" }))
      const env = { AWS_ENDPOINT_URL: "https://aws.test", HTTPS_PROXY: proxy.url }
      return (await lab.person(env)).ecrelay(DELIVER)
    },
  },
  {
    text: "what answers there is not AWS",
    fault: "an endpoint that is a web page",
    async make(lab) {
      const page = lab.keep(
        Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("<html>") }),
      )
      return (await lab.person({ AWS_ENDPOINT_URL: page.url.href })).ecrelay(DELIVER)
    },
  },
  {
    text: "this machine's clock is",
    fault: "a clock that is ten minutes off",
    async make(lab) {
      const aws = lab.keep(startAws({ now: () => Date.now() + 600_000 }))
      return (await lab.person({ AWS_ENDPOINT_URL: aws.url })).ecrelay(["check", "--sink", "docker-config"])
    },
  },
  {
    text: "the registry refuses the new login",
    fault: "a token that the registry does not take",
    async make(lab) {
      const authority = createAuthority("of the registry")
      const { certificate, key } = authority.issue(HOST, [HOST])
      const tls = { cert: certificate, key }
      const fetch = () => new Response("", { status: 403 })
      const registry = lab.keep(Bun.serve({ port: 0, hostname: "127.0.0.1", tls, fetch }))
      const proxy = lab.keep(await startProxy({ others: { [HOST]: registry.port ?? 0 } }))
      const person = await lab.person({ HTTPS_PROXY: proxy.url, NO_PROXY: "127.0.0.1", AWS_CA_BUNDLE: "" })
      const bundle = await person.write("ca.pem", authority.certificate)
      return person.ecrelay([...DELIVER, "--probe"], ["env", `AWS_CA_BUNDLE=${bundle}`])
    },
  },
  {
    text: "AWS gives no new token, so this is the one at hand",
    fault: "AWS away when a target comes back",
    async make(lab) {
      const person = await lab.person()
      // A file where the target's folder has to be.
      const inTheWay = await person.write("down", "")
      const sinks = ["--sink", "docker-config", "--sink", `docker-config,path=${inTheWay}/config.json`]
      const run = await person.start(["run", "--interval", "1s", "--region", "eu-west-1", ...sinks])
      await run.until(/delivered[\s\S]*down|down[\s\S]*delivered/)
      const away = { kind: "error", status: 503, type: "ServiceUnavailable", message: "not now" } as const
      lab.aws.fail("GetAuthorizationToken", away, Number.POSITIVE_INFINITY)
      await run.until(/ServiceUnavailable|not now/)
      await unlink(inTheWay)
      run.kill("SIGUSR1")
      return run.until(/AWS gives no new token/)
    },
  },
]
