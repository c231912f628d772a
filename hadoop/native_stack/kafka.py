"""One Kafka node in KRaft mode, broker and controller in one process.

    conf/server.properties + own ports and folder -> format once -> kafka.Kafka -> bootstrap servers

Owns the broker's configuration, its users and its topics' making. Does not own what is in them.
Beside the plain listener there can be one with TLS and SCRAM-SHA-512; both lead to the same broker.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from . import artifacts
from .config_files import CONF, read_properties, write_properties
from .errors import StackError
from .server import LOOPBACK, Server, accepts_connections
from .state import State
from .tls import Certificates

_TOOL_OPTIONS = ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dstack.log.level=error"]


class Kafka(Server):
    """A broker. `scram_users` (name to password) adds a SASL_SSL listener that lets only them in."""

    def __init__(
        self,
        state: State,
        name: str = "kafka",
        *,
        scram_users: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        heap_mib: int = 512,
        preferred_port: int | None = None,
        die_with_parent: bool = False,
    ) -> None:
        super().__init__(state, name, die_with_parent)
        self.scram_users = dict(scram_users or {})
        self.properties = dict(properties or {})
        self.heap_mib = heap_mib
        self.preferred_port = preferred_port
        self.certificates = Certificates(self.directory / "tls")
        self._properties_file = self.directory / "server.properties"

    # -- for clients --------------------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        """`host:port` of the plain listener."""
        return f"{LOOPBACK}:{self.ports['broker']}"

    bootstrap = endpoint

    @property
    def sasl_endpoint(self) -> str:
        """`host:port` of the SASL_SSL listener."""
        return f"localhost:{self.ports['sasl_ssl']}"

    def sasl_client(self, user: str, password: str) -> dict[str, str]:
        """librdkafka properties for the SASL_SSL listener."""
        return {
            "bootstrap.servers": self.sasl_endpoint,
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.certificates.ca),
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": password,
        }

    def create_topic(self, topic: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Makes a topic; an error if it exists. Takes about 1.3 s: a JVM is started for it."""
        arguments = ["--create", "--topic", topic, "--partitions", str(partitions)]
        for key, value in (config or {}).items():
            arguments += ["--config", f"{key}={value}"]
        self.topic_tool(*arguments)

    def topic_tool(self, *arguments: str) -> str:
        """Runs Kafka's own topic command against this broker and returns what it prints."""
        return self._tool("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", self.endpoint, *arguments)

    # -- as a server --------------------------------------------------------------------------

    def ports_wanted(self) -> dict[str, int | None]:
        wanted = {"broker": self.preferred_port, "controller": None}
        return wanted | ({"sasl_ssl": None} if self.scram_users else {})

    def prepare(self) -> None:
        write_properties(self._properties_file, self._instance_properties())
        if (self.directory / "data" / "meta.properties").exists():
            return
        cluster_id = self._tool("kafka.tools.StorageTool", "random-uuid").strip().splitlines()[-1]
        users = []
        for user, password in self.scram_users.items():
            users += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]
        self._tool("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self._properties_file), *users)

    def command(self) -> list[str]:
        heap = [f"-Xms{min(self.heap_mib, 256)}m", f"-Xmx{self.heap_mib}m"]
        return [*self._java(heap), "kafka.Kafka", str(self._properties_file)]

    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}

    def is_ready(self) -> bool:
        return self.logged_since_start("Kafka Server started") and accepts_connections(self.ports["broker"])

    # -- inside -------------------------------------------------------------------------------

    def _instance_properties(self) -> dict[str, str]:
        ports = self.ports
        listeners = {"PLAINTEXT": ports["broker"], "CONTROLLER": ports["controller"]}
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
        advertised = {"PLAINTEXT": f"{LOOPBACK}:{ports['broker']}"}
        values = read_properties(CONF / "server.properties")
        if self.scram_users:
            listeners["SASL_SSL"] = ports["sasl_ssl"]
            protocols["SASL_SSL"] = "SASL_SSL"
            advertised["SASL_SSL"] = self.sasl_endpoint
            self.certificates.ensure()
            values |= {
                "sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "ssl.keystore.type": "PKCS12",
                "ssl.keystore.location": str(self.certificates.keystore),
                "ssl.keystore.password": self.certificates.keystore_password,
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                ),
            }
        values |= {
            "controller.quorum.voters": f"1@{LOOPBACK}:{ports['controller']}",
            "listeners": ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in listeners.items()),
            "advertised.listeners": ",".join(f"{name}://{address}" for name, address in advertised.items()),
            "listener.security.protocol.map": ",".join(f"{name}:{what}" for name, what in protocols.items()),
            "log.dirs": str(self.directory / "data"),
            # A small broker compacts when there is something to compact, not some seconds later.
            "log.cleaner.backoff.ms": "500",
        }
        return values | self.properties

    def _java(self, options: list[str]) -> list[str]:
        logging = CONF / "log4j2.properties"
        jars = artifacts.kafka_jars()
        return [artifacts.tool("java"), *options, f"-Dlog4j2.configurationFile={logging}", "-cp", f"{jars}/*"]

    def _tool(self, main_class: str, *arguments: str) -> str:
        done = subprocess.run(
            [*self._java(_TOOL_OPTIONS), main_class, *arguments],
            env=self.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            output = "\n".join((done.stdout + done.stderr).splitlines()[:12])
            raise StackError(f"{main_class.rpartition('.')[2]} failed for {self.name}: {output}")
        return done.stdout
