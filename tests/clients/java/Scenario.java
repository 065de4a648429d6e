// The scenario of README.md with Apache Kafka's own Java client.

import java.time.Duration;
import java.util.*;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;

public class Scenario {
    static final String TOPIC = "clients-java";
    static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    static final int RECORDS = 200;

    interface Step { void run() throws Exception; }

    static void step(String what, Step step) {
        try {
            step.run();
            System.out.println("ok " + what);
        } catch (Throwable error) {
            System.out.println("not ok " + what + ": " + String.valueOf(error).replace('\n', ' '));
        }
    }

    static void same(Object expected, Object found) {
        if (!expected.equals(found)) throw new AssertionError("expected " + expected + ", found " + found);
    }

    static Map<String, Object> config(String broker, Object... pairs) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", broker);
        for (int i = 0; i < pairs.length; i += 2) config.put((String) pairs[i], pairs[i + 1]);
        return config;
    }

    static void produce(String broker, String codec) throws Exception {
        var config = config(broker, "compression.type", codec, "acks", "all", "linger.ms", 5);
        try (var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            List<java.util.concurrent.Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < RECORDS; i++) {
                var record = new ProducerRecord<>(TOPIC, "key-" + i, codec + "-" + i);
                record.headers().add("codec", codec.getBytes());
                sent.add(producer.send(record));
            }
            for (var future : sent) future.get(20, TimeUnit.SECONDS);
        }
    }

    static KafkaConsumer<String, String> consumer(String broker) {
        var config = config(broker, "group.id", TOPIC, "auto.offset.reset", "earliest", "enable.auto.commit", false);
        var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
        consumer.subscribe(List.of(TOPIC));
        return consumer;
    }

    static List<ConsumerRecord<String, String>> read(KafkaConsumer<String, String> consumer, int wanted) {
        List<ConsumerRecord<String, String>> found = new ArrayList<>();
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (found.size() < wanted && System.nanoTime() < deadline) {
            consumer.poll(Duration.ofMillis(200)).forEach(found::add);
        }
        return found;
    }

    public static void main(String[] arguments) throws Exception {
        String broker = arguments[0];
        try (var admin = Admin.create(config(broker))) {
            step("create topic", () -> {
                admin.createTopics(List.of(new NewTopic(TOPIC, 3, (short) 1))).all().get(20, TimeUnit.SECONDS);
                same(3, admin.describeTopics(List.of(TOPIC)).allTopicNames().get(20, TimeUnit.SECONDS).get(TOPIC).partitions().size());
            });
            for (String codec : CODECS) step("produce " + codec, () -> produce(broker, codec));
            step("consume and commit", () -> {
                try (var consumer = consumer(broker)) {
                    var values = new TreeSet<String>();
                    for (var record : read(consumer, RECORDS * CODECS.size())) {
                        same(record.value().split("-")[0], new String(record.headers().lastHeader("codec").value()));
                        values.add(record.value());
                    }
                    same(RECORDS * CODECS.size(), values.size());
                    consumer.commitSync();
                }
            });
            step("go on from the commit", () -> {
                produce(broker, "none");
                try (var consumer = consumer(broker)) {
                    var found = read(consumer, RECORDS);
                    same(RECORDS, found.size());
                    for (var record : found) same("none", record.value().split("-")[0]);
                    consumer.commitSync();
                }
            });
            step("offsets by time", () -> {
                Map<TopicPartition, OffsetSpec> ends = new HashMap<>(), starts = new HashMap<>();
                for (int i = 0; i < 3; i++) {
                    ends.put(new TopicPartition(TOPIC, i), OffsetSpec.latest());
                    starts.put(new TopicPartition(TOPIC, i), OffsetSpec.forTimestamp(1));
                }
                long count = 0;
                for (var end : admin.listOffsets(ends).all().get(20, TimeUnit.SECONDS).values()) count += end.offset();
                same((long) RECORDS * (CODECS.size() + 1), count);
                for (var start : admin.listOffsets(starts).all().get(20, TimeUnit.SECONDS).values()) same(0L, start.offset());
            });
            step("describe and delete the group", () -> {
                var group = admin.describeConsumerGroups(List.of(TOPIC)).all().get(20, TimeUnit.SECONDS).get(TOPIC);
                same(0, group.members().size());
                admin.deleteConsumerGroups(List.of(TOPIC)).all().get(20, TimeUnit.SECONDS);
            });
            step("delete topic", () -> admin.deleteTopics(List.of(TOPIC)).all().get(20, TimeUnit.SECONDS));
        }
    }
}
