"""A Kerberos realm of an instance's own, for the Kerberised HDFS.

    kdb5_util, kadmin.local -> database and keytabs -> krb5kdc -> tickets for HDFS and its clients

Owns krb5.conf, kdc.conf, the database and the keytabs below `<instance>/kdc`; no file of the system
is read or written, and the port is an ordinary one. Does not own HDFS (`hdfs` asks for its properties).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from . import artifacts
from .errors import StackError
from .server import LOOPBACK, Server, accepts_connections
from .state import State

REALM = "LAKE.TEST"
_SERVICE = f"hdfs/localhost@{REALM}"
_HTTP = f"HTTP/localhost@{REALM}"


class Kdc(Server):
    """A key distribution centre with the principals of HDFS; users are added as they are needed."""

    def __init__(self, state: State, name: str = "kdc", die_with_parent: bool = False) -> None:
        super().__init__(state, name, die_with_parent)
        self.krb5_conf = self.directory / "krb5.conf"
        self._kdc_conf = self.directory / "kdc.conf"
        self.service_keytab = self.directory / "services.keytab"

    # -- for clients --------------------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        return f"{LOOPBACK}:{self.ports['kdc']}"

    @property
    def client_environment(self) -> dict[str, str]:
        """Where clients find the realm."""
        return {"KRB5_CONFIG": str(self.krb5_conf)}

    def keytab(self, user: str) -> Path:
        """A keytab of `user@REALM`, who is added at the first call."""
        path = self.directory / f"user-{user}.keytab"
        if not path.exists():
            self._add(f"{user}@{REALM}", path)
        return path

    def ticket(self, user: str) -> dict[str, str]:
        """Logs `user` in by keytab; the environment in which the ticket is found."""
        cache = self.directory / f"user-{user}.ccache"
        environment = {**self.client_environment, "KRB5CCNAME": f"FILE:{cache}"}
        self._run([artifacts.tool("kinit"), "-k", "-t", str(self.keytab(user)), f"{user}@{REALM}"], environment)
        return environment

    # -- for HDFS -----------------------------------------------------------------------------

    def hadoop_core_properties(self) -> dict[str, str]:
        """What core-site.xml needs."""
        return {
            "hadoop.security.authentication": "kerberos",
            "hadoop.security.authorization": "true",
            "hadoop.rpc.protection": "privacy",
            # The status pages stay open: they listen on the loopback, and readiness is read there.
            "hadoop.http.authentication.type": "simple",
        }

    def hadoop_hdfs_properties(self, protection: str) -> dict[str, str]:
        """What hdfs-site.xml needs; `protection` is authentication, integrity or privacy."""
        properties = {
            "dfs.block.access.token.enable": "true",
            "dfs.data.transfer.protection": protection,
            # Data nodes would want ports below 1024, and so root, if their traffic were not SASL.
            "ignore.secure.ports.for.testing": "true",
        }
        for server in ("namenode", "datanode"):
            properties[f"dfs.{server}.kerberos.principal"] = _SERVICE
            properties[f"dfs.{server}.keytab.file"] = str(self.service_keytab)
        properties["dfs.web.authentication.kerberos.principal"] = _HTTP
        properties["dfs.web.authentication.kerberos.keytab"] = str(self.service_keytab)
        return properties

    # -- as a server --------------------------------------------------------------------------

    def ports_wanted(self) -> dict[str, int | None]:
        return {"kdc": None}

    def prepare(self) -> None:
        for name in ("krb5kdc", "kadmin.local", "kdb5_util", "kinit"):
            artifacts.tool(name)
        self._write_configuration()
        if (self.directory / "principal.ok").exists():
            return
        create = ["create", "-s", "-r", REALM, "-P", os.urandom(16).hex()]
        self._run([artifacts.tool("kdb5_util"), *create], self.environment())
        for principal in (_SERVICE, _HTTP):
            self._add(principal, self.service_keytab)
        (self.directory / "principal.ok").touch()

    def command(self) -> list[str]:
        return [artifacts.tool("krb5kdc"), "-n", "-P", str(self.directory / "krb5kdc.pid")]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "KRB5_CONFIG": str(self.krb5_conf), "KRB5_KDC_PROFILE": str(self._kdc_conf)}

    def is_ready(self) -> bool:
        return accepts_connections(self.ports["kdc"])

    # -- inside -------------------------------------------------------------------------------

    def _write_configuration(self) -> None:
        port = self.ports["kdc"]
        self.krb5_conf.write_text(
            "[libdefaults]\n"
            f"  default_realm = {REALM}\n"
            "  dns_lookup_realm = false\n  dns_lookup_kdc = false\n  dns_canonicalize_hostname = false\n"
            # One transport is enough, and over TCP a lost datagram cannot delay a test by seconds.
            "  rdns = false\n  udp_preference_limit = 1\n"
            f"[realms]\n  {REALM} = {{\n    kdc = {LOOPBACK}:{port}\n  }}\n"
            f"[domain_realm]\n  localhost = {REALM}\n",
            encoding="ascii",
        )
        self._kdc_conf.write_text(
            f"[kdcdefaults]\n  kdc_listen = {LOOPBACK}:{port}\n  kdc_tcp_listen = {LOOPBACK}:{port}\n"
            f"[realms]\n  {REALM} = {{\n"
            f"    database_name = {self.directory}/principal\n"
            f"    key_stash_file = {self.directory}/stash\n"
            f"    acl_file = {self.directory}/kadm5.acl\n"
            "    supported_enctypes = aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal\n"
            "    max_life = 10h\n  }\n"
            f"[logging]\n  kdc = STDERR\n",
            encoding="ascii",
        )

    def _add(self, principal: str, keytab: Path) -> None:
        admin = [artifacts.tool("kadmin.local"), "-r", REALM, "-q"]
        self._run([*admin, f"addprinc -randkey {principal}"], self.environment())
        self._run([*admin, f"ktadd -k {keytab} {principal}"], self.environment())
        if not keytab.exists():
            raise StackError(f"kadmin.local wrote no keytab for {principal}; see {self.process.log}")

    def _run(self, argv: list[str], environment: dict[str, str]) -> None:
        done = subprocess.run(argv, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise StackError(f"`{Path(argv[0]).name}` failed: {(done.stderr or done.stdout).strip()}")
