"""HDFS and S3 with what tests do to them: a place for a table, and a copy of it to look at.

    native_stack.Hdfs, native_stack.S3 -> HdfsStorage, S3Storage -> lake.Lake

Owns the clients. The servers themselves are `server`, for kill, freeze and restart.
"""

from __future__ import annotations

import getpass
import http
import json
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator

import boto3
import botocore.config

from native_stack import S3, Hdfs


class HdfsStorage:
    """A file system, reached over WebHDFS: a call takes milliseconds where FsShell starts a JVM."""

    def __init__(self, server: Hdfs) -> None:
        self.server = server
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @property
    def url(self) -> str:
        """`hdfs://host:port`."""
        return self.server.url

    def make_folder(self) -> str:
        """The URL of a fresh folder."""
        path = f"/lake/{uuid.uuid4().hex[:12]}"
        self._call("PUT", path, "MKDIRS")
        return f"{self.url}{path}"

    def files(self, url: str) -> dict[str, int]:
        """Every file below a URL: path relative to it, and length in bytes."""
        root = self._path(url)
        return {path.removeprefix(f"{root}/"): size for path, size in self._walk(root)}

    def read(self, url: str) -> bytes:
        """A file's bytes. `FileNotFoundError` where there is none."""
        return self._call("GET", self._path(url), "OPEN")

    def write(self, url: str, data: bytes) -> None:
        """Writes a file, over what is there."""
        self._call("PUT", self._path(url), "CREATE", body=data, overwrite="true")

    def delete(self, url: str) -> None:
        """Deletes a file or folder with everything below."""
        self._call("DELETE", self._path(url), "DELETE", recursive="true")

    def _path(self, url: str) -> str:
        return url.removeprefix(self.url)

    def _walk(self, folder: str) -> Iterator[tuple[str, int]]:
        try:
            listing = json.loads(self._call("GET", folder, "LISTSTATUS"))
        except FileNotFoundError:  # gone since its parent was listed
            return
        for status in listing["FileStatuses"]["FileStatus"]:
            path = f"{folder}/{status['pathSuffix']}".rstrip("/")
            if status["type"] == "DIRECTORY":
                yield from self._walk(path)
            else:
                yield path, status["length"]

    def _call(self, method: str, path: str, operation: str, body: bytes | None = None, **parameters: str) -> bytes:
        query = urllib.parse.urlencode({"op": operation, "user.name": getpass.getuser(), **parameters})
        port = self.server.namenode.ports["http"]
        address = f"http://127.0.0.1:{port}/webhdfs/v1{urllib.parse.quote(path)}?{query}"
        if operation in ("CREATE", "OPEN"):
            # The name node says which data node has the bytes, and spells names in its answer as they are.
            answer = self._open(urllib.request.Request(f"{address}&noredirect=true", method=method))
            address = _percent_encoded(json.loads(answer)["Location"])
        return self._open(urllib.request.Request(address, data=body, method=method))

    def _open(self, request: urllib.request.Request) -> bytes:
        if request.data is not None:
            request.add_header("Content-Type", "application/octet-stream")
        try:
            with self._opener.open(request, timeout=60) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            if error.code == http.HTTPStatus.NOT_FOUND:
                raise FileNotFoundError(request.full_url) from error
            raise


def _percent_encoded(url: str) -> str:
    """The same URL in ASCII; what is encoded already stays as it is."""
    return urllib.parse.quote(url, safe="%/:?&=+,;@!$*()[]~")


class S3Storage:
    """An S3 server through boto3."""

    def __init__(self, server: S3) -> None:
        self.server = server
        self.client = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name=server.region,
            verify=str(server.certificates.ca) if server.tls else None,
            # Its own retries would hide what a server answers.
            config=botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}, proxies={}),
        )

    @property
    def endpoint(self) -> str:
        """URL of the server."""
        return self.server.endpoint

    def make_bucket(self, name: str | None = None) -> str:
        """Makes a bucket of its own or a fresh name; its `s3://` URL."""
        return self.server.make_bucket(name or f"lake-{uuid.uuid4().hex[:12]}")

    def files(self, url: str) -> dict[str, int]:
        """Every object below a URL: key relative to it, and length in bytes."""
        bucket, prefix = self._parts(url)
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        objects = (item for page in pages for item in page.get("Contents", []))
        return {item["Key"].removeprefix(prefix).lstrip("/"): item["Size"] for item in objects}

    def read(self, url: str) -> bytes:
        """An object's bytes. `FileNotFoundError` where there is none."""
        bucket, key = self._parts(url)
        try:
            return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except self.client.exceptions.NoSuchKey as error:
            raise FileNotFoundError(url) from error

    def write(self, url: str, data: bytes) -> None:
        """Puts an object, over what is there."""
        bucket, key = self._parts(url)
        self.client.put_object(Bucket=bucket, Key=key, Body=data)

    def delete(self, url: str) -> None:
        """Deletes everything below a URL."""
        bucket, prefix = self._parts(url)
        for name in self.files(url):
            self.client.delete_object(Bucket=bucket, Key=f"{prefix}/{name}".strip("/") if name else prefix)

    def uploads(self, url: str) -> list[str]:
        """Keys of multipart uploads that were begun below a URL and neither completed nor aborted."""
        bucket, prefix = self._parts(url)
        answer = self.client.list_multipart_uploads(Bucket=bucket, Prefix=prefix)
        return [upload["Key"] for upload in answer.get("Uploads", [])]

    def _parts(self, url: str) -> tuple[str, str]:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        return bucket, key
