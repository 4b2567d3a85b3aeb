"""Checks Kassir's golden signatures with the released Python libraries. Usage: verify.py VECTORS.json ROTATION.json"""

import datetime
import json
import sys
from unittest import mock

import standardwebhooks
import standardwebhooks.webhooks
import svix


class At(datetime.datetime):
    """A clock that stands at the time of the vector: the libraries refuse old messages."""

    second_of = 0

    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(cls.second_of, tz)


def messages(vectors, rotation):
    for one in vectors:
        yield one, one["secret"], one["sig"]
    for secret in (s for s in rotation["secrets"] if s.startswith("whsec_")):
        yield rotation, secret, rotation["header"]


def fits(library, secret, body, headers):
    try:
        library.Webhook(secret).verify(body, headers)
    except json.JSONDecodeError:  # they parse the body once the signature fits, and some vectors are not JSON
        return True
    except Exception:  # each library has an error of its own
        return False
    return True


def main():
    vectors, rotation = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:3])
    checked = 0
    for message, secret, signature in messages(vectors, rotation):
        At.second_of = message["ts"]
        headers = {
            "webhook-id": message["id"],
            "webhook-timestamp": str(message["ts"]),
            "webhook-signature": signature,
        }
        for library in (standardwebhooks, svix):
            with mock.patch.object(standardwebhooks.webhooks, "datetime", At):
                assert fits(library, secret, message["body"].encode(), headers), message
                assert not fits(library, secret, message["body"].encode() + b" ", headers), message
            checked += 1
    assert checked > 0
    print(f"python: {checked} signatures verified, and refused with another body")


main()
