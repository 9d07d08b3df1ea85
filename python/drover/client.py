"""
Requests to the master's REST interface.

1. A request keeps its id when it is sent again: the master acts on it once.
2. A master that is restarted is waited for: refused, reset and timed-out connections and "busy" answers are tried
   again, with pauses from 50 ms to 2 s, for `patience_seconds`.
3. One connection a thread and process: a forked data loader's worker makes its own.
"""

import http.client
import json
import os
import random
import threading
import time
import uuid

from drover.errors import DroverError, NotUnderDrover

_BUSY = frozenset((429, 502, 503, 504))
_ANSWER_SECONDS = 30.0


class Client:
    """See `drover.init`."""

    def __init__(self, address=None, token=None, worker=None, node=None, patience_seconds=300.0):
        env = os.environ
        address = address or env.get("DROVER_MASTER_ADDR")
        if not address:
            raise NotUnderDrover()
        self.address = address.split("://")[-1].rstrip("/")
        self.node = node if node is not None else env.get("DROVER_NODE_ID", "")
        place = (self.node or "local", env.get("RANK", "0"), env.get("DROVER_INCARNATION", "0"))
        self.worker = worker or "%s/%s/%s" % place
        self._token = token or env.get("DROVER_TOKEN")
        self._token_file = env.get("DROVER_TOKEN_FILE")
        self._patience_seconds = patience_seconds
        self._local = threading.local()

    def request(self, method, path, body=None, wait_seconds=0.0):
        """
        The answer's JSON. Raises DroverError: the master's own code, or UNREACHABLE. `wait_seconds`: how long it may
        take to answer.
        """
        headers = {"X-Request-Id": uuid.uuid4().hex, "Accept": "application/json"}  # 1
        payload = None
        if body is not None:
            payload = json.dumps(body)
            headers["Content-Type"] = "application/json"
        deadline = time.monotonic() + self._patience_seconds
        pause = 0.05
        while True:
            status, answer = self._send(method, "/api/v1" + path, payload, headers, wait_seconds)
            if status is not None and status not in _BUSY:
                return _granted(status, answer)
            if time.monotonic() > deadline:
                why = "no answer for %g seconds: %s" % (self._patience_seconds, answer)
                raise DroverError("UNREACHABLE", "%s gives %s" % (self.address, why))
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2.0, pause * 2)

    def _send(self, method, path, payload, headers, wait_seconds):
        """(status, body text), or (None, why) where there was no answer."""
        try:
            connection = self._connection(wait_seconds + _ANSWER_SECONDS)
            connection.request(method, path, payload, {**headers, **self._authorization()})
            response = connection.getresponse()
            return response.status, response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            self._local.connection = None  # 2
            return None, "%s: %s" % (type(error).__name__, error)

    def _connection(self, timeout):
        local = self._local
        if getattr(local, "connection", None) is None or local.pid != os.getpid():  # 3
            local.connection = http.client.HTTPConnection(self.address, timeout=timeout)
            local.pid = os.getpid()
        local.connection.timeout = timeout
        if local.connection.sock is not None:
            local.connection.sock.settimeout(timeout)
        return local.connection

    def _authorization(self):
        """Read anew for each request: a master that was started again may have made another token."""
        token = self._token
        if token is None and self._token_file:
            with open(self._token_file, encoding="utf-8") as file:
                token = file.read().strip()
        return {"Authorization": "Bearer " + token} if token else {}


def _granted(status, text):
    try:
        answer = json.loads(text) if text else {}
    except ValueError:
        raise DroverError("BAD_ANSWER", "status %d with %.200r" % (status, text)) from None
    if status < 400:
        return answer
    error = answer.get("error", {}) if isinstance(answer, dict) else {}
    raise DroverError(error.get("code", "HTTP_%d" % status), error.get("message", text[:200]), error.get("hint"))
