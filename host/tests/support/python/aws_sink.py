"""Runs a server on loopback that accepts only requests signed by AWS Signature Version 4: aws_sink.py PORT ACCESS_KEY SECRET_KEY.

It computes each signature again with botocore. The response says which service, token and body it saw.
"""

import datetime
import hashlib
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

MAX_AGE = datetime.timedelta(minutes=15)
ALGORITHM = "AWS4-HMAC-SHA256 "


class Refused(Exception):
    pass


def check(condition, reason):
    if not condition:
        raise Refused(reason)


def verified(method, target, headers, body):
    """Returns the service and the token of a request that is signed, or raises."""
    authorization = headers.get("authorization", "")
    check(authorization.startswith(ALGORITHM), "it is not signed")
    fields = dict(field.split("=", 1) for field in authorization[len(ALGORITHM) :].split(", "))
    key, date, region, service, end = fields["Credential"].split("/")
    check((key, end) == (sys.argv[2], "aws4_request"), "its key is unknown")

    signed = fields["SignedHeaders"].split(";")
    required = {"host", *(name for name in headers if name == "content-type" or name.startswith("x-amz-"))}
    check(required == set(signed) and signed == sorted(signed), f"it signs {signed}, not {sorted(required)}")
    digest = hashlib.sha256(body).hexdigest()
    check(headers["x-amz-content-sha256"] == digest, "its body is another one")
    time = headers["x-amz-date"]
    age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.strptime(time + "+0000", "%Y%m%dT%H%M%SZ%z")
    check(abs(age) < MAX_AGE and time.startswith(date), "it is too old")

    path, _, query = target.partition("?")
    request = AWSRequest(
        method=method,
        url=f"http://{headers['host']}{path}",
        headers={name: headers[name] for name in signed},
        params=parse_qsl(query, keep_blank_values=True),
        data=body,
    )
    request.context["timestamp"] = time
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer = signer(Credentials(*sys.argv[2:4]), service, region)
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    check(signature == fields["Signature"], "its signature is another one")
    return service, headers.get("x-amz-security-token", "none")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do(self):
        if "chunked" in self.headers.get("transfer-encoding", ""):
            return self.answer(411, "its length is missing")
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            service, token = verified(self.command, self.path, headers, body)
        except Refused as refused:
            return self.answer(403, f"refused: {refused}")
        if self.path.startswith("/redirect?"):
            return self.answer(302, "", location=self.path.split("?", 1)[1])
        self.answer(200, f"{service} {token} {len(body)}")

    def answer(self, status, text, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_PUT = do_DELETE = do

    def log_message(self, *_):
        pass


try:
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
except KeyboardInterrupt:
    pass
