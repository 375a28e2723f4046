"""airbyte-cdk: a low-code manifest of one stream, its messages to standard output.

airbyte_source.py URL FOLDER     the folder takes its configuration and catalog
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from airbyte_cdk.entrypoint import launch
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)

FIELDS = {
    **dict.fromkeys(("id", "date", "campaign_id", "campaign_name", "adset_id"), "string"),
    **dict.fromkeys(("adset_name", "note", "updated_at"), "string"),
    **dict.fromkeys(("impressions", "clicks"), "integer"),
    **dict.fromkeys(("spend", "ctr"), "number"),
    "is_active": "boolean",
}
SCHEMA = {
    "type": "object",
    "properties": {name: {"type": ["null", kind]} for name, kind in FIELDS.items()},
}


def main(url: str, folder: str) -> None:
    """Pull."""
    config = Path(folder) / "config.json"
    config.write_text(json.dumps({"token": os.environ["PULL_TOKEN"]}))
    catalog = Path(folder) / "catalog.json"
    catalog.write_text(json.dumps(_catalog()))
    source = ConcurrentDeclarativeSource(
        catalog=ConfiguredAirbyteCatalogSerializer.load(_catalog()),
        config=json.loads(config.read_text()),
        state=[],
        source_config=_manifest(url),
    )
    launch(source, ["read", "--config", str(config), "--catalog", str(catalog)])


def _catalog() -> dict[str, Any]:
    stream = {"name": "records", "json_schema": SCHEMA, "supported_sync_modes": ["full_refresh"]}
    modes = {"sync_mode": "full_refresh", "destination_sync_mode": "append"}
    return {"streams": [{"stream": stream, **modes}]}


def _manifest(url: str) -> dict[str, Any]:
    cursor = {
        "type": "CursorPagination",
        "cursor_value": "{{ response.after }}",
        "stop_condition": "{{ not response.after }}",
    }
    after = {"type": "RequestOption", "inject_into": "request_parameter", "field_name": "after"}
    selector = {
        "type": "RecordSelector",
        "extractor": {"type": "DpathExtractor", "field_path": ["data"]},
    }
    retriever = {
        "type": "SimpleRetriever",
        "requester": {
            "type": "HttpRequester",
            "url_base": url,
            "path": "",
            "http_method": "GET",
            "authenticator": {
                "type": "BearerAuthenticator",
                "api_token": "{{ config['token'] }}",
            },
        },
        "record_selector": selector,
        "paginator": {
            "type": "DefaultPaginator",
            "pagination_strategy": cursor,
            "page_token_option": after,
        },
    }
    stream = {
        "type": "DeclarativeStream",
        "name": "records",
        "primary_key": ["id"],
        "retriever": retriever,
        "schema_loader": {"type": "InlineSchemaLoader", "schema": SCHEMA},
    }
    return {
        "version": "6.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["records"]},
        "streams": [stream],
        "spec": {
            "type": "Spec",
            "connection_specification": {
                "type": "object",
                "required": ["token"],
                "properties": {"token": {"type": "string", "airbyte_secret": True}},
            },
        },
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
