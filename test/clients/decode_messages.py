"""Decodes the lines of a file with both of Airbyte's protocol models, and reports what they do not recognize.

Prints {"types": {type: number of lines}, "problems": [...]} as JSON.
"""

import json
import sys
from collections import Counter

from airbyte_cdk.models import AirbyteMessageSerializer
from airbyte_protocol.models import AirbyteMessage, AirbyteStateBlob
from pydantic import BaseModel, ValidationError
from serpyco_rs import SchemaValidationError

PAYLOADS = {
    "RECORD": "record",
    "STATE": "state",
    "LOG": "log",
    "SPEC": "spec",
    "CONNECTION_STATUS": "connectionStatus",
    "CATALOG": "catalog",
    "TRACE": "trace",
}


def unknown_fields(value, path=""):
    """The paths of fields that the protocol does not define; a stream's state may have any."""
    if isinstance(value, BaseModel):
        if not isinstance(value, AirbyteStateBlob):
            yield from (f"{path}.{name}" for name in value.model_extra or {})
        for name in type(value).model_fields:
            yield from unknown_fields(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknown_fields(item, f"{path}[{index}]")


def problems_of(line):
    message = AirbyteMessage.model_validate_json(line, strict=True)
    yield from (f"has the unknown field {path}" for path in unknown_fields(message))
    given = {key for key in json.loads(line) if key != "type"}
    if given != {PAYLOADS[message.type.value]}:
        yield f"is a {message.type.value} with {sorted(given)}"
    again = AirbyteMessageSerializer.dump(AirbyteMessageSerializer.load(json.loads(line)))
    yield from (f"loses {path} in the CDK" for path in lost_fields(json.loads(line), again))


def lost_fields(given, again, path=""):
    """The paths of fields that the CDK has not preserved; it may omit nulls and add defaults."""
    if isinstance(given, dict) and isinstance(again, dict):
        for name, value in given.items():
            if value is not None:
                yield from lost_fields(value, again.get(name), f"{path}.{name}")
    elif given != again:
        yield path


types = Counter()
problems = []
with open(sys.argv[1], encoding="utf-8", newline="\n") as file:
    for line in file:
        try:
            types[json.loads(line)["type"]] += 1
            problems += [f"{problem}: {line.strip()[:500]}" for problem in problems_of(line)]
        except (ValidationError, SchemaValidationError, ValueError, KeyError) as error:
            problems.append(f"{error!r}: {line.strip()[:500]}")
print(json.dumps({"types": types, "problems": problems[:20]}))
