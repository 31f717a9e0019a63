"""Says whether the vendor's own SDK signs a request as it is signed: exits with 0 or 1.

The request comes on standard input as JSON: `secret_id`, `secret_key`, `service`, `body`, and
`headers` with Authorization, Content-Type, Host and X-TC-Timestamp. What canonical form it has and
what is made of it are the SDK's words (`AbstractClient`, `Sign.sign_tc3`).
"""

import json
import sys
from datetime import datetime, timezone

from tencentcloud.common.abstract_client import AbstractClient
from tencentcloud.common.http.request import RequestInternal


def authorization(request):
    headers, service = request["headers"], request["service"]
    http = RequestInternal(headers["Host"], "POST", "/", headers, request["body"])
    date = datetime.fromtimestamp(int(headers["X-TC-Timestamp"]), timezone.utc).strftime("%Y-%m-%d")
    # It looks at its arguments alone.
    signature = AbstractClient._get_tc3_signature(
        None, {}, http, date, service, request["secret_key"])
    scope = f"{request['secret_id']}/{date}/{service}/tc3_request"
    return (f"TC3-HMAC-SHA256 Credential={scope}, SignedHeaders=content-type;host, "
            f"Signature={signature}")


request = json.load(sys.stdin)
expected = authorization(request)
if request["headers"]["Authorization"] != expected:
    sys.exit(f"the SDK says {expected}")
