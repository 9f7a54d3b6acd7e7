"""The four sync modes with PyAirbyte: each reads twice into its own database, the second time with more data.

Takes a JSON file: {"executable", "config", "ends"}. Writes the rows of every table after each read, and the number of
records that PyAirbyte processed, to modes.json in the working directory.
"""

import json
import sys

import airbyte as ab
from airbyte.caches import DuckDBCache
from sqlalchemy import text

with open(sys.argv[1]) as file:
    task = json.load(file)

modes = {
    "full_refresh_replace": {"write_strategy": "replace", "force_full_refresh": True},
    "full_refresh_append": {"write_strategy": "append", "force_full_refresh": True},
    "incremental_append": {"write_strategy": "append"},
    "incremental_merge": {"write_strategy": "merge"},
}


def rows(cache, stream):
    """The key and the value of every row, as text."""
    table = cache.processor.get_sql_table_name(stream)
    query = f'SELECT series_id, CAST(epoch_ms(time) AS BIGINT), CAST(value AS VARCHAR) FROM main."{table}"'
    with cache.processor.get_sql_connection() as connection:
        return [list(row) for row in connection.execute(text(query))]


def source(end_date):
    config = {**task["config"], "end_date": end_date}
    reader = ab.get_source("source-prometheus", config=config, local_executable=task["executable"])
    reader.select_all_streams()
    return reader


def sync(mode, reader, cache):
    """Reads once. Returns the number of records that the connector sent, and the rows of the tables afterwards."""
    result = reader.read(cache=cache, skip_validation=True, **modes[mode])
    tables = {stream: rows(cache, stream) for stream in reader.get_selected_streams()}
    return {"records": result.processed_records, "tables": tables}


# A source caches its discovered catalog: two sources are enough for all modes.
readers = [source(end) for end in task["ends"]]
report = {}
for mode in modes:
    cache = DuckDBCache(db_path=f"{mode}.duckdb")
    report[mode] = [sync(mode, reader, cache) for reader in readers]

with open("modes.json", "w") as file:
    json.dump(report, file)
