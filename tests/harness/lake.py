"""One table's place, on any of the three stores, in one shape.

    local folder | HdfsStorage | S3Storage -> Lake -> programs (settings, environment) and judge (fetch)

Owns the difference between the stores, so that a test need not know on which it runs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from .storage import HdfsStorage, S3Storage


class LocalStorage:
    """Local disk with the same verbs as the other two."""

    def files(self, url: str) -> dict[str, int]:
        """Every file below a URL: path relative to it, and length in bytes. A working writer may take some away."""
        root = self._path(url)
        found = {}
        for folder, _, names in os.walk(root):
            for path in (Path(folder, name) for name in names):
                with contextlib.suppress(FileNotFoundError):
                    found[str(path.relative_to(root))] = path.stat().st_size
        return found

    def read(self, url: str) -> bytes:
        """A file's bytes. `FileNotFoundError` where there is none, as with the other two."""
        return self._path(url).read_bytes()

    def write(self, url: str, data: bytes) -> None:
        """Writes a file, over what is there."""
        self._path(url).parent.mkdir(parents=True, exist_ok=True)
        self._path(url).write_bytes(data)

    def delete(self, url: str) -> None:
        """Deletes a file or folder with everything below."""
        path = self._path(url)
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _path(self, url: str) -> Path:
        return Path(url.removeprefix("file://"))


@dataclass
class Lake:
    """Where a table is written: `url`, the `[store…]` settings and environment that lead there."""

    kind: str
    url: str
    storage: LocalStorage | HdfsStorage | S3Storage
    settings: dict = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def files(self, below: str = "") -> dict[str, int]:
        """Files of the table below a folder of it, such as `data`: relative path and length."""
        prefix = f"{below}/" if below else ""
        found = self.storage.files(self.url)
        return {name.removeprefix(prefix): size for name, size in found.items() if name.startswith(prefix)}

    def read(self, name: str) -> bytes:
        """Bytes of one file of the table."""
        return self.storage.read(f"{self.url}/{name}")

    def write(self, name: str, data: bytes) -> None:
        """Writes a file of the table, over what is there, as somebody who is no writer would."""
        self.storage.write(f"{self.url}/{name}", data)

    def delete(self, name: str) -> None:
        """Deletes a file of the table."""
        self.storage.delete(f"{self.url}/{name}")

    def fetch(self, target: Path) -> Path:
        """A copy of the table on local disk. `target` is emptied first.

        Without what a working writer takes away meanwhile, such as files that it publishes under another name.
        """
        if target.exists():
            shutil.rmtree(target)
        target.mkdir(parents=True)
        for name in self.files():
            with contextlib.suppress(FileNotFoundError):
                data = self.read(name)
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (target / name).write_bytes(data)
        return target


def local_lake(folder: Path) -> Lake:
    """A table below a local folder."""
    path = folder / f"table-{uuid.uuid4().hex[:8]}"
    path.mkdir(parents=True)
    return Lake("local", f"file://{path}", LocalStorage())


def hdfs_lake(storage: HdfsStorage) -> Lake:
    """A table in a fresh folder of HDFS."""
    return Lake(
        "hdfs", storage.make_folder(), storage,
        settings={"store": {"hdfs": {"conf_dir": str(storage.server.conf_dir)}}},
    )  # fmt: skip


def s3_lake(storage: S3Storage) -> Lake:
    """A table in a fresh bucket."""
    server = storage.server
    settings = {"endpoint": server.endpoint, "region": server.region}
    settings |= {"ca_file": str(server.certificates.ca)} if server.tls else {"allow_http": True}
    return Lake(
        "s3", f"{storage.make_bucket()}/lake/sales", storage,
        settings={"store": {"s3": settings}},
        environment={
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
        },
    )  # fmt: skip
