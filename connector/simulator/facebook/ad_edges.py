"""The ad account, what is in it, and its edges: campaigns, adsets, ads.

Fields are given as they are asked for, and the id always; times are in the ad account's zone.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar, cast

from connector.simulator.ad_accounts import AdAccount
from connector.simulator.ad_objects import DEPTHS, AdObject, Kind
from connector.simulator.ads_data import AdsData
from connector.simulator.call import Act, Call, Reply, json_response
from connector.simulator.facebook.error import bad_parameter, unknown_path
from connector.simulator.facebook.filtering import chosen, read_filters, read_json
from connector.simulator.facebook.nodes import Nodes
from connector.simulator.facebook.paging import Pager
from connector.simulator.facebook.provider import Provider
from connector.simulator.facebook.viewer import PersonViewer, Viewer, identify_person
from connector.simulator.parameters import Parameters

# account_status: 1 is active.
ACTIVE = 1

AD_ACCOUNT_FIELDS: Mapping[str, Callable[[AdAccount], object]] = {
    "id": lambda account: account.id,
    "account_id": lambda account: account.account_id,
    "name": lambda account: account.name,
    "currency": lambda account: account.currency,
    "timezone_name": lambda account: account.timezone_name,
    "timezone_offset_hours_utc": lambda account: account.timezone_offset_hours,
    "account_status": lambda _: ACTIVE,
}

_T = TypeVar("_T")

ObjectFields = Mapping[str, Callable[[AdObject], object]]

_COMMON: ObjectFields = {
    "id": lambda each: each.id,
    "name": lambda each: each.name,
    "account_id": lambda each: each.account.account_id,
    "status": lambda each: each.status,
    "configured_status": lambda each: each.status,
    "effective_status": lambda each: each.status,
    "created_time": lambda each: _moment(each, each.created_time),
    "updated_time": lambda each: _moment(each, each.updated_time),
}
_PARENT: ObjectFields = {"campaign_id": lambda each: each.parent_id("campaign")}

OBJECT_FIELDS: Mapping[Kind, ObjectFields] = {
    "campaign": {
        **_COMMON,
        "objective": lambda _: "OUTCOME_SALES",
        "buying_type": lambda _: "AUCTION",
        "daily_budget": lambda each: str(1000 * each.numbers[0]),
    },
    "adset": {
        **_COMMON,
        **_PARENT,
        "billing_event": lambda _: "IMPRESSIONS",
        "optimization_goal": lambda _: "OFFSITE_CONVERSIONS",
    },
    "ad": {**_COMMON, **_PARENT, "adset_id": lambda each: each.parent_id("adset")},
}

# What is listed on which edge of an object in an ad account.
EDGES: Mapping[str, Kind] = {"campaigns": "campaign", "adsets": "adset", "ads": "ad"}


class AdEdges:
    """The nodes under an ad account and the lists of them."""

    def __init__(self, provider: Provider, ads: AdsData, nodes: Nodes) -> None:
        self._provider = provider
        self._ads = ads
        self._nodes = nodes
        self._pager = Pager(provider)

    def accounts(self, call: Call, viewer: PersonViewer) -> Reply:
        """A page of the person's ad accounts.

        Raises:
            GraphError: a field that does not exist, or a page that makes no sense.
        """
        wanted = read_fields(viewer.viewer, AD_ACCOUNT_FIELDS, ("account_id",), "AdAccount")
        accounts = self._ads.accounts_of(viewer.person.name)
        body = self._pager.page(
            call, viewer.viewer, accounts, lambda each: _shown(each, wanted, AD_ACCOUNT_FIELDS)
        )
        return Reply(response=json_response(body), subject=viewer.subject)

    def node(self, call: Call) -> Reply:
        """An ad account, or an object in one.

        Raises:
            GraphError: a dead token, a missing permission, no such node, or no such field.
        """
        viewer = identify_person(call, self._provider)
        node = self._nodes.open(call.path["node"], viewer)
        viewer = viewer.of(node.account.id)
        body = (
            _node(viewer.viewer, node.account, AD_ACCOUNT_FIELDS, "AdAccount")
            if node.object is None
            else _node(
                viewer.viewer, node.object, OBJECT_FIELDS[node.object.kind], node.object.kind
            )
        )
        return Reply(response=json_response(body), subject=viewer.subject)

    def edge(self, name: str) -> Act:
        """The list of campaigns, adsets or ads."""

        def answer(call: Call) -> Reply:
            return self._list(call, EDGES[name])

        return answer

    def _list(self, call: Call, kind: Kind) -> Reply:
        viewer = identify_person(call, self._provider)
        node = self._nodes.open(call.path["node"], viewer)
        viewer = viewer.of(node.account.id)
        if node.object is not None and len(node.object.numbers) >= DEPTHS[kind]:
            raise unknown_path(call.target.removeprefix("/graph/"))
        fields = OBJECT_FIELDS[kind]
        wanted = read_fields(viewer.viewer, fields, ("id",), kind)
        things = self._ads.objects(node.account, kind, node.object)
        things = _selected(things, viewer.viewer.parameters, viewer, fields)
        body = self._pager.page(
            call, viewer.viewer, things, lambda each: _shown(each, wanted, fields)
        )
        return Reply(response=json_response(body), subject=viewer.subject)


def read_fields(
    viewer: Viewer, known: Mapping[str, object], default: tuple[str, ...], node_type: str
) -> tuple[str, ...]:
    """The fields that a call asks for, and `id`.

    Raises:
        GraphError: code 100: one does not exist.
    """
    text = viewer.parameters.get("fields")
    names = default if text is None else tuple(part.strip() for part in text.split(","))
    for name in names:
        if name and name not in known:
            message = f"Tried accessing nonexisting field ({name}) on node type ({node_type})"
            raise bad_parameter(message, viewer.subject)
    return tuple(dict.fromkeys((*filter(None, names), "id")))


def _selected(
    things: list[AdObject], parameters: Parameters, viewer: PersonViewer, fields: ObjectFields
) -> list[AdObject]:
    filters = read_filters(parameters, fields, viewer.subject)
    statuses = parameters.get("effective_status")
    if statuses is not None:
        wanted = read_json(statuses, "effective_status", viewer.subject)
        if not isinstance(wanted, list):
            raise bad_parameter("Param effective_status must be a list", viewer.subject)
        things = [each for each in things if each.status in wanted]
    since = parameters.get("updated_since")
    if since is not None:
        if not since.isdecimal():
            raise bad_parameter("Param updated_since must be a time in seconds", viewer.subject)
        things = [each for each in things if each.updated_time > int(since)]
    return chosen(things, filters, None, _comparable)


def _comparable(each: AdObject, field: str) -> object:
    # times are compared as seconds, the form that the parameter has
    if field in {"created_time", "updated_time"}:
        return cast("float", getattr(each, field))
    return OBJECT_FIELDS[each.kind][field](each)


def _node(
    viewer: Viewer, thing: _T, fields: Mapping[str, Callable[[_T], object]], node_type: str
) -> dict[str, object]:
    wanted = read_fields(viewer, fields, ("id",), node_type)
    return _shown(thing, wanted, fields)


def _shown(
    thing: _T, wanted: tuple[str, ...], fields: Mapping[str, Callable[[_T], object]]
) -> dict[str, object]:
    return {name: fields[name](thing) for name in wanted}


def _moment(each: AdObject, seconds: float) -> str:
    hours = each.account.timezone_offset_hours
    local = datetime.fromtimestamp(seconds, UTC) + timedelta(hours=hours)
    return f"{local:%Y-%m-%dT%H:%M:%S}{'-' if hours < 0 else '+'}{abs(hours):02}00"
