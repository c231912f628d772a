"""HDFS: one name node and one or more data nodes.

    conf/core-site.xml, conf/hdfs-site.xml + own ports and folders -> format once
        -> NameNode, DataNode… -> hdfs://host:port and a HADOOP_CONF_DIR for clients

Owns both servers' configuration and, with Kerberos, their principals. Does not own the KDC (`kerberos`).
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
from pathlib import Path

from . import artifacts
from .config_files import CONF, read_hadoop, write_hadoop
from .errors import StackError
from .kerberos import Kdc
from .server import LOOPBACK, Server, http_get
from .state import State

_TOOL_OPTIONS = ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
_PACKAGE = "org.apache.hadoop.hdfs.server"


class Hdfs:
    """A file system. `kdc` makes it a Kerberised one, with data transfer protected as `protection` says."""

    def __init__(
        self,
        state: State,
        name: str = "hdfs",
        *,
        datanodes: int = 1,
        kdc: Kdc | None = None,
        protection: str = "privacy",
        preferred_port: int | None = None,
        die_with_parent: bool = False,
    ) -> None:
        self.state = state
        self.name = name
        self.kdc = kdc
        self.protection = protection
        self.directory = state.directory / name
        self.namenode = NameNode(self, preferred_port, die_with_parent)
        self.datanodes = [DataNode(self, number, die_with_parent) for number in range(1, datanodes + 1)]

    # -- for clients --------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """`hdfs://host:port` of the name node."""
        return self.namenode.endpoint

    endpoint = url

    @property
    def conf_dir(self) -> Path:
        """A `HADOOP_CONF_DIR` for clients of this file system."""
        return self.directory / "conf"

    @property
    def client_environment(self) -> dict[str, str]:
        """What a client needs in its environment, except its Kerberos ticket."""
        values = {"HADOOP_CONF_DIR": str(self.conf_dir), "HDFS_URL": self.url}
        return values | (self.kdc.client_environment if self.kdc else {})

    def shell(self, *arguments: str, environment: dict[str, str] | None = None) -> str:
        """Runs Hadoop's own FsShell, such as `shell("-ls", "/")`, and returns what it prints. About 1.5 s."""
        done = subprocess.run(
            [*self.java(_TOOL_OPTIONS), "org.apache.hadoop.fs.FsShell", *arguments],
            env={**os.environ, **self.client_environment, **(environment or {})},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise StackError(f"FsShell {' '.join(arguments)} failed: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    # -- life ---------------------------------------------------------------------------------

    def servers(self) -> list[Server]:
        """The processes in the order in which they are started."""
        return [self.namenode, *self.datanodes]

    def start(self) -> bool:
        """Starts what does not run; ready means out of safe mode with every data node alive."""
        started = [server.start() for server in self.servers()]
        return any(started)

    def stop(self) -> None:
        """Stops all processes; what they store stays."""
        for server in reversed(self.servers()):
            server.stop()

    def kill(self) -> None:
        """Kills all processes at once (SIGKILL)."""
        for server in self.servers():
            server.kill()

    def freeze(self) -> None:
        """Stops all processes where they stand."""
        for server in self.servers():
            server.freeze()

    def resume(self) -> None:
        """Lets frozen processes go on."""
        for server in self.servers():
            server.resume()

    def restart(self) -> None:
        """Stops and starts all processes."""
        self.stop()
        self.start()

    def running(self) -> bool:
        """Whether all processes live."""
        return all(server.running() for server in self.servers())

    # -- for the servers below ----------------------------------------------------------------

    def java(self, options: list[str]) -> list[str]:
        """A JVM with Hadoop's jars and this instance's configuration."""
        jars = artifacts.hadoop_jars()
        if self.kdc:
            options = [*options, f"-Djava.security.krb5.conf={self.kdc.krb5_conf}"]
        # log4j.properties comes with the shared conf folder, the instance's own values come first.
        return [artifacts.tool("java"), *options, "-cp", f"{self.conf_dir}:{CONF}:{jars}:{jars}/*"]

    def write_configuration(self) -> None:
        """Writes the client's and the servers' configuration; the data nodes add theirs on their command lines."""
        core = read_hadoop(CONF / "core-site.xml") | {"fs.defaultFS": self.url}
        hdfs = read_hadoop(CONF / "hdfs-site.xml") | {
            "dfs.namenode.name.dir": f"file://{self.directory}/name",
            "dfs.namenode.rpc-address": self.url.removeprefix("hdfs://"),
            "dfs.namenode.rpc-bind-host": LOOPBACK,
            "dfs.namenode.http-address": f"{LOOPBACK}:{self.namenode.ports['http']}",
            "dfs.replication": str(len(self.datanodes)),
            "dfs.datanode.hostname": LOOPBACK,
        }
        if self.kdc:
            core |= self.kdc.hadoop_core_properties()
            hdfs |= self.kdc.hadoop_hdfs_properties(self.protection)
        write_hadoop(self.conf_dir / "core-site.xml", core)
        write_hadoop(self.conf_dir / "hdfs-site.xml", hdfs)

    def jmx(self, bean: str) -> dict:
        """One management bean of the name node."""
        body = http_get(f"http://{LOOPBACK}:{self.namenode.ports['http']}/jmx?qry=Hadoop:service=NameNode,name={bean}")
        return json.loads(body)["beans"][0]

    def live_datanodes(self) -> set[str]:
        """Transfer addresses of the data nodes that the name node counts as alive."""
        return {node["xferaddr"] for node in json.loads(self.jmx("NameNodeInfo")["LiveNodes"]).values()}

    def out_of_safe_mode(self) -> bool:
        """Whether the name node takes writes."""
        return self.jmx("NameNodeInfo")["Safemode"] == ""


class NameNode(Server):
    """The name node's process."""

    def __init__(self, hdfs: Hdfs, preferred_port: int | None, die_with_parent: bool) -> None:
        super().__init__(hdfs.state, f"{hdfs.name}-namenode", die_with_parent)
        self.hdfs = hdfs
        self.preferred_port = preferred_port

    @property
    def endpoint(self) -> str:
        # By name where Kerberos is used: principals are for hosts, not for addresses.
        host = "localhost" if self.hdfs.kdc else LOOPBACK
        return f"hdfs://{host}:{self.ports['rpc']}"

    def ports_wanted(self) -> dict[str, int | None]:
        return {"rpc": self.preferred_port, "http": None}

    def prepare(self) -> None:
        self.hdfs.write_configuration()
        if (self.hdfs.directory / "name" / "current" / "VERSION").exists():
            return
        done = subprocess.run(
            [*self.hdfs.java(_TOOL_OPTIONS), f"{_PACKAGE}.namenode.NameNode", "-format", "-force", "-nonInteractive"],
            env=self.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise StackError(f"formatting the name node failed:\n{done.stderr[-2000:]}")

    def command(self) -> list[str]:
        return [*self.hdfs.java(["-Xmx192m", "-XX:+UseSerialGC"]), f"{_PACKAGE}.namenode.NameNode"]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "HADOOP_CONF_DIR": str(self.hdfs.conf_dir)}

    def is_ready(self) -> bool:
        # Safe mode ends with the data nodes' reports: alone, a name node is ready once it answers.
        try:
            if any(node.running() for node in self.hdfs.datanodes):
                return self.hdfs.out_of_safe_mode() and bool(self.hdfs.live_datanodes())
            return "Safemode" in self.hdfs.jmx("NameNodeInfo")
        except (OSError, urllib.error.URLError, KeyError, IndexError, ValueError):
            return False


class DataNode(Server):
    """One data node's process."""

    def __init__(self, hdfs: Hdfs, number: int, die_with_parent: bool) -> None:
        super().__init__(hdfs.state, f"{hdfs.name}-datanode-{number}", die_with_parent)
        self.hdfs = hdfs

    @property
    def endpoint(self) -> str:
        return f"{LOOPBACK}:{self.ports['data']}"

    def ports_wanted(self) -> dict[str, int | None]:
        return {"data": None, "ipc": None, "http": None}

    def command(self) -> list[str]:
        ports = self.ports
        own = {
            "dfs.datanode.data.dir": f"file://{self.directory}/data",
            "dfs.datanode.address": f"{LOOPBACK}:{ports['data']}",
            "dfs.datanode.ipc.address": f"{LOOPBACK}:{ports['ipc']}",
            "dfs.datanode.http.address": f"{LOOPBACK}:{ports['http']}",
        }
        definitions = [word for name, value in own.items() for word in ("-D", f"{name}={value}")]
        return [
            *self.hdfs.java(["-Xmx160m", "-XX:+UseSerialGC"]), f"{_PACKAGE}.datanode.DataNode", *definitions
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        return {**os.environ, "HADOOP_CONF_DIR": str(self.hdfs.conf_dir)}

    def is_ready(self) -> bool:
        # The name node goes on counting a killed data node as alive for a while, so its word alone
        # says nothing after a restart.
        if not self.logged_since_start("successfully registered with NN"):
            return False
        try:
            return self.endpoint in self.hdfs.live_datanodes() and self.hdfs.out_of_safe_mode()
        except (OSError, urllib.error.URLError, KeyError, IndexError, ValueError):
            return False
