// The scenario of README.md with kafkajs, which has no codec but gzip of its own.

const { CompressionTypes, Kafka, logLevel } = require("kafkajs");

const TOPIC = "clients-kafkajs";
const CODECS = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP };
const RECORDS = 200;

async function step(what, action) {
  try {
    await action();
    console.log(`ok ${what}`);
  } catch (error) {
    console.log(`not ok ${what}: ${error}`.replaceAll("\n", " "));
  }
}

function same(expected, found) {
  if (String(expected) !== String(found)) throw new Error(`expected ${expected}, found ${found}`);
}

async function produce(kafka, codec) {
  const producer = kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  const messages = Array.from({ length: RECORDS }, (_, i) => ({ key: `key-${i}`, value: `${codec}-${i}`, headers: { codec } }));
  await producer.send({ topic: TOPIC, acks: -1, compression: CODECS[codec], messages });
  await producer.disconnect();
}

async function consume(kafka, wanted) {
  const consumer = kafka.consumer({ groupId: TOPIC, maxWaitTimeInMs: 200 });
  await consumer.connect();
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
  const found = [];
  const next = new Map();
  await new Promise((done, failed) => {
    const timer = setTimeout(done, 30000);
    consumer.on(consumer.events.CRASH, (event) => failed(event.payload.error));
    consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        found.push([message.value.toString(), message.headers.codec.toString()]);
        next.set(partition, String(BigInt(message.offset) + 1n));
        if (found.length >= wanted) {
          clearTimeout(timer);
          done();
        }
      },
    });
  });
  await consumer.commitOffsets([...next].map(([partition, offset]) => ({ topic: TOPIC, partition, offset })));
  await consumer.disconnect();
  return found;
}

async function main() {
  const kafka = new Kafka({ clientId: "ottla-clients", brokers: [process.argv[2]], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await step("create topic", async () => {
    await admin.connect();
    same(true, await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 3 }] }));
  });
  for (const codec of Object.keys(CODECS)) await step(`produce ${codec}`, () => produce(kafka, codec));
  await step("consume and commit", async () => {
    const found = await consume(kafka, RECORDS * 2);
    for (const [value, header] of found) same(value.split("-")[0], header);
    same(RECORDS * 2, new Set(found.map(([value]) => value)).size);
  });
  await step("go on from the commit", async () => {
    await produce(kafka, "none");
    const found = await consume(kafka, RECORDS);
    same(RECORDS, found.length);
    for (const [value] of found) same("none", value.split("-")[0]);
  });
  await step("offsets by time", async () => {
    const starts = await admin.fetchTopicOffsetsByTimestamp(TOPIC, 1);
    for (const start of starts) same(0, start.offset);
    const ends = await admin.fetchTopicOffsets(TOPIC);
    same(RECORDS * 3, ends.reduce((sum, end) => sum + Number(end.high), 0));
  });
  await step("delete topic", () => admin.deleteTopics({ topics: [TOPIC] }));
  await admin.disconnect();
}

main();
