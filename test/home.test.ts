// The home directory where no HOME is set, as under a system service: the user database's, for everything that looks
// there. Run with a folder mounted over that home, in a mount namespace of its own.
import { expect } from "bun:test"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { DEMO_IDENTITY, startAws } from "../scripts/aws.ts"
import { binary, temporaryFolder } from "./support/binary.ts"
import { LACKS, testUnless, UNSHARE } from "./support/files.ts"

testUnless(
  LACKS.mounts,
  "without HOME the user's own home holds config file, profiles and logins",
  async () => {
    const aws = startAws()
    const home = await temporaryFolder()
    await mkdir(join(home, ".aws"))
    await mkdir(join(home, ".config/ecrelay"), { recursive: true })
    const { accessKeyId, secretAccessKey } = DEMO_IDENTITY
    await writeFile(
      join(home, ".aws/credentials"),
      `[ci]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\nregion = eu-west-3\n`,
    )
    await writeFile(
      join(home, ".config/ecrelay/config.toml"),
      'profile = "ci"\n[[sink]]\ntype = "docker-config"\n',
    )
    const script = 'mount --bind "$FOLDER" ~root; exec "$PROGRAM" refresh'
    const run = Bun.spawn([...UNSHARE, "sh", "-ec", script], {
      env: {
        PATH: process.env.PATH ?? "",
        FOLDER: home,
        PROGRAM: await binary(),
        AWS_EC2_METADATA_DISABLED: "true",
        AWS_ENDPOINT_URL: aws.url,
      },
      stdout: "pipe",
      stderr: "pipe",
    })
    const [out, error] = await Promise.all([new Response(run.stdout).text(), new Response(run.stderr).text()])
    await aws.stop()
    expect({ out, error, code: await run.exited }).toMatchObject({
      out: expect.stringMatching(/^delivered/),
      error: "",
      code: 0,
    })
    expect(await readFile(join(home, ".docker/config.json"), "utf8")).toContain(
      `${DEMO_IDENTITY.account}.dkr.ecr.eu-west-3.amazonaws.com`,
    )
  },
)
