"""Guards of who may call the daemon, and what they may."""

from typing import Final

from tests.mutations.mutation import Table, of

_KEYS: Final = "tests/unit/test_api_key.py"
_KNOWN: Final = "tests/unit/web/test_known_keys.py"
_ACCESS: Final = "tests/unit/web/test_access.py"
_FOREIGN: Final = "tests/unit/web/test_foreign_pages.py"
_NAMES: Final = "tests/unit/web/test_names.py"
_HOSTILE: Final = "tests/unit/web/test_hostile_requests.py"

_KEY: Final = of(
    "connector/api_key.py",
    (
        "the secret of a key counts",
        "    return hmac.compare_digest(_digest(secret), known) and key is not None\n",
        "    return key is not None\n",
        _KEYS,
    ),
    (
        "nobody's key is no key",
        "    return hmac.compare_digest(_digest(secret), known) and key is not None\n",
        "    return hmac.compare_digest(_digest(secret), known)\n",
        _KEYS,
    ),
    (
        "a revoked key is none",
        "        return self.revoked_at is None and (",
        "        return (",
        (_KEYS, _KNOWN),
    ),
    (
        "a key ends",
        "(self.expires_at is None or now < self.expires_at)",
        "True",
        (_KEYS, _KNOWN),
    ),
    (
        "a key is good for its scopes",
        "        return scope in self.scopes or ADMIN in self.scopes\n",
        "        return True\n",
        (_KEYS, _ACCESS),
    ),
)

_CALLER: Final = of(
    "connector/web/caller.py",
    (
        "a route asks for its scope",
        "        if not caller.may(needs):\n",
        "        if False:\n",
        _ACCESS,
    ),
    (
        "an account that is not theirs does not exist",
        "        if account is not None and not caller.sees(account):\n",
        "        if False:\n",
        _ACCESS,
    ),
    (
        "the nearest name of an account is told to no key",
        "            if caller.key is None:\n                raise\n",
        "            raise\n",
        _ACCESS,
    ),
)

_CHECK: Final = of(
    "connector/web/access.py",
    (
        "over TCP a key is needed",
        "        if refusal is None and is_open:\n",
        "        if refusal is None:\n",
        _ACCESS,
    ),
    (
        "of two keys in one request none counts",
        "if len(values) == 1 else",
        "if values else",
        _ACCESS,
    ),
    (
        "a request names one host",
        "len(named) != 1 or named[0] not in self._hosts",
        "named[0] not in self._hosts",
        _ACCESS,
    ),
    (
        "another site's page may follow a link, and send nothing",
        '        method in {"GET", "HEAD"}\n        and ',
        "        ",
        _FOREIGN,
    ),
    (
        "each Origin is one of ours",
        '        if origin.partition(b"://")[2] not in hosts:\n',
        "        if False:\n",
        _FOREIGN,
    ),
)

_APP: Final = of(
    "connector/web/app.py",
    (
        "nobody is led on by the Host of a request",
        "    app.router.redirect_slashes = False",
        "    app.router.redirect_slashes = True",
        _HOSTILE,
    ),
    (
        "who hangs up in the middle of a body is no bug",
        "        except ClientDisconnect:\n            return",
        "        except ZeroDivisionError:\n            return",
        _HOSTILE,
    ),
)

_WORDS: Final = (
    *of(
        "connector/web/body.py",
        (
            "half a pair of surrogates is no text",
            "        json.dumps(value, ensure_ascii=False).encode()\n",
            "",
            _NAMES,
        ),
    ),
    *of(
        "connector/web/problems.py",
        (
            "what is shown again of a request commands no terminal",
            "json.dumps(content, allow_nan=False",
            "json.dumps(content, allow_nan=False, ensure_ascii=False",
            _NAMES,
        ),
    ),
)

_HOT: Final = of(
    "connector/web/hot_route.py",
    (
        "memory gives tokens to those with the scope",
        "not caller.may(TOKEN_READ) or ",
        "",
        "tests/unit/web/test_hot_route.py",
    ),
    (
        "memory gives tokens of their own accounts only",
        " or not caller.sees(account)",
        "",
        "tests/unit/web/test_hot_route.py",
    ),
)

_LISTS: Final = (
    *of(
        "connector/web/api.py",
        (
            "a list of accounts shows what is theirs",
            " if caller.sees(one.name)]",
            "]",
            _ACCESS,
        ),
    ),
    *of(
        "connector/web/job_runs.py",
        (
            "a list of runs shows what is theirs",
            "            accounts=await self._seen_by(caller_of(request.scope)),\n",
            "",
            _ACCESS,
        ),
        (
            "a job is run for what is theirs",
            " if caller.sees(one.name)]",
            "]",
            _ACCESS,
        ),
    ),
)

_LOG: Final = (
    *of(
        "connector/cli/service.py",
        (
            "nobody waits for who reads the daemon's log",
            "    configure_logging(level, style, is_threaded=True)\n",
            "    configure_logging(level, style)\n",
            "tests/acceptance/test_daemon.py::test_a_daemon_whose_log_nobody_reads_serves_on",
        ),
    ),
    *of(
        "connector/runtime/opening.py",
        (
            "a damaged file is not served from",
            "                await check_whole(database)\n",
            "                pass\n",
            "tests/acceptance/test_bad_input.py::TestVault::test_damaged_page",
        ),
    ),
)

ACCESS: Final = Table(
    title="Who may call the daemon, and when it serves",
    mutations=(*_KEY, *_CALLER, *_CHECK, *_APP, *_WORDS, *_HOT, *_LISTS, *_LOG),
)
