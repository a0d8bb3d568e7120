"""A token service's part: keys, their public form as JSON web keys, and signed tokens, all by the openssl command."""
import base64
import json
import re
import subprocess


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, **options).stdout


class Key:
    def __init__(self, place, kind, kid):
        self.kind, self.kid, self.path = kind, kid, place / f"{kid}.pem"
        options = ("RSA", "-pkeyopt", "rsa_keygen_bits:2048") if kind == "RS256" else ("EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        openssl("genpkey", "-algorithm", *options, "-out", self.path)

    @property
    def public(self):
        text = openssl("pkey", "-in", self.path, "-noout", "-text_pub").decode()

        def number(name):
            found = re.search(name + r":\s*\n((?:\s+[0-9a-f:]+\n)+)", text)
            return bytes.fromhex(re.sub(r"[\s:]", "", found[1]))
        if self.kind == "RS256":
            return {"kty": "RSA", "use": "sig", "kid": self.kid, "n": encode(number("Modulus").lstrip(b"\0")), "e": "AQAB"}
        point = number("pub")
        return {"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.kid, "x": encode(point[1:33]), "y": encode(point[33:])}

    def sign(self, data):
        signature = openssl("dgst", "-sha256", "-sign", self.path, input=data)
        if self.kind == "RS256":
            return signature
        numbers, at = [], 2
        for _ in range(2):  # SEQUENCE of two INTEGERs
            size = signature[at + 1]
            numbers.append(signature[at + 2:at + 2 + size].lstrip(b"\0").rjust(32, b"\0"))
            at += 2 + size
        return b"".join(numbers)

    def token(self, claims, **header):
        head = {"typ": "JWT", "alg": self.kind, "kid": self.kid, **header}
        body = ".".join(encode(json.dumps({k: v for k, v in part.items() if v is not None}).encode()) for part in (head, claims))
        return f"{body}.{encode(self.sign(body.encode()))}"
