"""What an operator does to a broker while the bridge runs, by the broker's own client.

    operate.py kafka|rabbitmq|nats ADDRESS remove        deletes the topics, the queue or the stream
    operate.py kafka ADDRESS grant|deny                  what the user `bridge` may do
    operate.py kafka ADDRESS password NEW                its password
"""
import asyncio
import sys

PATIENCE = 30.0


def finished(futures):
    for future in futures.values():
        future.result(timeout=PATIENCE)


def kafka(address, action, arguments):
    from confluent_kafka import admin
    from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation,
                                       AclPermissionType, ResourcePatternType, ResourceType)

    client = admin.AdminClient({"bootstrap.servers": address})
    if action == "remove":
        topics = client.list_topics(timeout=PATIENCE).topics
        topics = [topic for topic in topics if topic.startswith("vod.")]
        finished(client.delete_topics(topics) if topics else {})
    elif action == "password":
        scram = admin.ScramCredentialInfo(admin.ScramMechanism.SCRAM_SHA_256, 4096)
        change = admin.UserScramCredentialUpsertion("bridge", scram, arguments[0].encode())
        finished(client.alter_user_scram_credentials([change]))
    else:
        def may(kind, name, pattern, operation):
            return AclBinding(kind, name, pattern, "User:bridge", "*", operation,
                              AclPermissionType.ALLOW)

        write = may(ResourceType.TOPIC, "vod.", ResourcePatternType.PREFIXED, AclOperation.WRITE)
        if action == "grant":
            rest = [may(ResourceType.TOPIC, "vod.", ResourcePatternType.PREFIXED, operation)
                    for operation in (AclOperation.CREATE, AclOperation.DESCRIBE,
                                      AclOperation.DESCRIBE_CONFIGS)]
            rest.append(may(ResourceType.BROKER, "kafka-cluster", ResourcePatternType.LITERAL,
                            AclOperation.IDEMPOTENT_WRITE))
            finished(client.create_acls([write, *rest]))
        else:
            which = AclBindingFilter(ResourceType.TOPIC, "vod.", ResourcePatternType.PREFIXED,
                                     "User:bridge", "*", AclOperation.WRITE,
                                     AclPermissionType.ALLOW)
            finished(client.delete_acls([which]))


def rabbitmq(address, action, _):
    import pika

    assert action == "remove", action
    connection = pika.BlockingConnection(pika.URLParameters(address))
    connection.channel().queue_delete("vod.events")
    connection.close()


async def nats(address, action, _):
    import nats as client

    assert action == "remove", action
    connection = await client.connect(address)
    await connection.jetstream(timeout=PATIENCE).delete_stream("VOD")
    await connection.close()


if __name__ == "__main__":
    broker, address, action, *arguments = sys.argv[1:]
    if broker == "kafka":
        kafka(address, action, arguments)
    elif broker == "rabbitmq":
        rabbitmq(address, action, arguments)
    else:
        asyncio.run(nats(address, action, arguments))
