"""The Graph-like provider's knobs, each from the members of a JSON request to a JSON answer."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Literal, cast, get_args

from connector.simulator.ad_objects import Status
from connector.simulator.ads_data import AdsData
from connector.simulator.control_values import ControlRequestError, Values, number, optional, text
from connector.simulator.facebook.call_log import CallSelection
from connector.simulator.facebook.provider import Provider
from connector.simulator.facebook.refusals import refusal_from_json
from connector.simulator.facebook.tokens import Death
from connector.simulator.facebook.truth import Truth

Knob = Callable[[Values], object]

# Endings that have a path of their own.
ENDINGS: Mapping[str, Death] = {
    "expire_tokens": "expired",
    "change_password": "password_changed",
    "log_out": "logged_out",
    "remove_app": "app_removed",
}


class FacebookDesk:
    """The knobs under /control/facebook and /control/ads."""

    def __init__(self, facebook: Provider, ads: AdsData) -> None:
        self._facebook = facebook
        self._ads = ads
        self._truth = Truth(ads)

    def reads(self) -> Mapping[str, Knob]:
        """What is read, by its path under /control."""
        return {
            "ads/rows": self.rows,
            "ads/truth": self.truth,
            "facebook/refusals": self.refusals,
            "facebook/calls": self.calls,
            "facebook/reports": self.reports,
        }

    def writes(self) -> Mapping[str, Knob]:
        """What is written, by its path under /control."""
        return {
            **{f"facebook/{name}": self._ending(death) for name, death in ENDINGS.items()},
            "facebook/grant": self.grant,
            "facebook/end_tokens": self.end_tokens,
            "facebook/signed_request": self.signed_request,
            "facebook/decline": self.decline,
            "facebook/expire_data_access": self.expire_data_access,
            "facebook/refuse": self.refuse,
            "facebook/lift": self.lift,
            "facebook/plan_reports": self.plan_reports,
            "ads/restate": self.restate,
            "ads/edit": self.edit,
        }

    def grant(self, values: Values) -> object:
        """A login without its pages; the token answer, secrets included."""
        kind = optional(values, "kind") or "long"
        permissions = values.get("permissions", ["ads_read"])
        if kind not in {"short", "long", "system"}:
            raise ControlRequestError("kind must be short, long or system")
        if not isinstance(permissions, list) or not all(isinstance(x, str) for x in permissions):
            raise ControlRequestError("permissions must be a list of strings")
        return self._facebook.grant(
            text(values, "person"),
            kind=cast("Literal['short', 'long', 'system']", kind),
            permissions=permissions,
            lifetime=None if values.get("lifetime") is None else number(values, "lifetime"),
        )

    def end_tokens(self, values: Values) -> object:
        """End a person's tokens in one of the ways there are."""
        death = text(values, "death")
        if death not in get_args(Death):
            message = f"death must be one of {', '.join(get_args(Death))}"
            raise ControlRequestError(message)
        after = int(number(values, "after", 0))
        count = self._facebook.end_tokens(text(values, "person"), cast("Death", death), after=after)
        return {"count": count}

    def _ending(self, death: Death) -> Knob:
        return lambda values: self.end_tokens({**values, "death": death})

    def signed_request(self, values: Values) -> object:
        """What is POSTed to an app's deauthorise callback."""
        return {"signed_request": self._facebook.signed_request(text(values, "person"))}

    def decline(self, values: Values) -> object:
        """Withdraw one permission."""
        self._facebook.decline(text(values, "person"), text(values, "permission"))
        return {}

    def expire_data_access(self, values: Values) -> object:
        """Let the 90 days be over."""
        self._facebook.expire_data_access(text(values, "person"))
        return {}

    def refusals(self, _values: Values) -> object:
        """The refusals in force, by number."""
        return {str(key): each for key, each in self._facebook.refusals.waiting().items()}

    def refuse(self, values: Values) -> object:
        """Refuse calls from now on."""
        return {"number": self._facebook.refusals.add(refusal_from_json(values))}

    def lift(self, values: Values) -> object:
        """End one refusal by its number, or all."""
        wanted = None if values.get("number") is None else int(number(values, "number"))
        return {"lifted": self._facebook.refusals.lift(wanted)}

    def calls(self, values: Values) -> object:
        """The selected calls, and how often each page was given."""
        selection = _selection(values)
        found = self._facebook.calls.calls(selection)
        pages = self._facebook.calls.pages(selection)
        return {
            "calls": [asdict(each) for each in found],
            "pages": [[*page, count] for page, count in pages.items()],
            "last_number": self._facebook.calls.last_number,
        }

    def reports(self, _values: Values) -> object:
        """The report runs, and how far each is."""
        return {"reports": self._facebook.reports.summary()}

    def plan_reports(self, values: Values) -> object:
        """Say how the next report runs go."""
        outcomes = values.get("outcomes")
        if not isinstance(outcomes, list) or not all(isinstance(each, str) for each in outcomes):
            raise ControlRequestError("outcomes must be a list of strings")
        self._facebook.reports.plan(*outcomes)
        return {}

    def restate(self, values: Values) -> object:
        """Change the figures of a range of days."""
        self._ads.restate(text(values, "ad_account"), text(values, "since"), text(values, "until"))
        return {}

    def truth(self, values: Values) -> object:
        """Every row that a complete and correct pull has to have now."""
        rows = self._truth.rows(
            text(values, "ad_account"),
            text(values, "since"),
            text(values, "until"),
            level=optional(values, "level") or "ad",
            increment=optional(values, "increment") or "1",
        )
        return {"rows": rows, "count": len(rows)}

    def edit(self, values: Values) -> object:
        """Give a campaign, ad set or ad another status."""
        status = text(values, "status")
        if status not in get_args(Status):
            message = f"status must be one of {', '.join(get_args(Status))}"
            raise ControlRequestError(message)
        edited = self._ads.edit(text(values, "id"), cast("Status", status))
        return {"updated_time": edited.updated_time}

    def rows(self, values: Values) -> object:
        """What a complete pull of a range of days has to bring."""
        form = optional(values, "form") or "api"
        if form not in {"api", "graph"}:
            raise ControlRequestError("form must be api or graph")
        rows = self._ads.expected_rows(
            text(values, "ad_account"),
            text(values, "since"),
            text(values, "until"),
            "graph" if form == "graph" else "api",
        )
        return {"rows": rows}


def _selection(values: Values) -> CallSelection:
    known = {field.name for field in fields(CallSelection)}
    unknown = sorted(set(values) - known)
    if unknown:
        message = f"calls are not selected by {', '.join(unknown)}"
        raise ControlRequestError(message)

    def whole(name: str) -> int | None:
        return None if values.get(name) is None else int(number(values, name))

    return CallSelection(
        edge=optional(values, "edge"),
        path=optional(values, "path"),
        person=optional(values, "person"),
        ad_account=optional(values, "ad_account"),
        status=whole("status"),
        code=whole("code"),
        since_number=whole("since_number") or 0,
    )
