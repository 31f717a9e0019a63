"""Prints VOD's events from RabbitMQ: rabbitmq_consumer.py URL [HOW_MANY]"""
import sys

import pika
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_rabbitmq_event

url, how_many = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None
channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
# A queue of your own gets its own copy of every event: declare it, bind it to the exchange `vod`
# by the topics you want ("vod.#": all), and consume from it instead.
channel.basic_qos(prefetch_count=100)
done = 0
for method, properties, body in channel.consume("vod.events"):
    message = RabbitMQMessage(properties.headers, properties.content_type, body)
    event = from_rabbitmq_event(message)
    print(event.get_id(), event.get_type(), event.get_subject(), event.get_data(), flush=True)
    channel.basic_ack(method.delivery_tag)  # only after the work is done
    done += 1
    if done == how_many:
        break
channel.cancel()
