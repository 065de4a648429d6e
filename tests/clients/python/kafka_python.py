"""The scenario of README.md with kafka-python."""

import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

import scenario

TOPIC = "clients-kafka-python"


class KafkaPython:
    def __init__(self, broker):
        self.broker = broker

    def create_topic(self):
        admin = KafkaAdminClient(bootstrap_servers=self.broker)
        admin.create_topics([NewTopic(name=TOPIC, num_partitions=3, replication_factor=1)])
        admin.close()

    def delete_topic(self):
        admin = KafkaAdminClient(bootstrap_servers=self.broker)
        admin.delete_topics([TOPIC])
        admin.close()

    def produce(self, codec):
        compression = None if codec == "none" else codec
        producer = KafkaProducer(bootstrap_servers=self.broker, compression_type=compression, acks="all", linger_ms=5)
        sent = [
            producer.send(TOPIC, f"{codec}-{i}".encode(), f"key-{i}".encode(), headers=[("codec", codec.encode())])
            for i in range(scenario.RECORDS)
        ]
        producer.flush(20)
        for future in sent:
            future.get(20)
        producer.close()

    def consume(self, wanted):
        consumer = KafkaConsumer(
            TOPIC, bootstrap_servers=self.broker, group_id=TOPIC, auto_offset_reset="earliest", enable_auto_commit=False
        )
        found, deadline = [], time.monotonic() + 30
        while len(found) < wanted and time.monotonic() < deadline:
            for records in consumer.poll(200).values():
                found += [(record.value.decode(), dict(record.headers)["codec"].decode()) for record in records]
        consumer.commit()
        consumer.close()
        return found

    def offsets_by_time(self):
        consumer = KafkaConsumer(bootstrap_servers=self.broker)
        places = [TopicPartition(TOPIC, i) for i in range(3)]
        starts, ends = consumer.offsets_for_times({place: 1 for place in places}), consumer.end_offsets(places)
        consumer.close()
        return [starts[place].offset for place in places], [ends[place] for place in places]


scenario.play(KafkaPython(sys.argv[1]))
