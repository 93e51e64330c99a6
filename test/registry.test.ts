// Registries: every form of host that ECR has is taken, every look-alike is refused.
import { expect, test } from "bun:test"
import fc from "fast-check"
import {
  bareHost,
  isAccount,
  isEcrHost,
  isRegion,
  ownRegistry,
  parseRegistry,
  partitionOf,
} from "../src/registry.ts"

test.each([
  ["123456789012.dkr.ecr.eu-west-1.amazonaws.com", "aws", "eu-west-1"],
  ["123456789012.dkr.ecr.ap-southeast-10.amazonaws.com", "aws", "ap-southeast-10"],
  ["123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", "aws", "us-east-1"],
  ["123456789012.dkr-ecr.eu-west-1.on.aws", "aws", "eu-west-1"],
  ["123456789012.dkr-ecr-fips.us-west-2.on.aws", "aws", "us-west-2"],
  ["123456789012.dkr.ecr.us-gov-west-1.amazonaws.com", "aws-us-gov", "us-gov-west-1"],
  ["123456789012.dkr.ecr-fips.us-gov-east-1.amazonaws.com", "aws-us-gov", "us-gov-east-1"],
  ["123456789012.dkr-ecr.us-gov-west-1.on.aws", "aws-us-gov", "us-gov-west-1"],
  ["123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "aws-cn", "cn-north-1"],
  ["123456789012.dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn", "aws-cn", "cn-northwest-1"],
  ["123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", "aws-eusc", "eusc-de-east-1"],
  ["123456789012.dkr-ecr.eusc-de-east-1.on.amazonwebservices.eu", "aws-eusc", "eusc-de-east-1"],
  ["123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", "aws-iso", "us-iso-east-1"],
  ["123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "aws-iso-b", "us-isob-east-1"],
  ["123456789012.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "aws-iso-e", "eu-isoe-west-1"],
  ["123456789012.dkr.ecr.us-isof-south-1.csp.hci.ic.gov", "aws-iso-f", "us-isof-south-1"],
] as const)("takes %s", (host, partition, region) => {
  expect(parseRegistry(host)).toEqual({ host, account: "123456789012", region, partition, service: "ecr" })
})

test.each(["public.ecr.aws", "ecr-public.aws.com"])(
  "takes %s for ECR Public, whose tokens come from us-east-1",
  (host) => {
    expect(parseRegistry(host)).toEqual({
      host,
      account: "public",
      region: "us-east-1",
      partition: "aws",
      service: "ecr-public",
    })
  },
)

test.each([
  "",
  "docker.io",
  "eu-west-1",
  "123456789012",
  "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
  "evil-123456789012.dkr.ecr.eu-west-1.amazonaws.com",
  "x.123456789012.dkr.ecr.eu-west-1.amazonaws.com",
  "12345678901.dkr.ecr.eu-west-1.amazonaws.com",
  "1234567890123.dkr.ecr.eu-west-1.amazonaws.com",
  "12345678901a.dkr.ecr.eu-west-1.amazonaws.com",
  "123456789012.dkr.ecr.eu-west-1.amazonaws.org",
  "123456789012.dkr.ecr.eu-west-1.xamazonaws.com",
  "123456789012.dkr.ecr.eu-west-1.amazonaws.com.cn",
  "123456789012.dkr.ecr.cn-north-1.amazonaws.com",
  "123456789012.dkr-ecr.eu-west-1.amazonaws.com",
  "123456789012.dkr.ecr.eu-west-1.on.aws",
  "123456789012.dkr-ecr.us-iso-east-1.on.aws",
  "123456789012.dkr.ecr.eu_west_1.amazonaws.com",
  "123456789012.dkr.ecr..amazonaws.com",
  "123456789012.dkr.ecr.eu.west.1.amazonaws.com",
  "123456789012.dkrxecr.eu-west-1.amazonaws.com",
  "123456789012.dkr.ecr.eu-west-1.amazonaws.com:443",
  "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app",
  "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com",
  "123456789012.dkr.ecr.eu-west-1.amazonaws.com\n",
  " 123456789012.dkr.ecr.eu-west-1.amazonaws.com",
  "١٢٣٤٥٦٧٨٩٠١٢.dkr.ecr.eu-west-1.amazonaws.com",
  "public.ecr.aws.evil.example",
  "xpublic.ecr.aws",
])("refuses %p", (text) => {
  expect(parseRegistry(text)).toBeUndefined()
})

test("writes a host in lower case, as docker compares it", () => {
  expect(parseRegistry("123456789012.DKR.ECR.EU-WEST-1.amazonaws.COM")?.host).toBe(
    "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
  )
})

test("keeps the leading zero of an account", () => {
  expect(parseRegistry("012345678901.dkr.ecr.eu-west-1.amazonaws.com")?.account).toBe("012345678901")
})

test("the own registry of any account and region is one that it takes itself", () => {
  const regions = fc.constantFrom(
    "eu-west-1",
    "cn-north-1",
    "us-gov-west-1",
    "eusc-de-east-1",
    "us-iso-east-1",
    "us-isob-east-1",
    "eu-isoe-west-1",
    "us-isof-south-1",
  )
  const account = fc.stringMatching(/^\d{12}$/)
  fc.assert(
    fc.property(account, regions, (id, region) => {
      const own = ownRegistry(id, region)
      expect(parseRegistry(own.host)).toEqual(own)
      expect(own.partition).toBe(partitionOf(region))
    }),
  )
})

test("nothing around a host makes another host of it", () => {
  const { host } = ownRegistry("123456789012", "eu-west-1")
  const around = fc.string({ minLength: 1 }).filter((text) => text.toLowerCase() !== "")
  fc.assert(
    fc.property(around, (text) => {
      expect(parseRegistry(text + host)).toBeUndefined()
      expect(parseRegistry(host + text)).toBeUndefined()
    }),
  )
})

test.each([
  ["https://123456789012.dkr.ecr.eu-west-1.amazonaws.com", true],
  ["https://123456789012.dkr.ecr.eu-west-1.amazonaws.com:443/v2/", true],
  ["  123456789012.DKR.ecr.eu-west-1.amazonaws.com/team/app:1.2", true],
  ["http://public.ecr.aws", true],
  ["https://evil.example/123456789012.dkr.ecr.eu-west-1.amazonaws.com", false],
  ["https://123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example/", false],
  ["https://123456789012.dkr.ecr.eu-west-1.amazonaws.com@evil.example/", false],
  ["index.docker.io", false],
] as const)("knows what %p leads to", (text, isEcr) => {
  expect(isEcrHost(text)).toBe(isEcr)
})

test("the bare host has no scheme, port, path or upper case", () => {
  expect(bareHost(" HTTPS://Registry.Example:5000/v2/ ")).toBe("registry.example")
})

test.each(["eu-west-1", "us-gov-west-1", "us-isob-east-1", "eusc-de-east-1", "mx-central-1"])(
  "%s is a region",
  (text) => {
    expect(isRegion(text)).toBe(true)
  },
)

test.each(["", "eu-west", "eu-west-1a", "EU-WEST-1", "west-1", "eu-west-1\n", "europe-west-1"])(
  "%p is no region",
  (text) => {
    expect(isRegion(text)).toBe(false)
  },
)

test.each(["", "12345678901", "1234567890123", "12345678901x", "123456789012\n"])(
  "%p is no account",
  (text) => {
    expect(isAccount(text)).toBe(false)
  },
)
