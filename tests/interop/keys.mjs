// Keys as a JavaScript team writes them, with kafkajs and the partitioner that it takes by default.
//
//   node keys.mjs BROKERS TOPIC PARTITIONS < keys
//
// Makes the topic if there is none, reads a key in hex a line, writes a record with it, and prints where the broker says
// that it is: {"key": HEX, "partition": N}. INTEROP_NODE names the directory with node_modules.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";

const require = createRequire(`${process.env.INTEROP_NODE}/`);
const { Kafka, Partitioners, logLevel } = require("kafkajs");

const [brokers, topic, partitions] = process.argv.slice(2);
const kafka = new Kafka({ clientId: "keys", brokers: brokers.split(","), logLevel: logLevel.NOTHING });

const admin = kafka.admin();
await admin.connect();
const topics = [{ topic, numPartitions: Number(partitions), replicationFactor: 1 }];
await admin.createTopics({ topics, waitForLeaders: false });
await known();
await admin.disconnect();

const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
await producer.connect();
for await (const line of createInterface({ input: process.stdin })) {
  const messages = [{ key: Buffer.from(line, "hex"), value: "x" }];
  // One at a time: the answer names partitions, not records.
  const [{ partition }] = await producer.send({ topic, messages });
  console.log(JSON.stringify({ key: line, partition }));
}
await producer.disconnect();

// Waits until the broker knows the topic, which is later than that it is created. kafkajs would wait for leaders only.
async function known() {
  const deadline = Date.now() + 30_000;
  for (;;) {
    try {
      return await admin.fetchTopicMetadata({ topics: [topic] });
    } catch (error) {
      if (!error.retriable || Date.now() > deadline) throw error;
      await setTimeout(20);
    }
  }
}
