"""What has been with one account: values of ``account_history.html`` on its page."""

from collections.abc import Mapping

from connector.account import Account
from connector.runtime import Runtime


async def history_of(_runtime: Runtime, _account: Account) -> Mapping[str, object]:
    """Give what ``account_history.html`` shows of an account."""
    return {}
