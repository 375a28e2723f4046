"""The Graph-like provider's knobs, worked from another process; a part of control.Control."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Literal, cast

from connector.simulator.control_link import ControlLink
from connector.simulator.facebook.call_log import ALL_CALLS, CallSelection, GraphCall, Page
from connector.simulator.facebook.ending import Ending
from connector.simulator.facebook.refusals import Refusal
from connector.simulator.facebook.tokens import Death


class FacebookControl(ControlLink, Ending):
    """What simulator.facebook and simulator.ads offer, over HTTP."""

    def facebook_grant(
        self,
        person: str,
        *,
        kind: Literal["short", "long", "system"] = "long",
        permissions: Sequence[str] = ("ads_read",),
        lifetime: float | None = None,
    ) -> dict[str, object]:
        """A login without its pages, or a token for a system user; the token answer."""
        values = {
            "person": person,
            "kind": kind,
            "permissions": list(permissions),
            "lifetime": lifetime,
        }
        return dict(self.post("facebook/grant", values))

    def end_tokens(self, person: str, death: Death, *, after: int = 0) -> int:
        """End a person's tokens; see `Ending`."""
        values = {"person": person, "death": death, "after": after}
        return self.turn("facebook/end_tokens", values)

    def signed_request(self, person: str) -> str:
        """What the real provider POSTs to an app's deauthorise callback for a person."""
        return str(self.post("facebook/signed_request", {"person": person})["signed_request"])

    def decline(self, person: str, permission: str) -> None:
        """Withdraw one permission."""
        self.post("facebook/decline", {"person": person, "permission": permission})

    def expire_data_access(self, person: str) -> None:
        """Let the 90 days of data access be over."""
        self.post("facebook/expire_data_access", {"person": person})

    def refuse(self, refusal: Refusal) -> int:
        """Refuse calls from now on; returns the refusal's number."""
        return cast("int", self.post("facebook/refuse", asdict(refusal))["number"])

    def lift(self, number: int | None = None) -> int:
        """End one refusal, or all; returns how many went."""
        return cast("int", self.post("facebook/lift", {"number": number})["lifted"])

    def refusals(self) -> dict[int, dict[str, object]]:
        """The refusals in force, by number."""
        answer = self.get("facebook/refusals")
        return {int(key): cast("dict[str, object]", each) for key, each in answer.items()}

    def graph_calls(self, selection: CallSelection = ALL_CALLS) -> tuple[GraphCall, ...]:
        """The selected Graph calls, oldest first."""
        found = cast("list[dict[str, object]]", self._calls(selection)["calls"])
        # written by CallLog from a GraphCall, member by member
        return tuple(GraphCall(**each) for each in found)  # type: ignore[arg-type]

    def graph_pages(self, selection: CallSelection = ALL_CALLS) -> Counter[Page]:
        """How often each page was given, by path, cursor and days."""
        rows = cast("list[list[object]]", self._calls(selection)["pages"])
        return Counter({cast("Page", tuple(row[:4])): cast("int", row[4]) for row in rows})

    def _calls(self, selection: CallSelection) -> Mapping[str, object]:
        values = {
            name: None if each is None else str(each) for name, each in asdict(selection).items()
        }
        return self.get("facebook/calls", values)

    def plan_reports(self, *outcomes: str) -> None:
        """Say how the next report runs go, one after another."""
        self.post("facebook/plan_reports", {"outcomes": list(outcomes)})

    def reports(self) -> list[dict[str, object]]:
        """The report runs, and how far each is."""
        return cast("list[dict[str, object]]", self.get("facebook/reports")["reports"])

    def restate(self, ad_account: str, since: date | str, until: date | str) -> None:
        """Change the figures of a range of days (both ends included)."""
        values = {"ad_account": ad_account, "since": str(since), "until": str(until)}
        self.post("ads/restate", values)

    def edit(self, identity: str, status: Literal["ACTIVE", "PAUSED", "ARCHIVED"]) -> None:
        """Give a campaign, ad set or ad another status; its updated_time becomes now."""
        self.post("ads/edit", {"id": identity, "status": status})

    def expected_rows(
        self,
        ad_account: str,
        since: date | str,
        until: date | str,
        form: Literal["api", "graph"] = "api",
    ) -> list[dict[str, object]]:
        """What a complete pull of a range of days (both ends included) has to bring."""
        query = {"ad_account": ad_account, "since": str(since), "until": str(until), "form": form}
        return cast("list[dict[str, object]]", self.get("ads/rows", query)["rows"])

    def truth(
        self,
        ad_account: str,
        since: date | str,
        until: date | str,
        *,
        level: str = "ad",
        increment: str | int = 1,
    ) -> list[dict[str, object]]:
        """Every row that a complete and correct pull has to have now; as Truth.rows."""
        query = {"ad_account": ad_account, "since": str(since), "until": str(until)}
        query |= {"level": level, "increment": str(increment)}
        return cast("list[dict[str, object]]", self.get("ads/truth", query)["rows"])
