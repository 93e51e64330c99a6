// Forms of a login that several sinks have by the same name: a reader must not need to know which sink wrote it.
import { expect, test } from "bun:test"
import { formatText, templates } from "../sinks/_login-file/template.ts"
import { formatLogin } from "../sinks/_login-format.ts"
import { AWKWARD_PASSWORDS, credentialWith } from "./support/credentials.ts"
import { hours, NOW, REGISTRY } from "./support/sinks.ts"

test.each(["json", "password"] as const)(
  "%s is the same from a file, a store and standard output",
  (form) => {
    for (const password of Object.values(AWKWARD_PASSWORDS)) {
      const credential = credentialWith({ registry: REGISTRY, expiresAt: NOW + hours(12), password })
      const [ofFile, ofStore] = [formatText(templates[form], credential), formatLogin(form, credential)]
      if (form === "json") expect(JSON.parse(ofFile)).toEqual(JSON.parse(ofStore))
      else expect(ofFile).toBe(ofStore)
    }
  },
)
