"""The provider's endpoints, and the door that every Graph call goes through."""

import re
from collections.abc import Collection

from starlette.routing import Route

from connector.simulator.ads_data import AdsData
from connector.simulator.call import Act, Call, Preview, RefusedError, Reply, Subject
from connector.simulator.endpoint import Row, Stage, routes
from connector.simulator.facebook.access_token import AccessTokenEndpoint
from connector.simulator.facebook.debug_token import DebugToken
from connector.simulator.facebook.dialog import CONSENT_PATH, LOGIN_PATH, Dialog
from connector.simulator.facebook.error import unknown_path, version_over
from connector.simulator.facebook.insights import Insights
from connector.simulator.facebook.provider import Provider
from connector.simulator.facebook.usage import Usage
from connector.simulator.facebook.user import User
from connector.simulator.facebook.viewer import preview_viewer
from connector.simulator.pages import Pages

VERSION = re.compile(r"v[0-9]{1,3}\.[0-9]{1,2}")


class Door:
    """What all Graph calls have in common: the version in the path, and the usage headers."""

    def __init__(self, provider: Provider, usage: Usage) -> None:
        self._provider = provider
        self._usage = usage

    def behind(self, act: Act) -> Act:
        """The act, done only for versions that answer, with its call counted."""

        def counted(call: Call) -> Reply:
            settings = self._provider.state.settings
            number = call.path.get("number")
            ad_account = None if number is None else f"act_{number}"
            self._usage.count(settings.app_id, ad_account)
            try:
                self._check_version(call)
                reply = act(call)
            except RefusedError as refusal:
                reply = refusal.reply
            self._usage.mark(reply.response, settings, ad_account)
            return reply

        return counted

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
    door = Door(provider, usage)
    token, user = AccessTokenEndpoint(provider), User(provider, ads)

    def viewer(call: Call) -> Subject:
        return preview_viewer(call, provider)

    def graph(
        path: str,
        name: str,
        act: Act,
        methods: Collection[str] = ("GET",),
        preview: Preview = viewer,
    ) -> Row:
        return Row(f"/graph/{{version}}/{path}", name, door.behind(act), methods, preview)

    rows = (
        Row("/facebook/{version}/dialog/oauth", "dialog", dialog.open),
        Row(LOGIN_PATH, "dialog_login", dialog.sign_in.login_page),
        Row(LOGIN_PATH, "dialog_login", dialog.sign_in.log_in, ("POST",)),
        Row(CONSENT_PATH, "dialog_consent", dialog.sign_in.consent_page),
        Row(CONSENT_PATH, "dialog_consent", dialog.decide, ("POST",)),
        graph(
            "oauth/access_token", "graph_access_token", token.answer, ("GET", "POST"), token.preview
        ),
        graph("debug_token", "graph_debug_token", DebugToken(provider, ads).answer),
        graph("me", "graph_me", user.me),
        graph("me/adaccounts", "graph_ad_accounts", user.ad_accounts),
        graph("act_{number}/insights", "graph_insights", Insights(provider, ads).answer),
        graph("{user}/permissions", "graph_permissions", user.permissions),
        graph("{user}/permissions", "graph_withdraw", user.withdraw, ("DELETE",)),
        graph("{user}/permissions/{permission}", "graph_withdraw", user.withdraw, ("DELETE",)),
        Row("/graph/{path:path}", "graph_unknown", _unknown, ("GET", "POST", "DELETE")),
    )
    return routes(rows, stage)


def _unknown(call: Call) -> Reply:
    raise unknown_path(call.path["path"])
