"""The pieces that the OpenAPI document is made of."""

from typing import Final

Json = dict[str, object]

TIME: Final[Json] = {"type": ["string", "null"], "format": "date-time"}
TEXT: Final[Json] = {"type": "string"}
TEXT_OR_NULL: Final[Json] = {"type": ["string", "null"]}
NUMBER: Final[Json] = {"type": "integer"}
NUMBER_OR_NULL: Final[Json] = {"type": ["integer", "null"]}
TRUTH: Final[Json] = {"type": "boolean"}
PROBLEM: Final[Json] = {
    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
}


def operation(
    summary: str, answers: dict[str, tuple[str, Json]], problems: tuple[int, ...] = (403,)
) -> Json:
    """Describe an operation.

    Args:
        summary: what it does.
        answers: description and content by status.
        problems: statuses of problem documents.
    """
    responses: Json = {
        status: {"description": description, "content": content}
        for status, (description, content) in answers.items()
    }
    # what needs a key may be asked for too often
    for status in sorted({*problems, 429} if 401 in problems else problems):
        responses[str(status)] = {"description": "RFC 9457", "content": PROBLEM}
    return {"summary": summary, "responses": responses}


def object_of(**properties: object) -> Json:
    """Give an object all of whose members are always there."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def list_of(name: str) -> Json:
    """Give a list of objects of a schema."""
    return {"type": "array", "items": ref(name)}


def ref(name: str) -> Json:
    """Refer to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def json_of(schema: Json) -> Json:
    """Give a JSON body."""
    return {"application/json": {"schema": schema}}


def path_parameter(name: str, description: str) -> Json:
    """Describe a part of the path."""
    return {
        "name": name, "in": "path", "required": True, "schema": TEXT, "description": description
    }  # fmt: skip


def header(name: str, description: str) -> Json:
    """Describe a header of a request."""
    return {"name": name, "in": "header", "schema": TEXT, "description": description}


def limit_of(default: int, most: int) -> Json:
    """Give a number of entries."""
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


def query(name: str, schema: Json, description: str) -> Json:
    """Describe a parameter of the query."""
    return {"name": name, "in": "query", "schema": schema, "description": description}
