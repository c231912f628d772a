"""A running broker with what tests do to it: topics, messages, watermarks.

    native_stack.Kafka -> KafkaCluster -> tests

Owns the admin and producer clients. The server itself is `server`, for kill, freeze and restart.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Iterable, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
)

from native_stack import Kafka

from .programs import wait_until

_TIMEOUT_S = 30.0
# What a broker answers for a partition while it starts.
_NOT_YET = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
}


class KafkaCluster:
    """Topics and messages of one broker; `client` properties reach a secured listener instead of the plain one."""

    def __init__(self, server: Kafka, client: Mapping[str, str] | None = None) -> None:
        self.server = server
        self.client = {"bootstrap.servers": server.bootstrap, **(client or {})}
        self.admin = AdminClient(self.client)
        self._numbers = itertools.count(1)

    @property
    def bootstrap(self) -> str:
        """`host:port` of the plain listener."""
        return self.server.bootstrap

    # -- topics -------------------------------------------------------------------------------

    def create_topic(
        self, name: str | None = None, partitions: int = 1, config: Mapping[str, str] | None = None
    ) -> str:
        """Makes a topic of its own name, or of a fresh one, and returns the name."""
        name = name or f"topic-{next(self._numbers)}-{uuid.uuid4().hex[:8]}"
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=dict(config or {}))
        self._settle(self.admin.create_topics([topic]))
        self._wait_for_leaders(name, partitions)
        return name

    def _wait_for_leaders(self, name: str, partitions: int) -> None:
        """A broker that was just started answers for a while that it has no such topic."""

        def led() -> bool:
            found = self.admin.list_topics(name, timeout=_TIMEOUT_S).topics[name].partitions.values()
            return len(found) == partitions and all(one.leader >= 0 and one.error is None for one in found)

        wait_until(led, f"leaders of topic {name}", _TIMEOUT_S)

    def delete_topic(self, name: str) -> None:
        """Deletes a topic with all its messages."""
        self._settle(self.admin.delete_topics([name], operation_timeout=_TIMEOUT_S))

    def add_partitions(self, name: str, total: int) -> None:
        """Raises the number of partitions to `total`."""
        self._settle(self.admin.create_partitions([NewPartitions(name, total)]))

    def configure_topic(self, name: str, config: Mapping[str, str]) -> None:
        """Changes these settings of a topic."""
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in config.items()
        ]
        topic = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)
        self._settle(self.admin.incremental_alter_configs([topic]))

    def delete_records(self, name: str, before: Mapping[int, int]) -> None:
        """Drops what lies below an offset (exclusive) of each partition, as retention would."""
        places = [TopicPartition(name, partition, offset) for partition, offset in before.items()]
        self._settle(self.admin.delete_records(places))

    def topics(self) -> list[str]:
        """Names of all topics."""
        return sorted(self.admin.list_topics(timeout=_TIMEOUT_S).topics)

    # -- messages -----------------------------------------------------------------------------

    def produce(
        self,
        topic: str,
        values: Iterable[bytes | str | None],
        *,
        partition: int = 0,
        key: bytes | None = None,
        config: Mapping[str, str] | None = None,
    ) -> int:
        """Sends values to one partition and waits until the broker has them; None is a tombstone. How many."""
        failures = []
        producer = Producer({**self.client, "linger.ms": "5", "enable.idempotence": "true", **(config or {})})
        count = 0
        for value in values:
            while True:
                try:
                    producer.produce(
                        topic, value, key=key, partition=partition,
                        on_delivery=lambda error, _: failures.append(error) if error else None,
                    )  # fmt: skip
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
            count += 1
        left = producer.flush(_TIMEOUT_S)
        assert not failures and left == 0, f"{len(failures)} failed, {left} not sent: {failures[:1]}"
        return count

    def watermarks(self, topic: str) -> dict[int, tuple[int, int]]:
        """For each partition its first offset and the offset after its last message."""
        consumer = Consumer({**self.client, "group.id": "watermarks"})
        try:
            partitions = consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions
            return {number: _watermarks(consumer, TopicPartition(topic, number)) for number in partitions}
        finally:
            consumer.close()

    def count(self, topic: str) -> int:
        """Offsets between the watermarks of all partitions: messages, where nothing was compacted or transactional."""
        return sum(end - start for start, end in self.watermarks(topic).values())

    def values(self, topic: str) -> list[bytes | None]:
        """All messages' values, partition by partition in order of offset."""
        consumer = Consumer({**self.client, "group.id": "values", "enable.auto.commit": "false"})
        try:
            found = []
            for number, (start, end) in self.watermarks(topic).items():
                consumer.assign([TopicPartition(topic, number, start)])
                while consumer.position([TopicPartition(topic, number)])[0].offset < end and start < end:
                    for message in consumer.consume(10_000, timeout=1.0):
                        assert message.error() is None, message.error()
                        found.append(message.value())
            return found
        finally:
            consumer.close()

    def _settle(self, futures: Mapping[object, object]) -> None:
        for future in futures.values():
            future.result(timeout=_TIMEOUT_S)


def _watermarks(consumer: Consumer, partition: TopicPartition) -> tuple[int, int]:
    """Asks until the broker leads the partition: one that was just started is not yet its leader."""
    until = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            return consumer.get_watermark_offsets(partition, timeout=_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() not in _NOT_YET or time.monotonic() > until:
                raise
            time.sleep(0.1)
