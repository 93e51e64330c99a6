// That we decrypt what real releases of Airflow encrypted: recorded tokens, not ones that our own code made.
import { expect, test } from "bun:test"
import { decrypt, parseFernetKeys } from "../../sinks/_airflow/fernet.ts"
import { encryptedByAirflow, fernetKey } from "../support/airflow-rows.ts"

test.each(encryptedByAirflow)(
  "decrypts the $column that Airflow $release encrypted",
  ({ token, plaintext }) => {
    const keys = parseFernetKeys(fernetKey)
    expect(keys && decrypt(keys, token)).toBe(plaintext)
  },
)
