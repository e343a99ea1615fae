"""Reads requests of OTLP from files, by OpenTelemetry's own description of them, and prints them as JSON.

Arguments: the files, each the body of one request.
"""

import json
import sys

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

requests = []
for path in sys.argv[1:]:
    with open(path, "rb") as body:
        requests.append(MessageToDict(ExportTraceServiceRequest.FromString(body.read())))
print(json.dumps(requests))
