"""Guards of declared pulls: what is asked for, and where a run goes on."""

from typing import Final

from tests.mutations.mutation import Table, of

_PAGINATION: Final = "tests/unit/pulls/test_pagination.py"
_TEMPLATES: Final = "tests/unit/pulls/test_templates.py"
_WINDOWS: Final = "tests/unit/pulls/test_windows.py"
_CURSORS: Final = "tests/unit/pulls/test_cursors.py"
_ANSWERS: Final = "tests/unit/pulls/test_answers.py"
_LIMITS: Final = "tests/unit/pulls/test_limits.py"
_READING: Final = "tests/unit/pulls/test_reading.py"
_PARTS: Final = "tests/unit/jobs/pull/test_broken_parts.py"

_MUTATIONS: Final = (
    *of(
        "connector/pulls/pagination.py",
        (
            "a link is kept without tokens",
            "without_params(url, secrets)",
            "url",
            _PAGINATION,
        ),
        (
            "only a missing link ends where a cursor is there on the last page too",
            "        if not link:\n            return None",
            "        if not link and not cursor:\n            return None",
            _PAGINATION,
        ),
        (
            "paging in a circle ends",
            'if key in state and place in (state[key], state["mark"]):',
            "if key in state and place == state[key]:",
            _PAGINATION,
        ),
        (
            "a page of another size is the one that holds the place that was reached",
            "    return pagination.start + (page - pagination.start) * before // size.value",
            "    return page",
            _PAGINATION,
        ),
    ),
    *of(
        "connector/pulls/templates.py",
        (
            "a value stays in its segment of a path",
            'quote(_text_of(match, values), safe="")',
            "_text_of(match, values)",
            _TEMPLATES,
        ),
        (
            "no value leads up a path or to another host",
            'if filled in {"", ".", ".."} and filled != segment:',
            "if False:",
            _TEMPLATES,
        ),
        (
            "no value ends a header",
            "if _NO_HEADER.search(text) or not text.isascii():",
            "if not text.isascii():",
            _TEMPLATES,
        ),
    ),
    *of(
        "connector/pulls/windows.py",
        (
            "a day that is not over is pulled again",
            "        end = back(format_, end, _DAY.total_seconds())\n    return",
            "        pass\n    return",
            _WINDOWS,
        ),
        (
            "an end that counts is the last moment, not the first after it",
            "            until = back(format_, until, _DAY.total_seconds())\n",
            "            pass\n",
            _WINDOWS,
        ),
    ),
    *of(
        "connector/pulls/days.py",
        (
            "a day whose midnight was skipped begins where its date is first shown",
            "    if early >= late:",
            "    if True:",
            "tests/unit/pulls/test_moments.py",
        ),
    ),
    *of(
        "connector/pulls/cursors.py",
        (
            "a record from the future keeps no others out",
            'last = min(cast("str", last), cast("str", from_datetime(format_, now)))',
            'last = cast("str", last)',
            _CURSORS,
        ),
        (
            "a cursor never goes back",
            'if value is None or cast("str", moment) > cast("str", value):',
            "if True:",
            _CURSORS,
        ),
    ),
    *of(
        "connector/pulls/answers.py",
        (
            "an action that cannot be done any more is passed over",
            "rule.action not in impossible and ",
            "",
            _ANSWERS,
        ),
        (
            "a record that holds the words of an error is none",
            "    if body is not None and 200 <= status < 300 and not rule.statuses:\n        return False\n",
            "",
            _ANSWERS,
        ),
        (
            "a message holds no token",
            '    line = _SECRET.sub(r"\\1…", line)\n',
            "",
            _ANSWERS,
        ),
    ),
    *of(
        "connector/pulls/limits.py",
        (
            "no header stops a job for longer than a day",
            "min(LONGEST, max(0.0, seconds))",
            "max(0.0, seconds)",
            _LIMITS,
        ),
    ),
    *of(
        "connector/pulls/reading/requests.py",
        (
            "no placeholder stands in an origin",
            'if "{" in scheme or "{" in host:',
            'if "{" in scheme:',
            _READING,
        ),
        (
            "a job sets no Authorization",
            '{"authorization", "proxy-authorization", "host", "content-length", "transfer-encoding"}',
            '{"proxy-authorization", "host", "content-length", "transfer-encoding"}',
            _READING,
        ),
    ),
    *of(
        "connector/jobs/pull/pull.py",
        (
            "what concerns every part ends the run",
            "if self.pull.each is None or isinstance(error, RunFailed):",
            "if self.pull.each is None:",
            _PARTS,
        ),
        (
            "a part that fails is never the first of the next run",
            "(part.id != self.place.part, failed.get(part.id, 0))",
            "part.id != self.place.part",
            _PARTS,
        ),
    ),
    *of(
        "connector/jobs/pull/place.py",
        (
            "a part that fails keeps the others from no further run",
            "        self.done, self.since = [], None\n",
            "        self.since = None\n",
            _PARTS,
        ),
    ),
    *of(
        "connector/jobs/pull/walk.py",
        (
            "a page that is not written moves no cursor",
            "        except PaginationError as error:\n",
            "        except PaginationError as error:\n            self._advance(request, records)\n",
            _PARTS,
        ),
    ),
    *of(
        "connector/jobs/pull/report.py",
        (
            "a run that follows one whose reports all failed orders one",
            "                self._commit()  # the next run orders one\n",
            "",
            "tests/unit/jobs/pull/test_report.py",
        ),
    ),
)

PULLING: Final = Table(title="Declared pulls", mutations=_MUTATIONS)
