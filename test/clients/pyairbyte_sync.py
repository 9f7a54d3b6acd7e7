"""A user's session with PyAirbyte: check, discover, several syncs, an early stop, and mistakes.

Takes a JSON file: {"executable", "config", "ends", "wrong_password"}. Writes the outcomes to report.json, and the rows
of every table after each sync to rows-<n>.jsonl, in the working directory.
"""

import json
import sys
import time

import airbyte as ab
from airbyte.caches import DuckDBCache
from sqlalchemy import text

with open(sys.argv[1]) as file:
    task = json.load(file)
database = "cache.duckdb"
report = {"syncs": []}


def source(**changes):
    config = {**task["config"], **changes}
    return ab.get_source("source-prometheus", config=config, local_executable=task["executable"])


def timed(run):
    """The outcome of a call: what it returned or raised, and its duration."""
    started = time.monotonic()
    try:
        outcome = {"returned": run()}
    except Exception as error:
        outcome = {"raised": f"{type(error).__name__}: {error}"}
    return {**outcome, "seconds": time.monotonic() - started}


def sync(end_date):
    """Reads all streams into the database, incrementally after the first sync."""
    reader = source(end_date=end_date)
    reader.select_all_streams()
    cache = DuckDBCache(db_path=database)
    result = reader.read(cache=cache)
    tables = {stream: cache.processor.get_sql_table_name(stream) for stream in reader.get_selected_streams()}
    schemas = {stream: reader.get_stream_json_schema(stream) for stream in tables}
    report["syncs"].append({"records": result.processed_records, "tables": tables})
    dump(f"rows-{len(report['syncs'])}.jsonl", cache, tables, schemas)


def dump(path, cache, tables, schemas):
    """Writes all rows as {"stream", "data", "valueText"}: columns named as in the catalog, without nulls."""
    with cache.processor.get_sql_connection() as connection, open(path, "w") as file:
        for stream, table in tables.items():
            names = {name.lower(): name for name in schemas[stream]["properties"]}
            rows = connection.execute(text(f'SELECT * REPLACE (CAST(value AS VARCHAR) AS value) FROM main."{table}"'))
            for row in rows.mappings():
                data = {names[column]: cell for column, cell in row.items() if column in names and cell is not None}
                data["time"] = data["time"].isoformat() + "Z"
                line = {"stream": stream, "data": data, "valueText": data.get("value", "null"), "emittedAt": 0}
                print(json.dumps(line), file=file)


def first_records(stream, count):
    """Takes a few records and stops the connector, which still has many to send."""
    reader = source(end_date=task["ends"][-1], step=1)
    records = reader.get_records(stream, limit=count)
    return len(list(records))


report["check"] = timed(lambda: source().check())
report["streams"] = source().get_available_streams()
for end in task["ends"]:
    sync(end)
report["stopped"] = timed(lambda: first_records("requests_total", 5))
wrong = {"basic_auth_pass": task["wrong_password"]}
report["wrong_password"] = timed(lambda: source(**wrong).check())
report["wrong_date"] = timed(lambda: source(start_date="yesterday").check())


def read_with_wrong_password():
    """The password was correct when the streams were selected."""
    reader = source()
    reader.select_all_streams()
    reader.set_config({**task["config"], **wrong}, validate=False)
    return reader.read(cache=DuckDBCache(db_path=database)).processed_records


report["failed_read"] = timed(read_with_wrong_password)

with open("report.json", "w") as file:
    json.dump(report, file)
