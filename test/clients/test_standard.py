"""The CDK's standard tests ("FAST") against the built connector.

They support connectors in Python, which they run in-process, and images, which they run with Docker. Here their runner
starts an executable instead, and checks that the process behaves as a platform expects.

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
    """Represents the connector where the suite needs an object with a spec."""

    def spec(self, logger):
        raise NotImplementedError("The executable is run instead.")


def run_executable(source, args, expecting_exception=None, *, expected_outcome=None):
    """Replaces the function that runs a Python connector with command-line arguments."""
    process = subprocess.run([EXECUTABLE, *args], capture_output=True, encoding="utf-8", timeout=120)
    assert process.stderr == "", "Something was printed beside the messages."
    # Only a line feed ends a message; splitlines() would also split at U+2028, which a label may contain.
    *lines, rest = process.stdout.split("\n")
    output = entrypoint_wrapper.EntrypointOutput(messages=lines, command=[EXECUTABLE, *args])
    assert rest == "" and all(line.startswith('{"type":"') for line in lines)
    # The parser treats lines that it does not understand as logs.
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
