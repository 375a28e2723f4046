"""Issues of a repository into DuckDB, by dlt; the tokens are Connector's."""

import dlt
from dlt.sources.rest_api import rest_api_source

from connector import Connector
from connector.integrations.dlt import RestApiAuth

BASE_URL = "http://127.0.0.1:8480/github/"  # (4) "https://api.github.com/"

with Connector.open("config.toml") as connector:
    source = rest_api_source(
        {
            "client": {
                "base_url": BASE_URL,
                "auth": RestApiAuth("acme/github", connector),
                "paginator": "header_link",
            },
            "resources": [
                {
                    "name": "issues",
                    "primary_key": "id",
                    "write_disposition": "merge",
                    "endpoint": {
                        "path": "repos/octocat/hello-world/issues",
                        "params": {
                            "state": "all",
                            "sort": "updated",
                            "direction": "asc",
                            "per_page": 50,
                            "since": "{incremental.start_value}",
                        },
                        "incremental": {
                            "cursor_path": "updated_at",
                            "initial_value": "2026-01-01T00:00:00Z",
                        },
                    },
                }
            ],
        }
    )
    pipeline = dlt.pipeline(
        "issues",
        destination=dlt.destinations.duckdb("issues.duckdb"),
        dataset_name="github",
        pipelines_dir=".dlt/pipelines",
    )
    print(pipeline.run(source))
