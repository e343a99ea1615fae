"""Says whether a message was signed by a key, by the library of Standard Webhooks.

Arguments: the key, the id, the timestamp, the signature, and the file that holds the body.
"""

import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

KEY, ID, TIMESTAMP, SIGNATURE, FILE = sys.argv[1:]
with open(FILE, "rb") as file:
    body = file.read().decode()
headers = {"webhook-id": ID, "webhook-timestamp": TIMESTAMP, "webhook-signature": SIGNATURE}
try:
    Webhook(KEY).verify(body, headers)
    print("good")
except WebhookVerificationError:
    print("bad")
