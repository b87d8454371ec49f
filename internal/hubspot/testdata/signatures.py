"""Writes signatures.json: vectors for HubSpot's signature v3.

Made with Python's hmac and base64 modules from HubSpot's description alone
(validating requests): HMAC-SHA-256 over method + decoded URI + body +
timestamp, keyed with the client secret, in Base64. It shares no code with the
Go package. Run it in this folder: python3 signatures.py
"""
import base64
import hashlib
import hmac
import json
import re

DECODED = {"3A": ":", "2F": "/", "3F": "?", "40": "@", "21": "!", "24": "$",
           "27": "'", "28": "(", "29": ")", "2A": "*", "2C": ",", "3B": ";"}


def decode(uri):
    return re.sub("%([0-9A-F]{2})", lambda m: DECODED.get(m.group(1), m.group(0)), uri)


def vector(name, uri, body, method="POST", secret="3f2c1a90-secret", timestamp="1782371969536"):
    source = method.encode() + decode(uri).encode() + body + timestamp.encode()
    digest = hmac.new(secret.encode(), source, hashlib.sha256).digest()
    return {"name": name, "secret": secret, "method": method, "url": uri, "timestamp": timestamp,
            "body": base64.b64encode(body).decode(), "signature": base64.b64encode(digest).decode()}


EVENT = b'[{"eventId":60775291,"subscriptionType":"contact.creation","objectId":508369434347}]'
VECTORS = [
    vector("one event", "https://example.com/webhook", EVENT),
    vector("an empty body", "https://example.com/webhook", b""),
    vector("a get", "https://example.com/webhook?a=1", b"", method="GET"),
    vector("spaces and order of the body count", "https://example.com/webhook", b'[ {"b":1,\n"a":2} ]'),
    vector("text beyond ASCII", "https://example.com/webhook", '[{"propertyValue":"Zoë €"}]'.encode()),
    vector("bytes that are no text", "https://example.com/webhook", b"\xff\xfe\x00["),
    vector("all twelve escapes", "https://example.com/h?q=" + "".join("%" + h for h in DECODED), EVENT),
    vector("escapes that stay", "https://example.com/h?q=%20%2B%26%3D%25%23%5B%C3%A9+x", EVENT),
    vector("one pass", "https://example.com/h?q=%2540%252F%253A", EVENT),
    vector("a secret beyond ASCII", "https://example.com/webhook", EVENT, secret="clé"),
    vector("another timestamp", "https://example.com/webhook", EVENT, timestamp="1000000000000"),
]

with open("signatures.json", "w", encoding="utf-8") as out:
    json.dump(VECTORS, out, indent=1, ensure_ascii=False)
    out.write("\n")
