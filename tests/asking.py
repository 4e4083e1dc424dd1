"""Questions to a server on this machine."""

import json
from http.client import HTTPConnection


def asked(port, path, body=None, **headers):
    """Status, headers and content of a reply: a value for JSON, else bytes."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET" if body is None else "POST", path, body, headers)
        reply = connection.getresponse()
        content = reply.read()
        return reply.status, reply.headers, json.loads(content) if "json" in reply.headers["Content-Type"] else content
    finally:
        connection.close()
