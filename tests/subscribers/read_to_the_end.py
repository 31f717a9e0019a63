"""Reads all that lies in a broker now, however much it is, and prints each message as read.py does.
Kafka and NATS keep it; RabbitMQ's queue is empty afterwards. Where there is no topic, queue or
stream there is nothing to read. A journal's rows come without attributes: their bodies are whole.

    read_to_the_end.py kafka|rabbitmq|nats ADDRESS
    read_to_the_end.py journal FILE TABLE
"""
import asyncio
import base64
import json
import sqlite3
import sys

from read import show_delivery, show_message, show_record

# A broker that was just started again, on a busy machine.
PATIENCE = 30.0


def from_kafka(brokers):
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "to-the-end",
                         "enable.auto.commit": False})
    ends = {}
    for name, topic in consumer.list_topics(timeout=PATIENCE).topics.items():
        for partition in topic.partitions if name.startswith("vod.") else []:
            low, high = consumer.get_watermark_offsets(TopicPartition(name, partition),
                                                       timeout=PATIENCE)
            if high > low:
                ends[name, partition] = high
    consumer.assign([TopicPartition(name, partition, OFFSET_BEGINNING) for name, partition in ends])
    while ends:
        record = consumer.poll(PATIENCE)
        if record is None:
            sys.exit(f"nothing more came before the end of {sorted(ends)}")
        if record.error():
            continue
        place = record.topic(), record.partition()
        if record.offset() < ends.get(place, 0):
            show_record(record)
        if record.offset() + 1 >= ends.get(place, 0):
            ends.pop(place, None)
    consumer.close()


def from_rabbitmq(url):
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    try:
        channel.queue_declare("vod.events", passive=True)
    except pika.exceptions.ChannelClosedByBroker:
        return
    while True:
        method, properties, body = channel.basic_get("vod.events", auto_ack=True)
        if method is None:
            break
        show_delivery(method, properties, body)
    connection.close()


async def from_nats(url):
    import nats
    from nats.js.api import AckPolicy, ConsumerConfig

    connection = await nats.connect(url)
    stream = connection.jetstream(timeout=PATIENCE)
    try:
        left = (await stream.stream_info("VOD")).state.messages
    except nats.js.errors.NotFoundError:
        left = 0
    if left:
        config = ConsumerConfig(ack_policy=AckPolicy.NONE)
        consumer = await stream.pull_subscribe("vod.>", stream="VOD", config=config)
        while left:
            messages = await consumer.fetch(min(left, 500), timeout=PATIENCE)
            for message in messages:
                show_message(message)
            left -= len(messages)
    await connection.close()


def from_journal(file, table):
    journal = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    rows = journal.execute(f"SELECT id, coalesce(file, ''), body FROM {table} ORDER BY seq")
    for identity, file_id, body in rows:
        line = {"topic": table, "key": None, "attributes": {"id": identity, "vodfileid": file_id},
                "body": base64.b64encode(body).decode()}
        print(json.dumps(line))


if __name__ == "__main__":
    broker, address = sys.argv[1], sys.argv[2]
    if broker == "kafka":
        from_kafka(address)
    elif broker == "rabbitmq":
        from_rabbitmq(address)
    elif broker == "nats":
        asyncio.run(from_nats(address))
    else:
        from_journal(address, sys.argv[3])
