"""A token endpoint of OAuth 2 that signs its tokens."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


def as_base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer:
    """An identity provider: who has the client's secret gets a token that it has signed.

    Args:
        tls: Its TLS; none by default.
    """

    secret = "a-secret-of-the-client"

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.issued = 0
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                expected = "Basic " + base64.b64encode(f"dataops:{tokens.secret}".encode()).decode()
                good = self.headers["Authorization"] == expected
                answer = {"access_token": tokens.token(), "token_type": "Bearer", "expires_in": 300} if good else {}
                body = json.dumps(answer or {"error": "invalid_client"}).encode()
                self.send_response(200 if good else 401)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}/token"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def token(self) -> str:
        """Return a JWT (RFC 7519), signed with RS256 (RFC 7518)."""
        self.issued += 1
        now = int(time.time())
        claims = {"sub": "dataops", "iss": "tests", "aud": "kafka", "iat": now, "exp": now + 300}
        parts = [as_base64(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "k"}, claims)]
        signature = self._key.sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
        return ".".join([*parts, as_base64(signature)])

    def keys(self) -> str:
        """Return the key to check tokens with, as a JWKS (RFC 7517)."""
        numbers = self._key.public_key().public_numbers()
        n, e = (as_base64(number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in (numbers.n, numbers.e))
        return json.dumps({"keys": [{"kty": "RSA", "kid": "k", "use": "sig", "alg": "RS256", "n": n, "e": e}]})

    def public_key(self) -> bytes:
        """Return the same key in PEM format."""
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(serialization.Encoding.PEM, kind)

    def rotate(self) -> None:
        """Sign further tokens with another key."""
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
