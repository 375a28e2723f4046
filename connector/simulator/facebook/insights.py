"""Insights: the rows that a query makes, added up once for all its pages.

An ad account has them, and each campaign, ad set and ad; see paging for how they are given.
"""

from collections import OrderedDict
from collections.abc import Hashable
from datetime import date

from connector.simulator.ads_data import AdsData
from connector.simulator.call import Call, Reply, json_response
from connector.simulator.facebook.error import go_async, too_much
from connector.simulator.facebook.filtering import chosen
from connector.simulator.facebook.insights_days import KnownDays
from connector.simulator.facebook.insights_query import InsightsQuery, read_insights_query
from connector.simulator.facebook.insights_rows import FIELDS, Level, Sum, add_up, is_under, shown
from connector.simulator.facebook.nodes import Node, Nodes
from connector.simulator.facebook.paging import Pager
from connector.simulator.facebook.provider import Provider
from connector.simulator.facebook.viewer import PersonViewer, identify_person

# Pulls that go on side by side; each may have some ten thousand rows.
QUERIES_CACHED = 8


class Insights:
    """The insights edge."""

    def __init__(self, provider: Provider, ads: AdsData, nodes: Nodes) -> None:
        self._provider = provider
        self._ads = ads
        self._nodes = nodes
        self._pager = Pager(provider)
        self._sums: OrderedDict[Hashable, list[Sum]] = OrderedDict()

    def answer(self, call: Call) -> Reply:
        """A page of insights.

        Raises:
            GraphError: a dead token, a missing permission, a parameter that makes no sense, or
                more than is given at once.
        """
        viewer = identify_person(call, self._provider)
        node = self._nodes.open(call.path["node"], viewer)
        viewer = viewer.of(node.account.id)
        query = self.read(node, viewer)
        settings = self._provider.state.settings
        if settings.longest_sync_days and query.days > settings.longest_sync_days:
            raise go_async(viewer.subject)
        self._pager.limit(viewer.viewer.parameters, viewer.subject)
        rows = self.rows(node, query)
        if settings.largest_query and len(rows) > settings.largest_query:
            raise too_much(settings.too_much, viewer.subject)
        return self.reply(call, viewer, query, rows)

    def read(self, node: Node, viewer: PersonViewer) -> InsightsQuery:
        """What a call asks of a node.

        Raises:
            GraphError: a parameter makes no sense.
        """
        return read_insights_query(
            viewer.viewer.parameters,
            least=_level(node),
            days=KnownDays(
                today=self._ads.today(node.account), first=self._ads.first_day(node.account)
            ),
            subject=viewer.subject,
        )

    def rows(self, node: Node, query: InsightsQuery) -> list[Sum]:
        """Every row of a query, as the figures are now."""
        if len(query.ranges) == 1 and not query.filters and query.order is None:
            return self._of(node, query, *query.ranges[0])
        sums = [row for since, until in query.ranges for row in self._of(node, query, since, until)]
        return chosen(sums, query.filters, query.order, lambda row, name: FIELDS[name](row))

    def reply(
        self, call: Call, viewer: PersonViewer, query: InsightsQuery, rows: list[Sum]
    ) -> Reply:
        """The page of rows that a call asks for.

        Raises:
            GraphError: the page makes no sense.
        """
        as_row = shown(query.fields, query.level)
        body = self._pager.page(call, viewer.viewer, rows, as_row)
        return Reply(response=json_response(body), subject=viewer.subject)

    def _of(self, node: Node, query: InsightsQuery, since: date, until: date) -> list[Sum]:
        identity = None if node.object is None else node.object.id
        revisions = self._ads.revisions(node.account, since, until)
        seed, shape = self._provider.state.settings.ads_seed, self._ads.shape
        key = (
            *(node.account.id, identity, since, until, query.level, query.increment),
            *(seed, shape, revisions),
        )
        if key not in self._sums:
            rows = self._ads.rows(node.account, since, until)
            mine = (row for row in rows if is_under(row.ad, _level(node), identity))
            self._sums[key] = add_up(mine, query.level, query.increment, since=since, until=until)
            if len(self._sums) > QUERIES_CACHED:
                self._sums.popitem(last=False)
        self._sums.move_to_end(key)
        return self._sums[key]


def _level(node: Node) -> Level:
    return "account" if node.object is None else node.object.kind
