# What Airflow's Amazon provider makes of connections: their ids as JSON on standard input, and for each what it would
# give to boto3, as JSON on the last line of standard output. A client is made, and asks nobody.
import json
import sys

import boto3
from airflow.models.connection import Connection
from airflow.providers.amazon.aws.hooks.base_aws import BaseSessionFactory
from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper


def read(conn_id):
    wrapper = AwsConnectionWrapper(conn=Connection.get_connection_from_secrets(conn_id))
    client = boto3.session.Session(**wrapper.session_kwargs).client(
        "ecr",
        config=wrapper.botocore_config,
        endpoint_url=wrapper.get_service_endpoint_url("ecr"),
    )
    name = BaseSessionFactory(conn=wrapper)._strip_invalid_session_name_characters(f"Airflow_{conn_id}")
    parameters = {"RoleSessionName": name, **wrapper.assume_role_kwargs}
    config = client.meta.config
    return {
        "keys": [
            wrapper.session_kwargs[key]
            for key in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
            if key in wrapper.session_kwargs
        ],
        "profile": wrapper.profile_name,
        "region": client.meta.region_name,
        "role": wrapper.role_arn and {"arn": wrapper.role_arn, "parameters": parameters},
        "ecr": wrapper.get_service_endpoint_url("ecr"),
        "sts": wrapper.get_service_endpoint_url("sts", sts_connection_assume=True),
        "verify": wrapper.verify,
        "proxies": config.proxies,
        "attempts": (config.retries or {}).get("total_max_attempts"),
        "mode": (config.retries or {}).get("mode"),
    }


print("\n" + json.dumps([read(conn_id) for conn_id in json.load(sys.stdin)]))
