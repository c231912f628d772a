"""The S3 server: versitygw over a folder.

    folder of the instance -> versitygw posix -> endpoint with path-style addressing

Owns the server, its keys and buckets. Does not own the clients' idea of S3; requests for tests are
signed here (`sigv4`) only as far as the standard library reaches.
versitygw makes no fsync: it proves nothing about power loss.
"""

from __future__ import annotations

import http.client
import os
import ssl

from . import artifacts
from .errors import StackError
from .server import LOOPBACK, Server, accepts_connections
from .sigv4 import Credentials, signed_headers
from .state import State
from .tls import Certificates


class S3(Server):
    """An S3 server; with `tls` it speaks https with a certificate of the instance's own authority."""

    # Known to everybody on purpose: the server listens on the loopback alone and holds test data.
    access_key = "lakewriter"
    secret_key = "lakewriter-local-only"
    region = "us-east-1"

    def __init__(
        self,
        state: State,
        name: str = "s3",
        *,
        tls: bool = False,
        preferred_port: int | None = None,
        die_with_parent: bool = False,
    ) -> None:
        super().__init__(state, name, die_with_parent)
        self.tls = tls
        self.preferred_port = preferred_port
        self.certificates = Certificates(self.directory / "tls")

    # -- for clients --------------------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        """URL of the server; buckets are addressed by path."""
        return f"{'https' if self.tls else 'http'}://{LOOPBACK}:{self.ports['s3']}"

    @property
    def client_environment(self) -> dict[str, str]:
        """What the usual AWS chain reads."""
        values = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
        }
        return values | ({"AWS_CA_BUNDLE": str(self.certificates.ca)} if self.tls else {"AWS_ALLOW_HTTP": "true"})

    def make_bucket(self, bucket: str) -> str:
        """Makes a bucket (fine if it is there) and returns its `s3://` URL."""
        status, body = self.request("PUT", f"/{bucket}")
        if status not in (200, 409):
            raise StackError(f"making bucket {bucket} was answered with {status}: {body.decode(errors='replace')}")
        return f"s3://{bucket}"

    def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """One signed request; status and body of the answer. `path` begins with `/bucket`."""
        host = f"{LOOPBACK}:{self.ports['s3']}"
        credentials = Credentials(self.access_key, self.secret_key, self.region)
        signed = signed_headers(credentials, method, host, path, body=body, headers=headers or {})
        if self.tls:
            context = ssl.create_default_context(cafile=str(self.certificates.ca))
            connection = http.client.HTTPSConnection(host, timeout=30, context=context)
        else:
            connection = http.client.HTTPConnection(host, timeout=30)
        try:
            connection.request(method, path, body=body, headers=signed)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    # -- as a server --------------------------------------------------------------------------

    def ports_wanted(self) -> dict[str, int | None]:
        return {"s3": self.preferred_port}

    def prepare(self) -> None:
        (self.directory / "buckets").mkdir(exist_ok=True)
        if self.tls:
            self.certificates.ensure()

    def command(self) -> list[str]:
        options = ["--port", f"{LOOPBACK}:{self.ports['s3']}", "--region", self.region, "--quiet"]
        if self.tls:
            options += ["--cert", str(self.certificates.certificate), "--key", str(self.certificates.key)]
        return [str(artifacts.versitygw()), *options, "posix", str(self.directory / "buckets")]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key}

    def is_ready(self) -> bool:
        return accepts_connections(self.ports["s3"])
