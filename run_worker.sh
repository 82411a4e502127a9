#!/usr/bin/env bash
# Checks Redis and the database, says in words what is wrong and how to mend it, then becomes the
# ARQ worker. Arguments go to arq: ./run_worker.sh --burst
#
# Exit codes before the worker starts: 1 something is missing or away, 2 a bad setting.
# run_worker.ps1 is the same for Windows and holds the same Redis check, line by line.
set -euo pipefail

say() { printf 'run_worker: %s\n' "$*" >&2; }

stop() {
  say "$1"
  say "  to mend it: $2"
  exit 1
}

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
cd -- "$here" # arq imports `app` from here, and relative paths in .env start here

# --- the virtual environment: .venv beside this script, or the active one
if [[ -x .venv/bin/python ]]; then
  venv=$here/.venv
elif [[ -n ${VIRTUAL_ENV:-} && -x $VIRTUAL_ENV/bin/python ]]; then
  venv=$VIRTUAL_ENV
else
  stop "there is no virtual environment: no .venv beside this script and none is active." \
    "run 'make install' in $here, or activate the environment that has Headway."
fi
for tool in arq headway; do
  [[ -x $venv/bin/$tool ]] || stop "$tool is not installed in $venv." "run 'make install' in $here."
done

# --- .env: NAME=value a line; what the environment has already is left as it is
trim() {
  local text=$1
  text=${text#"${text%%[![:space:]]*}"}
  printf '%s' "${text%"${text##*[![:space:]]}"}"
}

load_env() {
  local assignment='^[[:space:]]*(export[[:space:]]+)?([A-Za-z_][A-Za-z0-9_]*)[[:space:]]*=(.*)$'
  local double='^"([^"]*)"[[:space:]]*(#.*)?$' single="^'([^']*)'[[:space:]]*(#.*)?\$"
  local line name value number=0
  while IFS= read -r line || [[ -n $line ]]; do
    number=$((number + 1))
    [[ $number -gt 1 ]] || line=${line#$'\xef\xbb\xbf'} # Notepad's mark
    line=$(trim "$line")
    [[ -n $line && $line != '#'* ]] || continue
    # The line is not shown: it may hold a password.
    [[ $line =~ $assignment ]] || stop "line $number of .env is not NAME=value." \
      "write it as NAME=value, or put a # in front of it."
    name=${BASH_REMATCH[2]}
    value=$(trim "${BASH_REMATCH[3]}")
    [[ -z ${!name:-} ]] || continue # set in the environment; empty counts as unset, as in Headway
    if [[ $value =~ $double || $value =~ $single ]]; then value=${BASH_REMATCH[1]}; fi
    value=$(trim "${value%%[[:space:]]#*}")
    export "$name=$value"
  done <.env
}

if [[ -f .env ]]; then
  [[ -r .env ]] || stop ".env may not be read by $(id -un)." "chgrp or chmod it, or start as its owner."
  load_env
fi

# --- Redis
"$venv/bin/python" -I - <<'PYTHON' || exit $?
import os
import re
import socket
import ssl
import sys
from urllib.parse import parse_qs, unquote, urlsplit


# The programme waits 3 seconds for each answer, never prints a password, and needs no redis-cli.
def stop(problem, mend):
    sys.exit(f"run_worker: {problem}\nrun_worker:   to mend it: {mend}")


DEFAULT = "redis://localhost:6379"
START = "start Redis there, or correct REDIS_URL (in the environment or in .env)."
PASSWORD = "write REDIS_URL as redis://:PASSWORD@host:port, or redis://USER:PASSWORD@host:port."


def address():
    text = os.environ.get("REDIS_URL") or os.environ.get("IOS_BACKUP_REDIS__URL") or ""
    text = re.sub(r"\s+#.*$", "", text).strip() or DEFAULT
    try:
        url = urlsplit(text)
        port = url.port or 6379
    except ValueError:
        url = port = None
    if not url or url.scheme not in ("redis", "rediss", "unix") or url.fragment:
        stop(
            "REDIS_URL is not an address of Redis.",
            "write it as redis://host:port, rediss://host:port (TLS) or unix:///path;"
            " in a password # is %23, / is %2F, @ is %40.",
        )
    return url, url.hostname or "localhost", port


def connect(url, host, port):
    if url.scheme == "unix":
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(3)
        line.connect(unquote(url.path))
        return line
    line = socket.create_connection((host, port), 3)
    if url.scheme == "rediss":
        options = {name: values[-1] for name, values in parse_qs(url.query).items()}
        context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        if options.get("ssl_cert_reqs") == "none":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        line = context.wrap_socket(line, server_hostname=host)
    return line


def ask(line, *words):
    parts = [word.encode() for word in words]
    line.sendall(
        b"*%d\r\n" % len(parts)
        + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    )
    reply = b""
    while not reply.endswith(b"\n") and len(reply) < 2000:
        more = line.recv(512)
        if not more:
            break
        reply += more
    return reply.decode("utf-8", "replace").strip()


def judge(reply, where):
    if reply.startswith("+"):
        return
    if reply.startswith("-NOAUTH"):
        stop(f"Redis at {where} wants a password.", PASSWORD)
    if reply.startswith(
        ("-WRONGPASS", "-ERR invalid password", "-ERR AUTH", "-ERR Client sent AUTH")
    ):
        stop(f"Redis at {where} does not accept the password in REDIS_URL.", PASSWORD)
    if reply.startswith("-LOADING"):
        stop(
            f"Redis at {where} is still loading its data.",
            "wait until it has, and start again.",
        )
    if reply.startswith("-ERR DB index"):
        stop(
            f"Redis at {where} has no database of that number.",
            "write a smaller number at the end of REDIS_URL.",
        )
    if reply.startswith("-"):
        stop(f"Redis at {where} answered: {reply[1:200]}", "look into Redis' own log.")
    stop(
        f"what listens at {where} is not Redis, or it speaks TLS only.",
        "correct the port in REDIS_URL; for TLS write rediss:// instead of redis://.",
    )


def main():
    url, host, port = address()
    where = unquote(url.path) if url.scheme == "unix" else f"{host}:{port}"
    try:
        with connect(url, host, port) as line:
            if url.password:
                user = [unquote(url.username)] if url.username else []
                judge(ask(line, "AUTH", *user, unquote(url.password)), where)
            judge(ask(line, "PING"), where)
            number = url.path.strip("/")
            if url.scheme != "unix" and number not in ("", "0"):
                judge(ask(line, "SELECT", number), where)
    except ssl.SSLError as error:
        stop(
            f"TLS with Redis at {where} failed: {error.reason or error}",
            "use redis:// if it has no TLS; for a CA of your own set SSL_CERT_FILE,"
            " or add ?ssl_ca_certs=/path.",
        )
    except socket.gaierror:
        stop(
            f"the name {host} in REDIS_URL is not known to this machine.",
            "correct the name, or add it to DNS or the hosts file.",
        )
    except ConnectionRefusedError:
        stop(f"nothing listens at {where}: Redis is not running there.", START)
    except TimeoutError:
        stop(
            f"Redis at {where} does not answer within 3 seconds.",
            "look for a firewall in between, or a Redis that hangs; rediss:// needs one with TLS.",
        )
    except OSError as error:
        stop(f"Redis at {where} cannot be reached: {error.strerror or error}", START)
    print(f"run_worker: Redis answers at {where}", file=sys.stderr)


main()
PYTHON

# --- the database and all the rest: one line each, with the mend
code=0
"$venv/bin/headway" doctor >&2 || code=$?
if [[ $code -ne 0 ]]; then
  say "headway doctor found something wrong: the lines above say what, and how to mend it."
  exit "$code"
fi

say "starting the worker for the queue ${QUEUE_NAME:-default}"
exec "$venv/bin/arq" app.worker.tasks.WorkerSettings "$@"
