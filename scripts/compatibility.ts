// The README's table of Airflow by database and API, made of what the tests proved on real ones.
/** One thing that a test proved. */
export type Proof = {
  /** Of Airflow. */
  readonly release: string
  /** A kind of database, or a version of the REST API. */
  readonly place: string
  /** Airflow's Connection read it, DockerHook logged in and pulled with it, and so again after a change of the key. */
  readonly how: "read" | "login" | "rotation" | "viewer" | "expiry"
}
