"""The parameters of a Graph call, wherever they stand in it."""

from connector.simulator.call import Call
from connector.simulator.facebook.error import bad_parameter
from connector.simulator.parameters import MalformedParametersError, Parameters


def read_parameters(call: Call) -> Parameters:
    """The parameters of a Graph call: of its query, and of the body of a POST.

    Raises:
        GraphError: they cannot be read, or one is repeated.
    """
    try:
        parameters = call.query()
        if call.method == "POST":
            parameters = Parameters((*parameters, *call.form()))
    except MalformedParametersError as error:
        raise bad_parameter(str(error)) from None
    if parameters.repeated():
        raise bad_parameter("A parameter is repeated")
    return parameters
