"""Reads a stream's Parquet files in a bucket as a data set, and prints the number and sums of its values as JSON."""
import json
import sys

import pyarrow.compute as compute
import pyarrow.dataset as dataset
from pyarrow.fs import S3FileSystem

endpoint, region, access_key, secret_key, path = sys.argv[1:]
store = S3FileSystem(
    endpoint_override=endpoint, region=region, scheme="http", access_key=access_key, secret_key=secret_key
)
table = dataset.dataset(path, filesystem=store, format="parquet", partitioning="hive").to_table()
buckets = compute.list_flatten(compute.struct_field(table["histogram"], "buckets"))
sums = {
    "sum": compute.sum(table["value"]).as_py(),
    "upper": compute.sum(compute.struct_field(buckets, "upper")).as_py(),
}
print(json.dumps({"rows": table.num_rows, **sums}))
