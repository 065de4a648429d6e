"""The scenario of README.md with librdkafka, through confluent-kafka."""

import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import scenario

TOPIC = "clients-librdkafka"


class Librdkafka:
    def __init__(self, broker):
        self.config = {"bootstrap.servers": broker}
        self.admin = AdminClient(self.config)

    def create_topic(self):
        for future in self.admin.create_topics([NewTopic(TOPIC, 3, 1)]).values():
            future.result(20)

    def delete_topic(self):
        for future in self.admin.delete_topics([TOPIC]).values():
            future.result(20)

    def produce(self, codec):
        failed = []
        producer = Producer({**self.config, "compression.type": codec, "enable.idempotence": True, "linger.ms": 5})
        report = lambda error, message: failed.append(error) if error else None
        for i in range(scenario.RECORDS):
            producer.produce(TOPIC, f"{codec}-{i}", f"key-{i}", headers=[("codec", codec)], on_delivery=report)
        scenario.same(0, producer.flush(20))
        scenario.same([], failed)

    def consume(self, wanted):
        consumer = Consumer({**self.config, "group.id": TOPIC, "auto.offset.reset": "earliest", "enable.auto.commit": False})
        consumer.subscribe([TOPIC])
        found, deadline = [], time.monotonic() + 30
        while len(found) < wanted and time.monotonic() < deadline:
            for message in consumer.consume(500, 0.2):
                if message.error():
                    raise RuntimeError(message.error())
                found.append((message.value().decode(), dict(message.headers())["codec"].decode()))
        consumer.commit(asynchronous=False)
        consumer.close()
        return found

    def offsets_by_time(self):
        consumer = Consumer({**self.config, "group.id": TOPIC + "-offsets"})
        starts = consumer.offsets_for_times([TopicPartition(TOPIC, i, 1) for i in range(3)], 20)
        ends = [consumer.get_watermark_offsets(TopicPartition(TOPIC, i), 20)[1] for i in range(3)]
        consumer.close()
        return [start.offset for start in starts], ends


scenario.play(Librdkafka(sys.argv[1]))
