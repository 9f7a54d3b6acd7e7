"""Reads a stream's folder of Parquet files as a data set, and prints its columns and its rows as JSON."""
import json
import math
import sys

import pyarrow.dataset as dataset

table = dataset.dataset(sys.argv[1], format="parquet", partitioning="hive").to_table().sort_by("time")


def finite(value):
    """JSON has no infinite numbers."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [finite(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


columns = {field.name: str(field.type) for field in table.schema}
print(json.dumps({"columns": columns, "rows": finite(table.to_pylist())}, default=lambda time: time.isoformat()))
