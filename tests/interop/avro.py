"""Confluent's client for Python with its Avro serializers: what an upstream team, or a reader of ours, would write.

    avro.py produce --brokers B --registry URL --topic T [--schema FILE] < records.ndjson
    avro.py consume --brokers B --registry URL --topic T

`produce` takes a JSON document a line, {"key": HEX, "value": {...}, "headers": {NAME: TEXT}}, of which key and headers may be
absent. The value is written with the newest schema of the subject T-value; with --schema that of the file is registered
first. `consume` prints what readers of committed records see, from the oldest to the end of every partition, as
{"partition", "offset", "key", "headers", "value"}. Bytes are {"$bytes": HEX} in JSON. Properties of librdkafka are passed
through by --property NAME=VALUE.
"""

import argparse
import datetime
import json
import sys

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

PATIENCE = 30.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["produce", "consume"])
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--registry", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--schema")
    parser.add_argument("--property", action="append", default=[], metavar="NAME=VALUE")
    args = parser.parse_args()
    client = {"bootstrap.servers": args.brokers}
    client.update(entry.split("=", 1) for entry in args.property)
    registry = SchemaRegistryClient({"url": args.registry})
    context = SerializationContext(args.topic, MessageField.VALUE)
    if args.command == "produce":
        produce(args, client, registry, context)
    else:
        consume(args, client, registry, context)


def produce(args, client, registry, context):
    if args.schema:
        with open(args.schema, encoding="utf-8") as file:
            registry.register_schema(f"{args.topic}-value", Schema(file.read(), "AVRO"))
    settings = {"auto.register.schemas": False, "use.latest.version": True}
    serialize = AvroSerializer(registry, conf=settings)
    # The keys of Java clients and of this one land on the same partition only so.
    producer = Producer({**client, "partitioner": "murmur2_random", "enable.idempotence": True})
    failures = []

    def delivered(error, message):
        if error is not None:
            failures.append(str(error))
        else:
            key = message.key().hex() if message.key() is not None else None
            print(json.dumps({"partition": message.partition(), "offset": message.offset(), "key": key}))

    for line in sys.stdin:
        record = from_json(json.loads(line))
        key = bytes.fromhex(record["key"]) if record.get("key") is not None else None
        value = serialize(record["value"], context)
        headers = [(name, text.encode()) for name, text in record.get("headers", {}).items()]
        producer.produce(args.topic, key=key, value=value, headers=headers, on_delivery=delivered)
        producer.poll(0)
    left = producer.flush(PATIENCE)
    if failures or left:
        sys.exit(f"{len(failures)} records refused, {left} not answered: {failures[:3]}")


def consume(args, client, registry, context):
    deserialize = AvroDeserializer(registry)
    consumer = Consumer(
        {
            **client,
            "group.id": "interop",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    topic = consumer.list_topics(args.topic, timeout=PATIENCE).topics[args.topic]
    if topic.error is not None:
        sys.exit(f"{args.topic}: {topic.error}")
    open_partitions = set(topic.partitions)
    consumer.assign([TopicPartition(args.topic, partition, 0) for partition in open_partitions])
    while open_partitions:
        message = consumer.poll(PATIENCE)
        if message is None:
            sys.exit(f"{args.topic}: nothing came within {PATIENCE} s; not read to the end: {sorted(open_partitions)}")
        if message.error() is not None:
            if message.error().code() != KafkaError._PARTITION_EOF:
                sys.exit(str(message.error()))
            open_partitions.discard(message.partition())
            continue
        print(json.dumps(record_of(message, deserialize, context), default=to_json))
    consumer.close()


def record_of(message, deserialize, context):
    return {
        "partition": message.partition(),
        "offset": message.offset(),
        "key": message.key().hex() if message.key() is not None else None,
        "headers": {name: value.decode("utf-8", "replace") for name, value in message.headers() or []},
        "value": deserialize(message.value(), context) if message.value() is not None else None,
    }


def from_json(value):
    """What JSON has no form for: bytes."""
    if isinstance(value, dict):
        if value.keys() == {"$bytes"}:
            return bytes.fromhex(value["$bytes"])
        return {name: from_json(part) for name, part in value.items()}
    if isinstance(value, list):
        return [from_json(part) for part in value]
    return value


def to_json(value):
    """What JSON has no form for: bytes, and the times that logical types become."""
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, datetime.datetime):
        text = value.astimezone(datetime.timezone.utc).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")
    return str(value)


if __name__ == "__main__":
    main()
