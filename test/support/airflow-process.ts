// Processes of Airflow: its command line, run to its end, and one that takes tasks (airflow-tasks.py) and stays for the
// next ones, since nearly all of the time goes into importing Airflow. Each is ended by its own test, or with it.
type Variables = Readonly<Record<string, string>>

// A minute and more where the machine does other things.
const PATIENCE_MS = 120_000

/** Runs a program of Airflow to its end and returns what it printed. */
export async function runToEnd(command: readonly string[], env: Variables): Promise<string> {
  const child = Bun.spawn([...command], { env, stdin: "ignore", stdout: "pipe", stderr: "pipe" })
  const patience = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS)
  const [out, error] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  const code = await child.exited
  clearTimeout(patience)
  if (code !== 0) throw new Error(`${command.at(-1)} ended with ${child.signalCode ?? code}\n${out}${error}`)
  return out
}

/** A process that does tasks, one after the other. */
export type TaskProcess = {
  /** The result of a task; rejects with Airflow's own traceback. */
  ask(task: object): Promise<unknown>
  /** Ends it. */
  end(): Promise<void>
}

/** Starts a process that does tasks. It ends by itself when we do. */
export function startTasks(python: string, env: Variables): TaskProcess {
  const program = Bun.fileURLToPath(import.meta.resolve("./airflow-tasks.py"))
  const child = Bun.spawn([python, program], { env, stdin: "pipe", stdout: "pipe", stderr: "pipe" })
  const complaints = new Response(child.stderr).text()
  const answers = answersIn(child.stdout)
  const askNow = async (task: object) => {
    child.stdin.write(`${JSON.stringify(task)}\n`)
    child.stdin.flush()
    const patience = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS)
    const { value } = await answers.next()
    clearTimeout(patience)
    if (value === undefined) throw new Error(`Airflow ended in the midst of a task\n${await complaints}`)
    const { result, error } = JSON.parse(value)
    if (error) throw new Error(error)
    return result
  }
  let last: Promise<unknown> = Promise.resolve()
  return {
    ask(task) {
      const answer = last.then(() => askNow(task))
      last = answer.catch(() => {})
      return answer
    },
    async end() {
      child.kill("SIGKILL")
      await child.exited
    },
  }
}

/** The lines that are answers, not what Airflow prints for people. */
async function* answersIn(stdout: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder()
  let text = ""
  for await (const chunk of stdout) {
    text += decoder.decode(chunk, { stream: true })
    const lines = text.split("\n")
    text = lines.pop() ?? ""
    for (const line of lines) if (line.startsWith("answer: ")) yield line.slice("answer: ".length)
  }
  return undefined
}
