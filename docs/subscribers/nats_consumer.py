"""Prints VOD's events from NATS JetStream: nats_consumer.py URL [HOW_MANY]"""
import asyncio
import sys

import nats
from cloudevents.core.bindings.http import HTTPMessage, from_http_event


async def main(url, how_many):
    connection = await nats.connect(url)
    # A durable name for each team: each team sees every event.
    consumer = await connection.jetstream().pull_subscribe("vod.>", "thumbnails", stream="VOD")
    done = 0
    while done != how_many:
        try:
            messages = await consumer.fetch(1, timeout=5)
        except (nats.errors.TimeoutError, asyncio.TimeoutError):
            continue
        for message in messages:
            # The SDK has no NATS binding; its headers are those of HTTP.
            event = from_http_event(HTTPMessage(dict(message.headers or {}), message.data))
            print(event.get_id(), event.get_type(), event.get_subject(), event.get_data(), flush=True)
            await message.ack_sync()  # only after the work is done
            done += 1
    await connection.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None))
