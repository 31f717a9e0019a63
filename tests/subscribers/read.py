"""Reads HOW_MANY messages, or `all` until none has come for four seconds, and prints each as one line
of JSON: where it lay, its attributes as the CloudEvents SDK reads them, the trace context that it has
beside them, and its body byte for byte.

    read.py kafka|rabbitmq|nats ADDRESS HOW_MANY|all
"""
import asyncio
import base64
import json
import sys

from cloudevents.core.bindings import http, kafka, rabbitmq


ALL = sys.maxsize
QUIET = 4.0


def show(topic, key, event, headers, body):
    attributes = {name: str(value) for name, value in event.get_attributes().items()}
    time = event.get_time()
    attributes["time"] = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    context = {name: text(headers[name]) for name in ("traceparent", "tracestate")
               if name in (headers or {})}
    line = {"topic": topic, "key": key, "attributes": attributes, "context": context,
            "body": base64.b64encode(body).decode()}
    print(json.dumps(line), flush=True)


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def show_record(record):
    message = kafka.KafkaMessage(dict(record.headers() or []), record.key(), record.value())
    key = record.key().decode() if record.key() is not None else None
    show(record.topic(), key, kafka.from_kafka_event(message), dict(record.headers() or []),
         record.value())


def show_delivery(method, properties, body):
    message = rabbitmq.RabbitMQMessage(properties.headers, properties.content_type, body)
    show(method.routing_key, properties.message_id, rabbitmq.from_rabbitmq_event(message),
         properties.headers, body)


def show_message(message):
    event = http.from_http_event(http.HTTPMessage(dict(message.headers or {}), message.data))
    show(message.subject, message.headers["Nats-Msg-Id"], event, message.headers, message.data)


def is_all(how_many):
    return how_many > ALL // 2


def joined(consumer):
    return bool(consumer.assignment())


def from_kafka(brokers, how_many):
    from confluent_kafka import Consumer

    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "read",
                         "auto.offset.reset": "earliest", "enable.auto.commit": False,
                         "topic.metadata.refresh.interval.ms": 1000})
    consumer.subscribe([r"^vod\..*"])
    while how_many:
        record = consumer.poll(QUIET)
        if record is None and joined(consumer) and is_all(how_many):
            break
        if record is None or record.error():
            continue
        show_record(record)
        how_many -= 1
    consumer.close()


def from_rabbitmq(url, how_many):
    import pika

    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    quiet = QUIET if is_all(how_many) else None
    for method, properties, body in channel.consume("vod.events", inactivity_timeout=quiet):
        if method is None:
            break
        show_delivery(method, properties, body)
        channel.basic_ack(method.delivery_tag)
        how_many -= 1
        if not how_many:
            break


async def from_nats(url, how_many):
    import nats
    from nats.js.api import AckPolicy, ConsumerConfig

    # An acknowledgement each takes longer than all the rest, and whoever misses one is told so.
    config = ConsumerConfig(ack_policy=AckPolicy.NONE)
    connection = await nats.connect(url)
    consumer = await connection.jetstream().pull_subscribe("vod.>", stream="VOD", config=config)
    while how_many:
        try:
            messages = await consumer.fetch(min(how_many, 1000), timeout=QUIET)
        except (nats.errors.TimeoutError, asyncio.TimeoutError):
            if is_all(how_many):
                break
            continue
        for message in messages:
            show_message(message)
            how_many -= 1
    await connection.close()


if __name__ == "__main__":
    broker, address = sys.argv[1], sys.argv[2]
    how_many = ALL if sys.argv[3] == "all" else int(sys.argv[3])
    if broker == "kafka":
        from_kafka(address, how_many)
    elif broker == "rabbitmq":
        from_rabbitmq(address, how_many)
    else:
        asyncio.run(from_nats(address, how_many))
