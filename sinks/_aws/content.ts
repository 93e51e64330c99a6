// What a slot is to hold and for which Airflow connection: options that Parameter Store and Secrets Manager share.
import * as v from "valibot"
import { listOption } from "../../src/sink.ts"
import { LOGIN_FORMATS } from "../_login-format.ts"

/** The options, to be spread into a sink's own. */
export const contentOptions = {
  format: v.optional(
    v.pipe(
      v.picklist(LOGIN_FORMATS),
      v.description(
        "airflow (the default): as Airflow's backend reads it (airflow-uri: the same as a URI); docker-config: a whole config.json, with the logins of all registries for which the name is the same; password: the password alone; json: host, username, password, expiresAt",
      ),
    ),
    "airflow",
  ),
  conn_id: v.optional(listOption("Airflow connection id, in place of {conn_id} in the name (repeatable)")),
}
