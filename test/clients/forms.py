"""Validates configurations against the schema of spec, as platforms in Python do: with formats."""

import json
import sys

from jsonschema import Draft7Validator, FormatChecker

given = json.load(open(sys.argv[1]))
Draft7Validator.check_schema(given["schema"])
validator = Draft7Validator(given["schema"], format_checker=FormatChecker())
print(
    json.dumps(
        {
            # FormatChecker knows formats: it would refuse these two if the schema had one.
            "checks_formats": not Draft7Validator(
                {"format": "date"}, format_checker=FormatChecker()
            ).is_valid("2026-01-01T00:00:00Z"),
            "problems": [
                [f"{list(error.absolute_path)}: {error.message}" for error in validator.iter_errors(config)]
                for config in given["configs"]
            ],
        }
    )
)
