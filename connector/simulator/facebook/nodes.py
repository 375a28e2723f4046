"""What a path names: an ad account, or a campaign, an ad set or an ad in one."""

from dataclasses import dataclass

from connector.simulator.ad_accounts import AdAccount
from connector.simulator.ad_objects import AdObject
from connector.simulator.ads_data import AdsData
from connector.simulator.facebook.error import permission_missing, unknown_object
from connector.simulator.facebook.provider import Provider
from connector.simulator.facebook.viewer import PersonViewer, may_read_ads


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An ad account, or an object in it."""

    account: AdAccount
    object: AdObject | None = None
    """None: the ad account itself."""


class Nodes:
    """Finds nodes, and whom they are shown to."""

    def __init__(self, provider: Provider, ads: AdsData) -> None:
        self._provider = provider
        self._ads = ads

    def find(self, name: str) -> Node | None:
        """The node with this id, whoever asks."""
        account = self._ads.find(name)
        if account is not None:
            return Node(account=account)
        found = self._ads.find_object(name)
        return None if found is None else Node(account=found.account, object=found)

    def open(self, name: str, viewer: PersonViewer) -> Node:
        """The node with this id, for a viewer who may see it.

        Raises:
            GraphError: there is none for the viewer, or a permission is missing.
        """
        node = self.find(name)
        if node is None:
            raise unknown_object(name, viewer.subject)
        self.check(node.account, name, viewer)
        return node

    def check(self, account: AdAccount, name: str, viewer: PersonViewer) -> None:
        """Let a viewer through who may see an ad account, which is the one that `name` is in.

        Raises:
            GraphError: as `open`.
        """
        if account.owner != viewer.person.name:
            raise unknown_object(name, viewer.subject)
        if not may_read_ads(viewer, self._provider.state.clock.now()):
            raise permission_missing(viewer.subject)
