"""Reads a queue to its end with the vendor's own SDK: pull.py PORT SECRET_ID SECRET_KEY

Changes the configuration, pulls and confirms until the queue says that it is empty, and prints what
it was told as one line of JSON.
"""

import json
import sys

from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.vod.v20180717 import models
from tencentcloud.vod.v20180717.vod_client import VodClient


def main(port, secret_id, secret_key):
    http = HttpProfile(protocol="http", endpoint=f"127.0.0.1:{port}", reqTimeout=10)
    client = VodClient(Credential(secret_id, secret_key), "", ClientProfile(httpProfile=http))

    change = models.ModifyEventConfigRequest()
    change.DeleteMediaCompleteEventSwitch = "OFF"
    client.ModifyEventConfig(change)
    config = client.DescribeEventConfig(models.DescribeEventConfigRequest())
    before = client.DescribeEventsState(models.DescribeEventsStateRequest())

    batches, files, end = [], [], None
    while end is None:
        try:
            events = client.PullEvents(models.PullEventsRequest()).EventSet
        except TencentCloudSDKException as error:
            end = error.get_code()
            continue
        batches.append(len(events))
        files += [event.FileUploadEvent.FileId for event in events]
        confirm = models.ConfirmEventsRequest()
        confirm.EventHandles = [event.EventHandle for event in events]
        client.ConfirmEvents(confirm)

    told = {
        "config": [config.Mode, config.UploadMediaCompleteEventSwitch,
                   config.DeleteMediaCompleteEventSwitch],
        "waiting": before.CountOfEventsToPull,
        "batches": batches,
        "files": files,
        "end": end,
        "confirming_again": code_of(lambda: client.ConfirmEvents(confirm)),
    }
    print(json.dumps(told))


def code_of(call):
    """The code of the error that the call ends with."""
    try:
        call()
    except TencentCloudSDKException as error:
        return error.get_code()


main(*sys.argv[1:])
