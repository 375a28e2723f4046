"""singer-sdk: a tap of one stream, its messages to standard output.

singer_tap.py URL
"""

import os
import sys
from typing import ClassVar

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import BearerTokenAuthenticator
from singer_sdk.pagination import JSONPathPaginator

TEXTS = ("id", "campaign_id", "campaign_name", "adset_id", "adset_name", "note")


class Records(RESTStream[str]):  # type: ignore[misc]
    """The stream."""

    name = "records"
    path = ""
    primary_keys = ("id",)
    records_jsonpath = "$.data[*]"
    next_page_token_jsonpath = "$.after"
    schema: ClassVar[dict[str, object]] = th.PropertiesList(
        *(th.Property(name, th.StringType) for name in TEXTS),
        th.Property("date", th.DateType),
        th.Property("impressions", th.IntegerType),
        th.Property("clicks", th.IntegerType),
        th.Property("spend", th.NumberType),
        th.Property("ctr", th.NumberType),
        th.Property("is_active", th.BooleanType),
        th.Property("updated_at", th.DateTimeType),
    ).to_dict()

    @property
    def url_base(self) -> str:
        """Where it is."""
        return str(self.config["url"])

    @property
    def authenticator(self) -> BearerTokenAuthenticator:
        """How it authenticates."""
        return BearerTokenAuthenticator(token=os.environ["PULL_TOKEN"])

    def get_new_paginator(self) -> JSONPathPaginator:
        """Find the cursor in the body."""
        return JSONPathPaginator("$.after")

    def get_url_params(self, context: object, next_page_token: str | None) -> dict[str, str]:
        """Send it back."""
        del context
        return {"after": next_page_token} if next_page_token else {}


class Pulls(Tap):  # type: ignore[misc]
    """The tap."""

    name = "tap-pulls"
    config_jsonschema: ClassVar[dict[str, object]] = th.PropertiesList(
        th.Property("url", th.StringType, required=True)
    ).to_dict()

    def discover_streams(self) -> list[Records]:
        """Give the stream."""
        return [Records(self)]


if __name__ == "__main__":
    Pulls(config={"url": sys.argv[1]}).sync_all()
