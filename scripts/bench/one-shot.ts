// Times one refresh of the binary into a docker config, over TLS to the local stand-in: `bun run bench one-shot`.
// The peer is Amazon's credential helper, built from the Go module proxy where Go is at hand. Every pair is run twice, since
// most of what a program costs here is the mapping of its own file: as just written, of which the kernel maps more at a time,
// and as read back from the disk, as after a boot. The stand-in answers at once, which AWS does not: the pair with the helper is
// run once more with an answer that takes 50 ms.
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DEMO_IDENTITY, startAws } from "../aws.ts"
import { build } from "../build.ts"
import { createAuthority } from "../services/certificate.ts"
import { printPair, type Subject } from "./measure.ts"

const PAIRS = 30
const HELPER =
  "github.com/awslabs/amazon-ecr-credential-helper/ecr-login/cli/docker-credential-ecr-login@v0.12.0"

/** Runs the benchmark, and prints medians and ratios for each pair. */
export async function benchOneShot(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "ecrelay-bench-"))
  const authority = createAuthority("ecrelay bench")
  const { certificate, key } = authority.issue("127.0.0.1", ["127.0.0.1"])
  const tls = { cert: certificate, key }
  const aws = startAws({ tls })
  const slowAws = startAws({ tls, answerMs: 50 })
  try {
    const binary = await build(undefined, join(folder, "ecrelay"))
    const ca = join(folder, "ca.pem")
    await writeFile(ca, authority.certificate)
    const env = {
      HOME: folder,
      AWS_ACCESS_KEY_ID: DEMO_IDENTITY.accessKeyId,
      AWS_SECRET_ACCESS_KEY: DEMO_IDENTITY.secretAccessKey,
      AWS_REGION: "eu-west-1",
      AWS_ENDPOINT_URL: aws.url,
      AWS_EC2_METADATA_DISABLED: "true",
    }
    const ours: Subject = {
      name: "ecrelay --sink docker-config",
      argv: [binary, "--sink", "docker-config"],
      env: { ...env, NODE_EXTRA_CA_CERTS: ca },
    }
    const helper = await buildHelper(folder)
    const empty = await buildEmpty(folder)
    const pairs: [Subject, Subject][] = [
      [ours, empty],
      [{ name: "ecrelay --help", argv: [binary, "--help"], env: {} }, empty],
    ]
    if (helper) {
      const peer = await helperSubject(helper, folder, ca, env)
      // The second is the same work on both sides: the helper prints the login, and replaces no file.
      const printing = { ...ours, name: "ecrelay --sink stdout", argv: [binary, "--sink", "stdout"] }
      const slowly = (subject: Subject): Subject => ({
        ...subject,
        name: `${subject.name}, answered after 50 ms`,
        env: { ...subject.env, AWS_ENDPOINT_URL: slowAws.url },
      })
      pairs.unshift([ours, peer], [printing, peer], [slowly(ours), slowly(peer)])
    } else console.log("skipped: Amazon's credential helper: no Go here, or its module cannot be had")
    await printAll(pairs, "just written")
    if (forget(pairs.flat().map(({ argv }) => argv[0] ?? "")))
      await printAll(pairs, "read back from the disk")
    else console.log("skipped: as read back from the disk: dd here cannot empty the page cache of a file")
    const expected = (PAIRS + 1) * (helper ? 7 : 1)
    const arrived = aws.calls.length + slowAws.calls.length
    if (arrived < expected)
      throw new Error(`${arrived} calls arrived, ${expected} were due: the numbers are worthless`)
  } finally {
    await Promise.all([aws.stop(), slowAws.stop()])
    await rm(folder, { recursive: true, force: true })
  }
}

async function printAll(pairs: readonly [Subject, Subject][], state: string): Promise<void> {
  for (const [one, other] of pairs) await printPair({ ...one, name: `${state}: ${one.name}` }, other, PAIRS)
}

/** Takes files out of the page cache; false where this machine's dd cannot. */
function forget(paths: readonly string[]): boolean {
  return [...new Set(paths)].every((path) => {
    const argv = ["dd", `of=${path}`, "oflag=nocache", "conv=notrunc,fdatasync", "count=0"]
    return Bun.which("dd") !== null && Bun.spawnSync(argv, { stderr: "ignore" }).exitCode === 0
  })
}

async function buildEmpty(folder: string): Promise<Subject> {
  const source = join(folder, "empty.ts")
  const outfile = join(folder, "empty")
  await writeFile(source, "")
  await Bun.build({
    entrypoints: [source],
    target: "bun",
    format: "esm",
    minify: true,
    bytecode: true,
    compile: { outfile, autoloadBunfig: false, autoloadDotenv: false, jitPolicy: 100 },
  })
  return { name: "an empty compiled program", argv: [outfile], env: {} }
}

async function buildHelper(folder: string): Promise<string | undefined> {
  const go = Bun.which("go")
  if (!go) return undefined
  const child = Bun.spawn([go, "install", HELPER], {
    env: { ...process.env, GOBIN: folder },
    stdout: "ignore",
    stderr: "ignore",
  })
  return (await child.exited) === 0 ? join(folder, "docker-credential-ecr-login") : undefined
}

// Go reads the system's roots at every start, Bun has them built in: Go is given what a distribution gives it, and ours.
async function helperSubject(
  helper: string,
  folder: string,
  ca: string,
  env: Record<string, string>,
): Promise<Subject> {
  const roots = await readFile("/etc/ssl/certs/ca-certificates.crt", "utf8").catch(() => "")
  const all = join(folder, "all.pem")
  await writeFile(all, roots + (await readFile(ca, "utf8")))
  await mkdir(join(folder, ".ecr"), { recursive: true })
  const store = roots ? "the distribution's roots" : "one root"
  return {
    name: `docker-credential-ecr-login get (${store})`,
    argv: [helper, "get"],
    env: { ...env, SSL_CERT_FILE: all, AWS_ECR_DISABLE_CACHE: "true" },
    stdin: `${DEMO_IDENTITY.account}.dkr.ecr.eu-west-1.amazonaws.com`,
  }
}
