"""The Graph user: /me, its permissions and their withdrawal, and its ad accounts."""

from connector.simulator.call import Call, Reply, Subject, json_response
from connector.simulator.facebook.ad_edges import AdEdges
from connector.simulator.facebook.error import bad_parameter, not_allowed, unknown_object
from connector.simulator.facebook.provider import PUBLIC_PROFILE, Provider
from connector.simulator.facebook.viewer import (
    Viewer,
    identify,
    identify_person,
    may_read_ads,
)
from connector.simulator.people import Profile, person_by_id


class User:
    """The edges of a user node."""

    def __init__(self, provider: Provider, edges: AdEdges) -> None:
        self._provider = provider
        self._edges = edges

    def me(self, call: Call) -> Reply:
        """The person behind the token.

        Raises:
            GraphError: no person is, or a field does not exist.
        """
        viewer = identify_person(call, self._provider)
        known: dict[str, object] = {"id": viewer.person.id, "name": viewer.person.full_name}
        if viewer.connection.has("email"):
            known["email"] = viewer.person.email
        wanted = _fields(viewer.viewer, ("name", "id"))
        for name in wanted:
            if name not in {"id", "name", "email"}:
                raise bad_parameter(
                    "Tried accessing nonexisting field on node type (User)", viewer.subject
                )
        # the id always comes, a field without its permission never does
        body = {name: known[name] for name in dict.fromkeys((*wanted, "id")) if name in known}
        return Reply(response=json_response(body), subject=viewer.subject)

    def permissions(self, call: Call) -> Reply:
        """What the person granted and declined.

        Raises:
            GraphError: no person is behind the token, or another's permissions are asked for.
        """
        viewer = identify_person(call, self._provider)
        self._person(call, viewer.viewer)
        statuses = {**viewer.connection.permissions, PUBLIC_PROFILE: "granted"}
        data = [{"permission": name, "status": status} for name, status in statuses.items()]
        return Reply(response=json_response({"data": data}), subject=viewer.subject)

    def withdraw(self, call: Call) -> Reply:
        """Withdraw one permission, or without a name the whole connection with the app.

        Raises:
            GraphError: no such user for this token, or no such permission.
        """
        viewer = identify(call, self._provider)
        person = self._person(call, viewer)
        subject = Subject(person=person.name, family=viewer.token.family)
        name = call.path.get("permission")
        if name is None:
            self._provider.remove_app(person.name)
        else:
            permissions = self._provider.connection(person).permissions
            if name not in permissions:
                raise bad_parameter("The permission was never asked for", subject)
            permissions[name] = "declined"
        return Reply(
            response=json_response({"success": True}), outcome="withdrawn", subject=subject
        )

    def ad_accounts(self, call: Call) -> Reply:
        """The person's ad accounts.

        Raises:
            GraphError: no permission for ads, or a field does not exist.
        """
        viewer = identify_person(call, self._provider)
        if not may_read_ads(viewer, self._provider.state.clock.now()):
            raise not_allowed(viewer.subject)
        return self._edges.accounts(call, viewer)

    def _person(self, call: Call, viewer: Viewer) -> Profile:
        # a person's token is for that person alone, the app's for all who connected it
        node = call.path["user"]
        person = viewer.token.person if node == "me" else person_by_id(node)
        if person is None or viewer.token.person not in (None, person):
            raise unknown_object(node, viewer.subject)
        return person


def _fields(viewer: Viewer, default: tuple[str, ...]) -> tuple[str, ...]:
    text = viewer.parameters.get("fields")
    if text is None:
        return default
    return tuple(part for part in (part.strip() for part in text.split(",")) if part)
