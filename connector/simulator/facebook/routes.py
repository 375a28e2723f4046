"""The provider's endpoints, and the door that every Graph call goes through."""

import re
from collections.abc import Collection
from dataclasses import replace

from starlette.routing import Route

from connector.simulator.ads_data import AdsData
from connector.simulator.call import Act, Call, Preview, RefusedError, Reply, Subject
from connector.simulator.endpoint import Row, Stage, routes
from connector.simulator.facebook.access_token import AccessTokenEndpoint
from connector.simulator.facebook.ad_edges import EDGES, AdEdges
from connector.simulator.facebook.batch import Batch
from connector.simulator.facebook.debug_token import DebugToken
from connector.simulator.facebook.dialog import CONSENT_PATH, LOGIN_PATH, Dialog
from connector.simulator.facebook.error import unknown_path, version_over
from connector.simulator.facebook.insights import Insights
from connector.simulator.facebook.nodes import Nodes
from connector.simulator.facebook.provider import Provider
from connector.simulator.facebook.refusals import Refusal
from connector.simulator.facebook.reports import Reports
from connector.simulator.facebook.usage import Usage
from connector.simulator.facebook.user import User
from connector.simulator.facebook.viewer import preview_viewer
from connector.simulator.pages import Pages

VERSION = re.compile(r"v[0-9]{1,3}\.[0-9]{1,2}")


# What calls to a node are called where the node is a report run.
REPORT_EDGES = {"node": "report", "insights": "report_insights"}


class Door:
    """What all Graph calls have in common: version, refusals, usage headers, log of calls."""

    def __init__(self, provider: Provider, nodes: Nodes, usage: Usage) -> None:
        self._provider = provider
        self._nodes = nodes
        self._usage = usage

    def behind(self, own_edge: str, act: Act) -> Act:
        """The act, done only for versions that answer, with its call counted."""

        def counted(call: Call) -> Reply:
            settings = self._provider.state.settings
            subject, edge = self.preview(call), self._edge(call, own_edge)
            self._usage.count(settings.app_id, subject.ad_account, edge)
            refused: RefusedError | None = None
            try:
                self._check_version(call)
                self._provider.refusals.meet(edge, subject)
                over = self._usage.over(settings, subject.ad_account, edge)
                if over is not None:
                    raise Refusal(code=over).error(subject)
                reply = act(call)
            except RefusedError as refusal:
                reply, refused = refusal.reply, refusal
            standings = self._provider.refusals.standings(edge, subject)
            self._usage.mark(reply.response, settings, subject.ad_account, standings)
            self._provider.calls.write(call, edge, subject, reply, refused)
            return reply

        return counted

    def preview(self, call: Call) -> Subject:
        """Whom and which ad account a call is about, told before anything is checked."""
        name = call.path.get("node", "")
        node = self._provider.reports.find(name) or self._nodes.find(name)
        viewer = preview_viewer(call, self._provider)
        return viewer if node is None else replace(viewer, ad_account=node.account.id)

    def _edge(self, call: Call, own_edge: str) -> str:
        is_report = self._provider.reports.find(call.path.get("node", "")) is not None
        return REPORT_EDGES.get(own_edge, own_edge) if is_report else own_edge

    def _check_version(self, call: Call) -> None:
        version, known = call.path["version"], self._provider.state.settings.graph_versions
        if version in known:
            return
        if VERSION.fullmatch(version) and known and _number(version) < _number(known[0]):
            raise version_over(known[-1])
        raise unknown_path(version)


def _number(version: str) -> float:
    return float(version.removeprefix("v"))


def facebook_routes(
    provider: Provider, ads: AdsData, usage: Usage, pages: Pages, stage: Stage
) -> list[Route]:
    """Everything under /facebook and /graph."""
    dialog = Dialog(provider, pages)
    nodes = Nodes(provider, ads)
    door = Door(provider, nodes, usage)
    edges, insights = AdEdges(provider, ads, nodes), Insights(provider, ads, nodes)
    reports = Reports(provider, nodes, insights, edges)
    token, user = AccessTokenEndpoint(provider), User(provider, edges)

    def graph(
        path: str,
        name: str,
        act: Act,
        methods: Collection[str] = ("GET",),
        preview: Preview = door.preview,
    ) -> Row:
        behind = door.behind(name, act)
        return Row(f"/graph/{{version}}/{path}", f"graph_{name}", behind, methods, preview)

    rows = (
        Row("/facebook/{version}/dialog/oauth", "dialog", dialog.open),
        Row(LOGIN_PATH, "dialog_login", dialog.sign_in.login_page),
        Row(LOGIN_PATH, "dialog_login", dialog.sign_in.log_in, ("POST",)),
        Row(CONSENT_PATH, "dialog_consent", dialog.sign_in.consent_page),
        Row(CONSENT_PATH, "dialog_consent", dialog.decide, ("POST",)),
        graph("oauth/access_token", "access_token", token.answer, ("GET", "POST"), token.preview),
        graph("oauth/revoke", "revoke", token.revoke, ("GET", "POST")),
        graph("debug_token", "debug_token", DebugToken(provider, ads).answer),
        graph("me", "me", user.me),
        graph("me/adaccounts", "ad_accounts", user.ad_accounts),
        graph("{user}/permissions", "permissions", user.permissions),
        graph("{user}/permissions", "withdraw", user.withdraw, ("DELETE",)),
        graph("{user}/permissions/{permission}", "withdraw", user.withdraw, ("DELETE",)),
        graph("{node}/insights", "insights", reports.insights),
        graph("{node}/insights", "report_start", reports.start, ("POST",)),
        *(graph(f"{{node}}/{name}", name, edges.edge(name)) for name in EDGES),
        graph("{node}", "node", reports.node),
    )
    batch = door.behind("batch", Batch(provider, stage.ledger, rows).answer)
    return routes(
        (
            Row("/graph/{version}/", "graph_batch", batch, ("POST",), door.preview),
            Row("/graph/{version}", "graph_batch", batch, ("POST",), door.preview),
            *rows,
            Row("/graph/{path:path}", "graph_unknown", _unknown, ("GET", "POST", "DELETE")),
        ),
        stage,
    )


def _unknown(call: Call) -> Reply:
    raise unknown_path(call.path["path"])
