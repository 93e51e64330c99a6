// Run in a process of its own, whose environment says which proxy there is: asks for one token and prints the failure.
import { createAws } from "../../src/ecr.ts"

const { fetchToken } = createAws({
  env: process.env,
  fetch,
  loadAirflowIdentity: () => Promise.reject(new Error("no Airflow")),
})
await fetchToken({ service: "ecr", region: "eu-west-1", principal: {} }, new AbortController().signal).catch(
  ({ code, message, hint, retryable }) => console.log(JSON.stringify({ code, message, hint, retryable })),
)
