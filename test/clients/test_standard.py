"""The CDK's standard tests ("FAST") against the built connector.

They know connectors in Python, which they run in their own process, and images, which they run with Docker. Here
their runner starts an executable instead, and holds it to what a platform expects of a process.

SOURCE_PROMETHEUS is the executable, CONNECTOR_ROOT a folder with acceptance-test-config.yml and its configurations.
"""

import os
import subprocess
from pathlib import Path

import pytest
from airbyte_cdk.models import Type
from airbyte_cdk.test import entrypoint_wrapper
from airbyte_cdk.test.standard_tests import SourceTestSuiteBase

EXECUTABLE = os.environ["SOURCE_PROMETHEUS"]
ROOT = Path(os.environ["CONNECTOR_ROOT"])


class Executable:
    """Stands for the connector where the suite wants an object that has a spec."""

    def spec(self, logger):
        raise NotImplementedError("The executable is run instead.")


def run_executable(source, args, expecting_exception=None, *, expected_outcome=None):
    """Takes the place of the function that runs a connector in Python with command line arguments."""
    process = subprocess.run([EXECUTABLE, *args], capture_output=True, encoding="utf-8", timeout=120)
    assert process.stderr == "", "Something was printed beside the messages."
    # Only a line feed ends a message; splitlines() would also split at U+2028, which a label may contain.
    *lines, rest = process.stdout.split("\n")
    output = entrypoint_wrapper.EntrypointOutput(messages=lines, command=[EXECUTABLE, *args])
    assert rest == "" and all(line.startswith('{"type":"') for line in lines)
    # The parser takes what it does not understand for a log.
    logs = [line for line in lines if line.startswith('{"type":"LOG"')]
    assert len(output.get_message_by_types([Type.LOG])) == len(logs)
    assert process.returncode == (1 if output.errors else 0)
    return output


@pytest.fixture(autouse=True)
def runs_the_executable(monkeypatch):
    monkeypatch.setattr(entrypoint_wrapper, "_run_command", run_executable)


class TestSourcePrometheus(SourceTestSuiteBase):
    connector = Executable

    @classmethod
    def get_connector_root_dir(cls):
        return ROOT
