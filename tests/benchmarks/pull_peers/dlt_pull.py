"""dlt: its declared REST source into one of its destinations, as its documentation has them.

dlt_pull.py DESTINATION MODE FOLDER URL …     several URLs are pulled at once
"""

import os
import sys
from typing import Any

import dlt
from dlt.destinations import duckdb, filesystem, postgres, sqlalchemy
from dlt.sources.rest_api import rest_api_source


def main(to: str, mode: str, folder: str, *urls: str) -> None:
    """Pull.

    Args:
        to: ``jsonl``, ``parquet``, ``duckdb:FILE``, or a database's URL.
        mode: ``append`` or ``merge``.
        folder: for its own files, and for those that are written.
        urls: of records.
    """
    pipeline = dlt.pipeline(
        pipeline_name="pulls",
        pipelines_dir=f"{folder}/pipelines",
        destination=_destination(to, folder),
        dataset_name="pulled",
    )
    file_format: Any = "parquet" if to == "parquet" else None
    pipeline.run(_source(urls, mode), loader_file_format=file_format).raise_on_failed_jobs()


def _destination(to: str, folder: str) -> Any:
    if to in {"jsonl", "parquet"}:
        return filesystem(bucket_url=f"file://{folder}/files")
    if to.startswith("duckdb:"):
        return duckdb(to.removeprefix("duckdb:"))
    return postgres(to) if to.startswith("postgres") else sqlalchemy(to)


def _source(urls: tuple[str, ...], mode: str) -> Any:
    """Give a resource for each URL; all of them fill one table."""
    configuration: Any = {
        "client": {
            "base_url": "http://127.0.0.1",  # the paths below are whole URLs
            "auth": {"type": "bearer", "token": os.environ["PULL_TOKEN"]},
            "paginator": {"type": "cursor", "cursor_path": "after", "cursor_param": "after"},
        },
        "resource_defaults": {
            "primary_key": "id",
            "write_disposition": mode,
            "table_name": "records",
            "columns": {"note": {"data_type": "text"}},  # it is always null here
        },
        "resources": [
            {"name": f"records_{i}", "endpoint": {"path": url, "data_selector": "data"}}
            for i, url in enumerate(urls)
        ],
    }
    source = rest_api_source(configuration, name="pulls")
    return source.parallelize() if len(urls) > 1 else source


if __name__ == "__main__":
    main(*sys.argv[1:])
