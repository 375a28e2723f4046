"""Opens a URL in the person's own browser (RFC 8252 §8.12), or says that there is none.

The URL is one argument of a process, never part of a shell's command line, and has been checked to
be https (or loopback http) without odd characters (CHECKLIST 15). The browser does not get the
variables that hold secrets.
"""

import asyncio
import os
import sys

#: A browser that is running already takes the URL at once.
OPENING_TIME = 10.0


def has_browser() -> bool:
    """Tell whether a browser can be opened here; a text browser would take over the terminal."""
    if os.environ.get("BROWSER"):
        return True
    if sys.platform in {"darwin", "win32"}:
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


async def open_browser(url: str, hidden_variables: frozenset[str]) -> bool:
    """Open a URL; tell whether a browser took it, as far as can be known.

    Args:
        url: checked.
        hidden_variables: environment variables that the browser does not get.
    """
    environment = {
        name: value for name, value in os.environ.items() if name not in hidden_variables
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "webbrowser",
        url,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(OPENING_TIME):
            return await process.wait() == 0
    except TimeoutError:
        return True  # it runs in the foreground of its own session: it has the URL
