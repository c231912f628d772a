"""AWS Signature Version 4 for one plain S3 request, from the published description of the scheme.

    method, host, path, headers, body -> signed_headers -> http.client

Owns the signature alone: no query strings, no chunked bodies, no redirects.
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Credentials:
    """A key pair and the region it is used in."""

    access_key: str
    secret_key: str
    region: str


def signed_headers(
    credentials: Credentials, method: str, host: str, path: str, *, body: bytes, headers: dict[str, str]
) -> dict[str, str]:
    """`headers` plus date, body hash and authorization. `path` must be in its final, escaped form."""
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    digest = hashlib.sha256(body).hexdigest()
    complete = {**headers, "x-amz-date": now, "x-amz-content-sha256": digest}
    canonical = {name.lower(): value.strip() for name, value in complete.items()} | {"host": host}
    names = ";".join(sorted(canonical))
    lines = "".join(f"{name}:{canonical[name]}\n" for name in sorted(canonical))
    request = f"{method}\n{path}\n\n{lines}\n{names}\n{digest}"

    scope = f"{now[:8]}/{credentials.region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    complete["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return complete
