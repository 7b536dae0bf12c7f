"""A collector that takes nothing but what the official definitions allow, and writes down what it took.

    collector.py PORT FILE [--reject N] [--certificate FILE --key FILE]

Each request becomes a line of JSON in FILE: `path`, `content_type`, `gzip`, `headers`, and `message`
(the request, decoded and written again by protobuf's own mapping), or `error`. With --reject it says
of each request that it did not take N of its points.
"""

import argparse
import base64
import gzip
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf import json_format, unknown_fields
from google.protobuf.descriptor import FieldDescriptor
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

PATHS = {
    "/v1/metrics": (metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse, "rejected_data_points"),
    "/v1/traces": (traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse, "rejected_spans"),
    "/v1/logs": (logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse, "rejected_log_records"),
}
LONG = {
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED64,
    FieldDescriptor.TYPE_SINT64,
}
IDS = {"traceId": 32, "spanId": 16, "parentSpanId": 16}


class Wrong(Exception):
    """What the definitions do not allow."""


def check_known(message):
    """Nothing is in it that its definition does not name."""
    if len(unknown_fields.UnknownFieldSet(message)):
        raise Wrong(f"unknown fields in {message.DESCRIPTOR.full_name}")
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for part in value if field.is_repeated else [value]:
                check_known(part)
        elif field.type == FieldDescriptor.TYPE_ENUM and value not in field.enum_type.values_by_number:
            raise Wrong(f"{value} is no {field.enum_type.full_name}")


def check_points(message):
    """What the definitions say in words."""
    for resource in getattr(message, "resource_metrics", []):
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.WhichOneof("data") is None or not metric.name:
                    raise Wrong("a metric without a name or data")
                data = getattr(metric, metric.WhichOneof("data"))
                seen = set()
                for point in data.data_points:
                    key = tuple(sorted((pair.key, pair.value.SerializeToString()) for pair in point.attributes))
                    if key in seen or len(dict(key)) != len(key):
                        raise Wrong(f"{metric.name}: the same attributes twice")
                    seen.add(key)
                    check_point(metric, point)
    for resource in getattr(message, "resource_spans", []):
        for scope in resource.scope_spans:
            for span in scope.spans:
                if len(span.trace_id) != 16 or len(span.span_id) != 8 or not span.name:
                    raise Wrong("a span without an id or a name")
                if len(span.parent_span_id) not in (0, 8) or span.end_time_unix_nano < span.start_time_unix_nano:
                    raise Wrong("a span with a wrong parent or end")


def check_point(metric, point):
    kind = metric.WhichOneof("data")
    if point.time_unix_nano == 0 or point.start_time_unix_nano > point.time_unix_nano:
        raise Wrong(f"{metric.name}: times")
    if kind in ("sum", "gauge") and point.WhichOneof("value") is None:
        raise Wrong(f"{metric.name}: no value")
    if kind == "histogram":
        counts, bounds = list(point.bucket_counts), list(point.explicit_bounds)
        if len(counts) != len(bounds) + 1 or sum(counts) != point.count or bounds != sorted(set(bounds)):
            raise Wrong(f"{metric.name}: buckets")
    if kind == "exponential_histogram" and sum(point.positive.bucket_counts) + point.zero_count != point.count:
        raise Wrong(f"{metric.name}: buckets")


def from_json(text, message):
    """The protocol's JSON is that of proto3, but for ids, which are hex."""

    def once(pairs):
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise Wrong("a key twice")
        return fields

    def no_constant(name):
        raise Wrong(f"{name} is no JSON")

    tree = json.loads(text, object_pairs_hook=once, parse_constant=no_constant)
    json_format.ParseDict(standard(tree, message.DESCRIPTOR), message, ignore_unknown_fields=False)


def standard(tree, descriptor):
    """The same as protobuf's own reader wants it. It is more lenient than the protocol about names and numbers."""
    fields = {field.json_name: field for field in descriptor.fields}
    made = {}
    for key, value in tree.items():
        field = fields.get(key)
        if field is None:
            raise Wrong(f"{descriptor.full_name} has no {key}")
        if key in IDS:
            if len(value) != IDS[key] or value != value.lower():
                raise Wrong(f"{key} is {value!r}")
            value = base64.b64encode(bytes.fromhex(value)).decode()
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            inner = field.message_type
            value = [standard(part, inner) for part in value] if field.is_repeated else standard(value, inner)
        else:
            wanted = str if field.type in LONG else int if field.type == FieldDescriptor.TYPE_ENUM else object
            for part in value if field.is_repeated else [value]:
                if not isinstance(part, wanted):
                    raise Wrong(f"{key} is {part!r}")
        made[key] = value
    return made


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        entry = {
            "path": self.path,
            "content_type": self.headers["Content-Type"],
            "gzip": self.headers["Content-Encoding"] == "gzip",
            "headers": {name.lower(): value for name, value in self.headers.items()},
        }
        try:
            entry["message"], answer = self.take(body, entry)
            status, kind = 200, entry["content_type"]
        except Exception as error:
            entry["error"] = f"{type(error).__name__}: {error}"
            status, kind, answer = 400, "text/plain", entry["error"].encode()
        # Before the answer: who has it may look.
        with self.server.lock, open(self.server.file, "a") as file:
            file.write(json.dumps(entry) + "\n")
        self.answer(status, kind, answer)

    def take(self, body, entry):
        request, response, rejected = PATHS[self.path]
        body = gzip.decompress(body) if entry["gzip"] else body
        message, answer = request(), response()
        is_json = entry["content_type"] == "application/json"
        if is_json:
            from_json(body.decode(), message)
        elif entry["content_type"] == "application/x-protobuf":
            message.ParseFromString(body)
        else:
            raise Wrong(entry["content_type"])
        check_known(message)
        check_points(message)
        if self.server.reject:
            setattr(answer.partial_success, rejected, self.server.reject)
            answer.partial_success.error_message = "too old"
        said = json_format.MessageToJson(answer).encode() if is_json else answer.SerializeToString()
        return json_format.MessageToDict(message), said

    def answer(self, status, content_type, body):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("file")
    parser.add_argument("--reject", type=int, default=0)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    options = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    server.file, server.reject, server.lock = options.file, options.reject, threading.Lock()
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
