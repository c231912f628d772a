"""A certificate authority of an instance's own, for the servers that speak TLS in tests.

    openssl -> ca.pem + server.pem + server.key (+ server.p12) -> Kafka SASL_SSL listener, S3 over https

Owns the files below `<instance>/tls`. They prove nothing outside this machine and live for ten days.
"""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

from .artifacts import tool
from .errors import StackError

_DAYS = "10"


class Certificates:
    """CA, server certificate for localhost and 127.0.0.1, and the same as a PKCS12 key store."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca = directory / "ca.pem"
        self.certificate = directory / "server.pem"
        self.key = directory / "server.key"
        self.keystore = directory / "server.p12"
        self._password_file = directory / "server.p12.password"

    @property
    def keystore_password(self) -> str:
        """The password of the PKCS12 key store."""
        return self._password_file.read_text(encoding="ascii")

    def ensure(self) -> Certificates:
        """Makes whatever is not there yet."""
        if not self.keystore.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            self.directory.chmod(0o700)
            self._make_authority()
            self._make_server_certificate()
            self._make_keystore()
        return self

    def _make_authority(self) -> None:
        self._openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", _DAYS,
            "-subj", "/CN=lake-writer native stack CA",
            "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout", "ca.key", "-out", "ca.pem",
        )  # fmt: skip

    def _make_server_certificate(self) -> None:
        extensions = self.directory / "server.ext"
        extensions.write_text(
            "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
            "basicConstraints=CA:FALSE\n"
            "keyUsage=digitalSignature,keyEncipherment\n"
            "extendedKeyUsage=serverAuth\n",
            encoding="ascii",
        )
        self._openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
            "-keyout", "server.key", "-out", "server.csr",
        )  # fmt: skip
        self._openssl(
            "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", _DAYS, "-extfile", extensions.name, "-out", "server.pem",
        )  # fmt: skip

    def _make_keystore(self) -> None:
        # The password goes through a file: command lines can be read by everybody on the machine.
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(secrets.token_hex(16), encoding="ascii")
        self._openssl(
            "pkcs12", "-export", "-in", "server.pem", "-inkey", "server.key", "-certfile", "ca.pem",
            "-name", "server", "-passout", f"file:{self._password_file.name}", "-out", "server.p12",
        )  # fmt: skip

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(
            [tool("openssl"), *arguments], cwd=self.directory, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise StackError(f"`openssl {arguments[0]}` failed: {done.stderr.strip()}")
