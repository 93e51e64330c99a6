# What tests ask of a real Airflow, of any release since 1.10: a task as a line of JSON on standard input, its result or
# its traceback as one on standard output, until the input ends. Airflow's own classes do the work.
import json
import sys
import traceback

import airflow
from airflow.models.connection import Connection

SINCE_3 = int(airflow.__version__.split(".")[0]) >= 3


def new_session():
    if not airflow.__version__.startswith("1."):
        from airflow.utils.session import create_session
    else:
        from airflow.utils.db import create_session
    return create_session()


def add(connections):
    """Writes connections as Airflow's own models do."""
    with new_session() as session:
        for fields in connections:
            extra = fields.pop("extra", None)
            session.add(Connection(extra=json.dumps(extra) if isinstance(extra, dict) else extra, **fields))
    return len(connections)


def rows(ids):
    """The rows of these connection ids, opened by Airflow's own model."""
    with new_session() as session:
        found = session.query(Connection).filter(Connection.conn_id.in_(ids)).order_by(Connection.id)
        return [describe(connection) for connection in found]


def find(ids):
    """What Airflow finds under these ids wherever it looks: secrets backends, environment, database."""
    return [describe(look_up(conn_id)) for conn_id in ids]


def look_up(conn_id):
    # Outside of a task, Airflow 3's hooks have nobody to ask; this is what answers them inside.
    return Connection.get_connection_from_secrets(conn_id)


def describe(connection):
    return {
        "conn_id": connection.conn_id,
        "conn_type": connection.conn_type,
        "host": connection.host,
        "port": connection.port,
        "login": connection.login,
        "password": connection.password,
        "schema": connection.schema,
        "description": getattr(connection, "description", None),
        "extra": connection.extra_dejson,
        "is_encrypted": bool(connection.is_encrypted),
        "is_extra_encrypted": bool(connection.is_extra_encrypted),
    }


def pull(pulls):
    """Logs the Docker provider's hook in at each daemon with a connection, and pulls."""
    from airflow.providers.docker.hooks.docker import DockerHook

    for wanted in pulls:
        hook = DockerHook(docker_conn_id=wanted["connId"], base_url=wanted["daemon"], version="1.43")
        if SINCE_3:
            hook.get_connection = look_up
        for _ in hook.get_conn().pull(wanted["image"], stream=True):
            pass


TASKS = {"add": add, "rows": rows, "find": find, "pull": pull}


def answer(line):
    task = json.loads(line)
    try:
        return {"result": TASKS[task.pop("do")](**task)}
    except Exception:
        return {"error": traceback.format_exc()}


for line in sys.stdin:
    print("\nanswer: " + json.dumps(answer(line)), flush=True)
