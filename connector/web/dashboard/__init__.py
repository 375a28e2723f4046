"""The dashboard: pages for the people who run the daemon, rendered here, of use without JavaScript.

How to add a page:

1.  A module with a class that takes the `Runtime` and the `frame.Frame`, and gives its routes::

        class JobsPages:
            def routes(self) -> list[PageRoute]:
                return [
                    self._frame.page("/jobs", self.jobs),              # GET: changes nothing
                    self._frame.action("/jobs/{job}/pause", self.pause),  # POST: a form of ours
                ]

            async def jobs(self, request: Request) -> Response:
                return await self._frame.render(request, "jobs.html", {"jobs": …})

            async def pause(self, request: Request) -> Response:
                …
                return self._frame.go(request, "/jobs", "The job is paused.")

    Only `Frame.page` and `Frame.action` make routes that a session opens: whoever is not signed in
    is led to ``/login`` before the endpoint is called, and a form without the session's CSRF token
    is refused. A route made otherwise stays closed to browsers. What a form says is in
    `guard.form_of`, who sent it in `guard.session_of`; what is written to the audit trail within an
    endpoint is theirs. Errors of ours become pages by themselves.
2.  A template in ``templates/dashboard/`` that extends ``dashboard/layout.html`` and fills its
    blocks ``title`` and ``content``; ``dashboard/parts.html`` has what pages share (badges, times,
    empty states, paging, the CSRF field ``{{ csrf() }}`` that each form needs). What stands in an
    element with an ``id`` and ``data-live`` is kept fresh by ``static/live.js``.
3.  Its routes in `dashboard.Dashboard.routes`, and its entry in `frame.SECTIONS`.

No page may hold a token, a secret, a ``style`` attribute or a script: the Content-Security-Policy
lets in our own files alone, and `tests/unit/web/dashboard` looks through every page.
"""

from connector.web.dashboard.dashboard import Dashboard
from connector.web.dashboard.guard import PageRoute

__all__ = ["Dashboard", "PageRoute"]
