"""Prints the signature that botocore computes for each request of a JSON file, one per line."""

import json
import sys

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

with open(sys.argv[1], encoding="utf-8") as file:
    cases = json.load(file)

for case in cases:
    keys = Credentials(case["accessKeyId"], case["secretAccessKey"], case.get("sessionToken"))
    auth = SigV4Auth(keys, case["service"], case["region"])
    request = AWSRequest(case["method"], case["url"], case["headers"], case["body"])
    request.context["timestamp"] = case["headers"]["x-amz-date"]
    print(auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request))
