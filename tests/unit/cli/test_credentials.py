"""Passwords for git and docker: by their protocols, and for the right hosts only."""

import io
import json
from urllib.parse import urlsplit

import pytest

from connector.cli.docker_credential import NOT_FOUND
from tests.unit.workbench import ACCOUNT

from .conftest import Commands


class Given(Commands):
    """Commands that read what another program asks."""

    def ask(self, command: str, operation: str, text: str | bytes, *options: str) -> int:
        """Run a command on a standard input."""
        content = text if isinstance(text, bytes) else text.encode()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
            return self.run(command, operation, "--account", ACCOUNT, *options)

    @property
    def api(self) -> str:
        """The host of the provider's API; http, for it is this machine."""
        return urlsplit(self.bench.simulator.url).netloc


@pytest.fixture
def given(commands: Commands) -> Given:
    return Given(commands.bench, commands._capsys)


def wish(host: str, *, protocol: str = "https", more: str = "") -> str:
    return f"protocol={protocol}\nhost={host}\n{more}\n"


class TestGit:
    def test_the_apis_own_origin(self, given: Given) -> None:
        value = given.bench.connect_apart()
        assert given.ask("git-credential", "get", wish(given.api, protocol="http")) == 0
        username, password, expiry = given.out.splitlines()
        assert (username, password) == ("username=oauth2", f"password={value}")
        assert expiry.removeprefix("password_expiry_utc=").isdecimal()

    @pytest.mark.parametrize(
        ("options", "more", "username"),
        [
            (["--username", "x-token-auth"], "", "x-token-auth"),
            (["--username", "x-token-auth"], "username=ada\n", "x-token-auth"),
            ([], "username=ada\n", "ada"),
            ([], "wwwauth[]=Basic\nwwwauth[]=Bearer\ncapability[]=authtype\n", "oauth2"),
        ],
    )
    def test_user_name(self, given: Given, options: list[str], more: str, username: str) -> None:
        given.bench.connect_apart()
        asked = wish("git.example", more=more)
        assert given.ask("git-credential", "get", asked, "--host", "git.example", *options) == 0
        assert given.out.startswith(f"username={username}\n")

    @pytest.mark.parametrize(
        ("host", "declared"),
        [
            ("git.example", []),
            ("git.example", ["other.example"]),
            ("git.example:8443", ["git.example"]),
            ("evil.git.example", ["git.example"]),
            ("git.example.evil.example", ["git.example"]),
        ],
    )
    def test_another_host_gets_nothing(self, given: Given, host: str, declared: list[str]) -> None:
        given.bench.connect_apart()
        options = [part for one in declared for part in ("--host", one)]
        assert given.ask("git-credential", "get", wish(host), *options) == 6
        assert given.out == ""
        assert f"not sent to https://{host}" in given.err
        given.run("audit", "--json")
        assert "token.released" not in given.out, "nothing was asked for"

    def test_a_provider_without_origins_means_no_host(self, given: Given) -> None:
        """A client of its API would send a token anywhere then; a password is not given away."""
        url = given.bench.simulator.url
        named = f'api = {{ base_url = "{url}/api/" }}\napi_origins = ["{url}"]\n'
        given.configure(replace=(named, ""))
        given.bench.connect_apart()
        assert given.ask("git-credential", "get", wish("git.example")) == 6
        assert given.ask("git-credential", "get", wish("git.example"), "--host", "git.example") == 0

    @pytest.mark.parametrize(
        "text",
        [
            "protocol=https\nhost=evil.example\nhost=git.example\n\n",
            "protocol=http\nprotocol=https\nhost=git.example\n\n",
            "protocol=https\nhost=git.example\rhost=evil.example\n\n",
            "protocol=https\r\nhost=git.example\r\n\r\n",
            "protocol=https\nhost=git.example\0\n\n",
            "protocol=https\nhost=git.example\npath=\x1b[31m\n\n",
            "protocol=https\nhost=git.example\nnonsense\n\n",
            "protocol=https\nhost=user@git.example\n\n",
            "protocol=https\nhost=git.example/evil\n\n",
            "protocol=https\nhost=git.example\\evil.example\n\n",
            "protocol=https\nhost=git.example:99999\n\n",
            "protocol=https\nhost=\n\n",
            "protocol=https\n\n",
            "host=git.example\n\n",
            "protocol=http\nhost=git.example\n\n",
            "protocol=ssh\nhost=git.example\n\n",
            "protocol=file\nhost=git.example\n\n",
            b"protocol=https\nhost=git.example\nusername=\xff\n\n",
            "protocol=https\nhost=git.example\nusername=" + "x" * 70_000 + "\n\n",
            "",
        ],
        ids=range(20),
    )
    @pytest.mark.parametrize("operation", ["get", "erase"])
    def test_what_was_put_together_by_somebody_else(
        self, given: Given, text: str | bytes, operation: str
    ) -> None:
        given.bench.connect_apart()
        asked = ("--host", "git.example", "--host", "evil.example")
        assert given.ask("git-credential", operation, text, *asked) == 6
        assert given.out == ""
        assert "evil" not in given.err

    @pytest.mark.parametrize("operation", ["store", "capability", "somersault"])
    def test_other_operations_are_ignored(self, given: Given, operation: str) -> None:
        assert given.ask("git-credential", operation, "\0") == 0
        assert (given.out, given.err) == ("", "")

    def test_a_password_that_was_refused_is_refreshed_once(self, given: Given) -> None:
        value = given.bench.connect_apart()
        asked = wish(given.api, protocol="http", more=f"username=oauth2\npassword={value}\n")
        assert given.ask("git-credential", "erase", asked) == 0
        assert (given.out, given.err, given.bench.refreshes) == ("", "", 1)
        assert given.run("token", ACCOUNT) == 0
        assert given.out.strip() != value
        assert given.ask("git-credential", "erase", asked) == 0
        assert given.bench.refreshes == 1, "it is another by now"

    @pytest.mark.parametrize("password", ["", "password=another\n", "password=é\n"])
    def test_another_password_costs_no_refresh(self, given: Given, password: str) -> None:
        given.bench.connect_apart()
        asked = wish(given.api, protocol="http", more=password)
        assert given.ask("git-credential", "erase", asked) == 0
        assert given.bench.refreshes == 0

    def test_another_hosts_password_costs_no_refresh(self, given: Given) -> None:
        value = given.bench.connect_apart()
        asked = wish("git.example", more=f"password={value}\n")
        assert given.ask("git-credential", "erase", asked) == 6
        assert given.bench.refreshes == 0

    @pytest.mark.parametrize(
        "option",
        [
            ["--host", "https://git.example"],
            ["--host", "a b"],
            ["--host", "a:99999"],
            ["--username", "a\nb"],
            ["--username", ""],
        ],
    )
    def test_options_that_mean_nothing(self, given: Given, option: list[str]) -> None:
        assert given.ask("git-credential", "get", wish("git.example"), *option) == 2


class TestDocker:
    @pytest.mark.parametrize(
        "server",
        ["registry.example", "https://registry.example", "https://registry.example/v1/\n"],
    )
    def test_get(self, given: Given, server: str) -> None:
        value = given.bench.connect_apart()
        options = ("--host", "registry.example", "--username", "oauth2accesstoken")
        assert given.ask("docker-credential", "get", server, *options) == 0
        assert json.loads(given.out) == {
            "ServerURL": server.strip(),
            "Username": "oauth2accesstoken",
            "Secret": value,
        }

    @pytest.mark.parametrize(
        "server",
        [
            "other.example",
            "http://registry.example",
            "registry.example\r",
            "registry.example\nother.example",
            "registry.example@other.example",
            "",
        ],
    )
    def test_another_server_gets_nothing(self, given: Given, server: str) -> None:
        given.bench.connect_apart()
        assert given.ask("docker-credential", "get", server, "--host", "registry.example") == 1
        assert given.out == f"{NOT_FOUND}\n"

    def test_what_is_wrong_is_told(self, given: Given) -> None:
        options = ("--host", "registry.example")
        assert given.ask("docker-credential", "get", "registry.example", *options) == 6
        assert f"There is no account {ACCOUNT}" in given.err

    def test_list(self, given: Given) -> None:
        assert given.ask("docker-credential", "list", "", "--host", "a.example") == 0
        assert json.loads(given.out) == {"https://a.example": "oauth2"}

    @pytest.mark.parametrize("operation", ["store", "erase"])
    def test_nothing_is_kept(self, given: Given, operation: str) -> None:
        secret = '{"ServerURL": "a.example", "Username": "u", "Secret": "geheim"}'
        assert given.ask("docker-credential", operation, secret) == 1
        assert given.out.startswith("connector keeps no passwords")
        assert "geheim" not in given.out + given.err
