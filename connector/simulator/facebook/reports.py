"""Insights by report: POST starts a run, its node tells how it is, its insights are the rows."""

from collections.abc import Mapping

from connector.simulator.call import Call, Reply, json_response
from connector.simulator.facebook.ad_edges import AdEdges, read_fields
from connector.simulator.facebook.error import report_not_ready, unknown_object
from connector.simulator.facebook.insights import Insights
from connector.simulator.facebook.nodes import Node, Nodes
from connector.simulator.facebook.provider import Provider
from connector.simulator.facebook.report_runs import FAILURES, Progress, ReportRun
from connector.simulator.facebook.viewer import PersonViewer, identify_person

STATUS_FIELDS: Mapping[str, None] = dict.fromkeys(
    (
        "id",
        "account_id",
        "time_ref",
        "time_completed",
        "async_status",
        "async_percent_completion",
        "is_running",
        "date_start",
        "date_stop",
        "error_code",
        "error_subcode",
        "error_message",
    )
)


class Reports:
    """The edges of report runs, and those of nodes that may be one."""

    def __init__(
        self, provider: Provider, nodes: Nodes, insights: Insights, edges: AdEdges
    ) -> None:
        self._provider = provider
        self._nodes = nodes
        self._insights = insights
        self._edges = edges

    def start(self, call: Call) -> Reply:
        """A new run.

        Raises:
            GraphError: a dead token, a missing permission, or a parameter that makes no sense.
        """
        viewer = identify_person(call, self._provider)
        node = self._nodes.open(call.path["node"], viewer)
        viewer = viewer.of(node.account.id)
        query = self._insights.read(node, viewer)
        row_count = len(self._insights.rows(node, query))
        run = self._provider.reports.start(node.account, node.object, query, row_count)
        return Reply(response=json_response({"report_run_id": run.id}), subject=viewer.subject)

    def node(self, call: Call) -> Reply:
        """How a run is; or whatever else the node is.

        Raises:
            GraphError: a dead token, a missing permission, no such node, or no such field.
        """
        run = self._provider.reports.find(call.path["node"])
        if run is None:
            return self._edges.node(call)
        viewer = self._viewer(call, run)
        wanted = read_fields(viewer.viewer, STATUS_FIELDS, tuple(STATUS_FIELDS), "AdReportRun")
        progress = run.poll(self._provider.state.clock.now())
        if progress.is_completed:
            self._complete(run)
        status = _status(run, progress)
        body = {name: status[name] for name in wanted if name in status}
        return Reply(response=json_response(body), outcome=progress.status, subject=viewer.subject)

    def insights(self, call: Call) -> Reply:
        """A page of a run's rows; or of the insights of whatever else the node is.

        Raises:
            GraphError: as `node`, or the run is not completed, or the page makes no sense.
        """
        run = self._provider.reports.find(call.path["node"])
        if run is None:
            return self._insights.answer(call)
        viewer = self._viewer(call, run)
        if run.rows is None:
            raise report_not_ready(viewer.subject)
        return self._insights.reply(call, viewer, run.query, run.rows)

    def _viewer(self, call: Call, run: ReportRun) -> PersonViewer:
        viewer = identify_person(call, self._provider)
        if run.account.owner != viewer.person.name:
            raise unknown_object(run.id, viewer.subject)
        self._nodes.check(run.account, run.id, viewer)
        return viewer.of(run.account.id)

    def _complete(self, run: ReportRun) -> None:
        if run.completed_at is None:
            run.completed_at = self._provider.state.clock.now()
            run.rows = self._insights.rows(Node(account=run.account, object=run.object), run.query)


def _status(run: ReportRun, progress: Progress) -> dict[str, object]:
    ranges = run.query.ranges
    status: dict[str, object] = {
        "id": run.id,
        "account_id": run.account.account_id,
        "time_ref": int(run.created_at),
        "time_completed": int(run.completed_at or 0),
        "async_status": progress.status,
        "async_percent_completion": progress.percent,
        "is_running": progress.status in {"Job Started", "Job Running"},
        "date_start": min(since for since, _ in ranges).isoformat(),
        "date_stop": max(until for _, until in ranges).isoformat(),
    }
    if progress.status == "Job Failed":
        code, subcode, message = FAILURES[run.outcome]
        status |= {"error_code": code, "error_subcode": subcode, "error_message": message}
    return status
