"""Reads a stream's folder of Parquet files as a data set, and prints its columns and its rows as JSON."""
import json
import sys

import pyarrow.dataset as dataset

table = dataset.dataset(sys.argv[1], format="parquet", partitioning="hive").to_table().sort_by("time")
columns = {field.name: str(field.type) for field in table.schema}
print(json.dumps({"columns": columns, "rows": table.to_pylist()}, default=lambda time: time.isoformat()))
