"""Prints VOD's events from Kafka: kafka_consumer.py BROKERS [HOW_MANY]"""
import sys

from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from confluent_kafka import Consumer

brokers, how_many = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None
consumer = Consumer({
    "bootstrap.servers": brokers,
    "group.id": "thumbnails",  # one name for each team: each team sees every event
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
    "topic.metadata.refresh.interval.ms": 5000,  # topics come into being with their first event
})
consumer.subscribe([r"^vod\..*"])
done = 0
while done != how_many:
    record = consumer.poll(1.0)
    if record is None or record.error():
        continue
    headers, key, value = dict(record.headers() or []), record.key(), record.value()
    event = from_kafka_event(KafkaMessage(headers, key, value))
    print(event.get_id(), event.get_type(), event.get_subject(), event.get_data(), flush=True)
    consumer.commit(record, asynchronous=False)  # only after the work is done
    done += 1
