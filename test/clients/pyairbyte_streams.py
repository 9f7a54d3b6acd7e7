"""Queries, groups and tables with PyAirbyte: two reads into one database, the second with more data.

Takes a JSON file: {"executable", "config", "ends"}. Writes the rows of every table after each read, and the number of
records that PyAirbyte processed, to streams.json in the working directory.
"""

import json
import sys

import airbyte as ab
from airbyte.caches import DuckDBCache
from sqlalchemy import text

with open(sys.argv[1]) as file:
    task = json.load(file)

cache = DuckDBCache(db_path="streams.duckdb")


def rows(stream):
    """Every row: a JSON object of its columns, numbers and times as text."""
    table = cache.processor.get_sql_table_name(stream)
    query = f'SELECT to_json(t) FROM (SELECT * REPLACE (CAST(epoch_ms(time) AS VARCHAR) AS time) FROM main."{table}") t'
    with cache.processor.get_sql_connection() as connection:
        return [row for (row,) in connection.execute(text(query))]


report = []
for end in task["ends"]:
    reader = ab.get_source(
        "source-prometheus", config={**task["config"], "end_date": end}, local_executable=task["executable"]
    )
    reader.check()
    reader.select_all_streams()
    result = reader.read(cache=cache)
    tables = {stream: rows(stream) for stream in reader.get_selected_streams()}
    report.append({"records": result.processed_records, "tables": tables})

with open("streams.json", "w") as file:
    json.dump(report, file)
