"""Orders to child processes, written as their parents write them."""

from pathlib import Path

from connector.jobs.channel import Message
from connector.jobs.order import Order
from connector.providers.provider import Api
from connector.settings import DestinationSettings


def an_order(folder: Path, **changes: object) -> Message:
    """Give an order to call ``pulls:pull`` of a folder, into a SQLite file there."""
    url = f"sqlite:///{folder}/ads.db"
    order = Order(
        run="pulls:pull",
        folder=folder,
        job="pull",
        account="acme/ads",
        account_id="1",
        run_id="1",
        destination=DestinationSettings(url=url, table="t", key=("id",), max_rejected=2),
        since=None,
        options={"limit": 5},
        deadline=60,
    )
    return {**order.message(url, Api(base_url="http://127.0.0.1/")), **changes}
