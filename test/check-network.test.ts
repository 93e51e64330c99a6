// `ecrelay check` on the way to AWS: an endpoint that is none, a proxy that does not let through, an authority that is not
// trusted. Each fault is made, found with its fix, and gone after the fix.
import { afterAll, beforeAll, describe } from "bun:test"
import { createAuthority } from "../scripts/services/certificate.ts"
import { type Company, openCompany } from "./support/company.ts"
import { type Fault, proveEach } from "./support/doctor.ts"

let company: Company
beforeAll(async () => {
  company = await openCompany()
}, 60_000)
afterAll(() => company.stop())

const PAGE = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<html>Welcome</html>"
const endpoints: readonly Fault[] = [
  {
    name: "an endpoint where nobody listens",
    level: "error",
    code: "unreachable",
    says: "AWS cannot be reached (ECONNREFUSED: Unable to connect, asking http://127.0.0.1:9)",
    fix: "AWS_ENDPOINT_URL if set",
    fault: () => ({ env: { AWS_ENDPOINT_URL: "http://127.0.0.1:9" } }),
  },
  {
    name: "an endpoint that never answers",
    level: "error",
    code: "timeout",
    says: "no answer from AWS in time",
    fix: "AWS_ENDPOINT_URL if set",
    fault: async ({ company }) => ({
      env: { AWS_ENDPOINT_URL: `http://${await company.listen()}` },
      argv: ["--sink", "docker-config", "--timeout", "2s"],
    }),
  },
  {
    name: "an endpoint whose name nobody knows",
    level: "error",
    code: "unreachable",
    says: "AWS cannot be reached",
    fix: "AWS_ENDPOINT_URL if set",
    // Longer than a label may be: no name service needs to be asked.
    fault: () => ({ env: { AWS_ENDPOINT_URL: `http://${"x".repeat(64)}.test` } }),
  },
  {
    name: "an endpoint in the profile that is no URL",
    level: "error",
    code: "endpoint",
    says: "AWS is not behind this endpoint URL",
    fix: "AWS_ENDPOINT_URL_ECR and the profile's endpoint_url: https:// or http://, host, port",
    fault: async ({ write }) => {
      const AWS_CONFIG_FILE = await write("aws-config", "[default]\nendpoint_url = aws.test\n")
      return { env: { AWS_ENDPOINT_URL: undefined, AWS_CONFIG_FILE } }
    },
  },
  {
    name: "https:// where plain HTTP is spoken",
    level: "error",
    code: "endpoint",
    says: "AWS is not behind this endpoint URL",
    fix: "https:// or http://",
    fault: async ({ company }) => ({
      env: { AWS_ENDPOINT_URL: `https://${await company.listen(PAGE)}`, NO_PROXY: "127.0.0.1" },
    }),
  },
  ...(
    [
      ["a web page", PAGE],
      ["a web server without such a page", PAGE.replace("200 OK", "404 Not Found")],
      ["a gateway with nothing behind it", PAGE.replace("200 OK", "502 Bad Gateway")],
      ["no web server", "SSH-2.0-OpenSSH_9.2\r\n"],
    ] as const
  ).map(
    ([what, answer]): Fault => ({
      name: `an endpoint that is ${what}, and not AWS`,
      level: "error",
      code: "not-aws",
      says: "what answers there is not AWS",
      fix: "check --endpoint-url, AWS_ENDPOINT_URL",
      fault: async ({ company }) => ({
        env: { AWS_ENDPOINT_URL: `http://${await company.listen(answer)}` },
      }),
    }),
  ),
]

const proxies: readonly Fault[] = [
  {
    name: "a proxy that is down",
    level: "error",
    code: "unreachable",
    says: "AWS cannot be reached",
    fix: "that the proxy in HTTPS_PROXY is up",
    fault: () => ({ env: { HTTPS_PROXY: "http://127.0.0.1:9" } }),
  },
  {
    name: "a proxy that never answers",
    level: "error",
    code: "timeout",
    says: "no answer from AWS in time",
    fix: "check the network, the proxy",
    fault: async ({ company }) => ({
      env: { HTTPS_PROXY: `http://${await company.listen()}` },
      argv: ["--sink", "docker-config", "--timeout", "2s"],
    }),
  },
  {
    name: "a proxy that opens no way",
    level: "error",
    code: "proxy",
    says: "the proxy does not let the call through (Proxy refused to open a tunnel: 403 Forbidden)",
    fix: "name AWS's host in NO_PROXY",
    fault: async ({ company }) => ({
      env: { HTTPS_PROXY: await company.proxyUrl({ refuses: true }) },
    }),
  },
  {
    name: "a proxy that wants a login",
    level: "error",
    code: "proxy",
    says: "407 Proxy Authentication Required",
    fix: "check HTTPS_PROXY with its user name and password",
    fault: async ({ company }) => ({
      env: { HTTPS_PROXY: await company.proxyUrl({ login: "me:it is mine" }) },
    }),
    mend: async ({ company }) => {
      const url = await company.proxyUrl({ login: "me:it is mine", others: company.others })
      return { env: { HTTPS_PROXY: url.replace("//", "//me:it%20is%20mine@") } }
    },
  },
]

const authorities: readonly Fault[] = [
  {
    name: "an authority that is not trusted",
    level: "error",
    code: "tls-untrusted",
    says: "the server's certificate is not trusted",
    fix: "name the CA file of whoever signed it in AWS_CA_BUNDLE",
    fault: () => ({ env: { AWS_CA_BUNDLE: "" } }),
  },
  {
    name: "a bundle of another authority",
    level: "error",
    code: "tls-untrusted",
    says: "the server's certificate is not trusted",
    fix: "if AWS_CA_BUNDLE is set, that file holds a different CA",
    fault: async (site) => ({
      env: { AWS_CA_BUNDLE: await site.write("other.pem", createAuthority("another").certificate) },
    }),
  },
  {
    name: "a bundle that is not there",
    level: "error",
    code: "file",
    says: "no such file or directory, open '/nowhere/ca.pem'",
    fix: "check AWS_CA_BUNDLE",
    fault: () => ({ env: { AWS_CA_BUNDLE: "/nowhere/ca.pem" } }),
  },
  {
    name: "a bundle that is not PEM",
    level: "error",
    code: "ca-bundle",
    says: "the CA file holds no certificate",
    fix: "a PEM file, which begins with -----BEGIN CERTIFICATE-----",
    fault: async (site) => {
      const [, body = ""] = /CERTIFICATE-----\n(.*)-----END/s.exec(site.company.authority.certificate) ?? []
      return { env: { AWS_CA_BUNDLE: await site.write("ca.der", Buffer.from(body, "base64")) } }
    },
  },
  {
    name: "a certificate for another host",
    level: "error",
    code: "tls-certificate",
    says: "the server's certificate is not valid for this host or at this time",
    fix: "check the endpoint URL and this machine's clock",
    fault: (site) => ({ env: { AWS_ENDPOINT_URL: site.company.awsUrl({ host: "elsewhere.test" }) } }),
  },
]

describe("the endpoint", () => proveEach(() => company, endpoints))
describe("the proxy", () => proveEach(() => company, proxies))
describe("the authority", () => proveEach(() => company, authorities))
