"""All pages of the dashboard."""

from collections.abc import Callable

from connector.runtime import Runtime
from connector.store.audit_entry import Actor
from connector.store.dashboard_codes import DashboardCodes
from connector.store.dashboard_sessions import DashboardSessions
from connector.store.run_history import RunHistory
from connector.web.connect_link import ConnectLinkPages
from connector.web.dashboard.account import AccountPage
from connector.web.dashboard.accounts import AccountsPages
from connector.web.dashboard.audit import AuditTrailPages
from connector.web.dashboard.connecting import ConnectPages
from connector.web.dashboard.frame import Frame, Notices, no_notices
from connector.web.dashboard.guard import PageRoute
from connector.web.dashboard.jobs import JobPages
from connector.web.dashboard.keys import KeyPages
from connector.web.dashboard.login import LoginPages
from connector.web.dashboard.runs import RunPages
from connector.web.dashboard.static import serve_static
from connector.web.run_starter import RunStarter


class Dashboard:
    """The dashboard of a daemon.

    Args:
        runtime: the daemon's objects.
        links: makes connect links.
        address: of the daemon, as people reach it, without a slash at the end.
        refused: is told who was refused, and why in a word.
        starter: begins runs of jobs.
        notices: gives what stands above every page.
    """

    def __init__(
        self,
        runtime: Runtime,
        links: ConnectLinkPages,
        *,
        address: str,
        refused: Callable[[Actor, str], None],
        starter: RunStarter,
        notices: Notices = no_notices,
    ) -> None:
        daemon = runtime.settings.daemon
        sessions = DashboardSessions(
            runtime.database, idle=daemon.session_idle, lifetime=daemon.session_lifetime
        )
        self._frame = Frame(runtime, sessions, address=address, refused=refused, notices=notices)
        history = RunHistory(runtime.database)
        runs = RunPages(runtime, self._frame, starter, history)
        self._pages = (
            LoginPages(runtime, self._frame, sessions, DashboardCodes(runtime.database)),
            AccountsPages(runtime, self._frame),
            ConnectPages(runtime, self._frame, links),
            JobPages(runtime, self._frame, starter, history, runs),
            runs,
            KeyPages(runtime, self._frame),
            AuditTrailPages(runtime, self._frame),
            AccountPage(runtime, self._frame),
        )

    def routes(self) -> list[PageRoute]:
        """Give the routes."""
        static = self._frame.guard.open_page("/static/{name}", serve_static, methods=["GET"])
        return [static, *(route for pages in self._pages for route in pages.routes())]
