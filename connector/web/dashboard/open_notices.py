"""What people must be told, above every page: what `runtime.notice_desk` has found."""

from typing import Final

from connector.notice import Notice as Told
from connector.notices.sentences import text_of, title_of
from connector.notices.wording import severity_of
from connector.runtime import Runtime
from connector.web.dashboard.frame import Notice, Notices

#: More would push the page out of sight; the others are counted.
MOST_SHOWN: Final = 3
_LEVELS: Final = {"error": "danger", "warning": "warning", "info": "info"}
_ORDER: Final = ("danger", "warning", "info")


def open_notices(runtime: Runtime) -> Notices:
    """Make what gives the notices of the moment, the gravest first."""
    desk = runtime.notices

    async def notices() -> list[Notice]:
        found = [_shown(told) for told in [*await desk.local.open(), *await desk.store.open()]]
        found.sort(key=lambda notice: _ORDER.index(notice.level))
        shown = found[:MOST_SHOWN]
        if more := len(found) - len(shown):
            shown.append(
                Notice(
                    level="info",
                    title=f"{more} more {'notice' if more == 1 else 'notices'}.",
                    text="In a terminal: connector notices",
                )
            )
        return shown

    return notices


def _shown(told: Told) -> Notice:
    """Put a notice into words, with the page where it is dealt with."""
    cause, title = told.cause, title_of(told)
    path, action = "", ""
    if cause.account and told.count is None:
        path, action = f"/accounts/{cause.account}", "Open the account"
    elif cause.job:
        path, action = f"/jobs/{cause.job}", "Open the job"
    elif told.count is not None and cause.provider:
        path, action = f"/accounts?provider={cause.provider}", "Show the accounts"
    return Notice(
        level=_LEVELS[severity_of(told, told.event)],
        title=f"{title[:1].upper()}{title[1:]}.",
        text=text_of(told),
        path=path,
        action=action,
    )
