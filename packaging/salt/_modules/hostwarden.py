"""
What the hostwarden formula needs to know and Jinja cannot tell: password hashes, and what this
minion answers in the mine.
"""

import ctypes
import ctypes.util
import hmac
import os

__virtualname__ = "hostwarden"

# 1,024 rounds: as `hostwarden passwd` hashes.
BCRYPT_PREFIX = b"$2b$"
BCRYPT_COST = 10


def __virtual__():
    return __virtualname__


def htpasswd(users, path="/etc/hostwarden/htpasswd"):
    """
    The lines of the htpasswd file for ``users``: a dictionary of names, each with a ``hash`` or a
    plain ``password``. A plain one is hashed once: as long as the hash in the file at ``path`` is
    that of the password, it stays.
    """
    present = _read(path)
    lines = []
    for user, secret in sorted(users.items()):
        hashed = secret.get("hash")
        if not hashed:
            password = secret["password"].encode()
            hashed = present.get(user, "")
            if not _is_hash_of(hashed, password):
                hashed = _hash(password)
        lines.append(f"{user}:{hashed}\n")
    return "".join(lines)


def target():
    """
    Where Prometheus finds this minion's agent, and with which labels: the mine function that
    hostwarden.server asks for.
    """
    # pillar.get would hide the values, as on a terminal.
    pillar = __pillar__.get("hostwarden", {})
    port = str(pillar.get("listen", ":9158")).rpartition(":")[2]
    address = pillar.get("address") or __grains__["fqdn"]
    return {"target": f"{address}:{port}", "labels": dict(pillar.get("labels", {}))}


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.rstrip("\n").split(":") for line in file if ":" in line]
    except FileNotFoundError:
        return {}
    return {line[0]: line[1] for line in lines}


def _libcrypt():
    library = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    library.crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    library.crypt_gensalt.restype = ctypes.c_char_p
    library.crypt_gensalt.argtypes = [
        ctypes.c_char_p,
        ctypes.c_ulong,
        ctypes.c_char_p,
        ctypes.c_int,
    ]
    return library


def _is_hash_of(hashed, password):
    # An apr1 hash is Apache's own and not known to libcrypt: such a user is hashed anew.
    if not hashed.startswith("$"):
        return False
    computed = _libcrypt().crypt(password, hashed.encode()) or b"*"
    return hmac.compare_digest(computed, hashed.encode())


def _hash(password):
    library = _libcrypt()
    salt = os.urandom(16)
    setting = library.crypt_gensalt(BCRYPT_PREFIX, BCRYPT_COST, salt, len(salt))
    return library.crypt(password, setting).decode()
