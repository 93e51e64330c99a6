// What goes wrong on the way to AWS and to the registry.

import { unlink } from "node:fs/promises"
import { connect, createServer } from "node:net"
import { startAws } from "../../scripts/aws.ts"
import { createAuthority } from "../../scripts/services/certificate.ts"
import { standInEnvironment } from "../support/binary.ts"
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
    text: "the registry refuses the new login",
    fault: "a token that the registry does not take",
    async make(lab) {
      const authority = createAuthority("of the registry")
      const { certificate, key } = authority.issue(HOST, [HOST])
      const tls = { cert: certificate, key }
      const fetch = () => new Response("", { status: 403 })
      const registry = lab.keep(Bun.serve({ port: 0, hostname: "127.0.0.1", tls, fetch }))
      const proxy = await startTunnel(lab, registry.port ?? 0)
      const person = await lab.person({ HTTPS_PROXY: proxy, NO_PROXY: "127.0.0.1", AWS_CA_BUNDLE: "" })
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

/** A proxy of which every tunnel ends at a port of this machine; its URL. */
async function startTunnel(lab: Lab, port: number): Promise<string> {
  const server = createServer((client) => {
    client.on("error", () => undefined)
    client.once("data", () => {
      const inner = connect(port, "127.0.0.1", () => {
        client.write("HTTP/1.1 200 Connection established\r\n\r\n")
        client.pipe(inner).pipe(client)
      })
      inner.on("error", () => client.destroy())
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  lab.keep({ stop: () => void server.close() })
  const address = server.address()
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`
}
