"""Guards of the dashboard: who is signed in, and whose form it is."""

from typing import Final

from tests.mutations.mutation import Table, of

_LOGIN: Final = "tests/unit/web/dashboard/test_login.py"
_GUARD: Final = "tests/unit/web/dashboard/test_guard.py"
_STORED: Final = "tests/store/test_dashboard.py"

_PAGES: Final = of(
    "connector/web/dashboard/guard.py",
    (
        "a page asks for a session",
        "            if session is None:\n                return self._to_login(request)\n",
        "",
        f"{_GUARD}::TestRoutes",
    ),
    (
        "a form needs the token of its session",
        "                if not _is_ours(request, session, form):\n",
        "                if False:\n",
        f"{_GUARD}::TestForms",
    ),
    (
        "a token is compared with the session's",
        (
            "    if len(presented) != 1 or not hmac.compare_digest(presented[0].encode(),"
            " expected.encode()):\n"
        ),
        "    if len(presented) != 1:\n",
        f"{_GUARD}::TestForms",
    ),
    (
        "a page that keeps itself fresh keeps no session alive",
        "        is_used = LIVE_HEADER not in request.headers\n",
        "        is_used = True\n",
        f"{_LOGIN}::TestEnd",
    ),
    (
        "signing in leads to no other site",
        '    if not text.startswith("/") or text.startswith("//") or "\\\\" in text:\n',
        '    if not text.startswith("/") or text.startswith("//"):\n',
        f"{_LOGIN}::test_signing_in_leads_to_a_page_of_ours",
    ),
) + of(
    "connector/web/dashboard/login.py",
    (
        "a session ends when its browser signs in again",
        "        await self._end_old(request)\n",
        "",
        f"{_LOGIN}::TestCookie",
    ),
    (
        "no script reads the cookie",
        "            secure=self._frame.guard.is_secure,\n            httponly=True,\n",
        "            secure=self._frame.guard.is_secure,\n",
        f"{_LOGIN}::TestCookie",
    ),
    (
        "under TLS the cookie goes over TLS alone",
        "            secure=self._frame.guard.is_secure,\n            httponly=True,\n",
        "            httponly=True,\n",
        f"{_LOGIN}::TestCookie",
    ),
)

_SESSIONS: Final = of(
    "connector/store/dashboard_sessions.py",
    (
        "a session that nobody uses ends",
        "        if now - row.used_at >= self._idle or now - row.created_at >= self._lifetime:\n",
        "        if now - row.created_at >= self._lifetime:\n",
        f"{_LOGIN}::TestEnd",
    ),
    (
        "any session ends",
        "        if now - row.used_at >= self._idle or now - row.created_at >= self._lifetime:\n",
        "        if now - row.used_at >= self._idle:\n",
        f"{_LOGIN}::TestEnd",
    ),
    (
        "signing out everywhere is of one user",
        "delete(DashboardSessionRow).where(theirs)",
        "delete(DashboardSessionRow)",
        f"{_STORED}::TestSessions",
    ),
)

_CODES: Final = of(
    "connector/store/dashboard_codes.py",
    (
        "a code is over after its time",
        ".where(is_this, col(DashboardCodeRow.expires_at) > now)",
        ".where(is_this)",
        f"{_LOGIN}::TestCode",
    ),
    (
        "a code is void after a few wrong attempts",
        "                .where(col(DashboardCodeRow.attempts) < MOST_ATTEMPTS)\n",
        "",
        f"{_LOGIN}::TestCode",
    ),
    (
        "the secret of a code counts",
        "            if not hmac.compare_digest(str(kept.code_hash), _digest(letters)):\n",
        "            if False:\n",
        f"{_LOGIN}::TestCode",
    ),
    (
        "a code signs in once",
        (
            "            await connection.execute(\n"
            "                delete(DashboardCodeRow).where(col(DashboardCodeRow.number) == number)\n"
            "            )\n"
        ),
        "",
        f"{_LOGIN}::TestCode",
    ),
)

PAGES: Final = Table(title="The dashboard", mutations=(*_PAGES, *_SESSIONS, *_CODES))
