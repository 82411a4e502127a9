# Checks Redis and the database, says in words what is wrong and how to mend it, then runs the ARQ
# worker. Arguments go to arq: .\run_worker.ps1 --burst
#
# Exit codes before the worker starts: 1 something is missing or away, 2 a bad setting; after that
# they are the worker's. For Windows PowerShell 5.1 and later; ASCII only, because 5.1 takes a file
# without a mark for the local code page. run_worker.sh is the same for Linux and macOS and holds
# the same Redis check, line by line.
Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'

function Write-Line([string] $Text) {
    [Console]::Error.WriteLine("run_worker: $Text")
}

function Stop-Start([string] $Problem, [string] $Mend) {
    Write-Line $Problem
    Write-Line "  to mend it: $Mend"
    exit 1
}

$check = @'
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
'@

$taken = @()
Push-Location -LiteralPath $PSScriptRoot  # arq imports `app` from here, and .env is here
try {
    # --- the virtual environment: .venv beside this script, or the active one
    $scripts = Join-Path $PSScriptRoot '.venv\Scripts'
    if (-not (Test-Path -LiteralPath (Join-Path $scripts 'python.exe'))) {
        if (-not $env:VIRTUAL_ENV) {
            Stop-Start 'there is no virtual environment: no .venv beside this script and none is active.' `
                'make one as docs\guides\install.md says, or activate the one that has Headway.'
        }
        $scripts = Join-Path $env:VIRTUAL_ENV 'Scripts'
    }
    foreach ($tool in 'python.exe', 'arq.exe', 'headway.exe') {
        if (-not (Test-Path -LiteralPath (Join-Path $scripts $tool))) {
            Stop-Start "$tool is not in $scripts." 'install the requirements again, as docs\guides\install.md says.'
        }
    }

    # --- .env: NAME=value a line; what the environment has already is left as it is
    if (Test-Path -LiteralPath '.env') {
        $number = 0
        foreach ($line in @(Get-Content -LiteralPath '.env' -Encoding UTF8)) {
            $number += 1
            if ($line -match '^\s*(#.*)?$') { continue }
            # The line is not shown: it may hold a password.
            if ($line -notmatch '^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)$') {
                Stop-Start "line $number of .env is not NAME=value." 'write it as NAME=value, or put a # in front of it.'
            }
            $name = $Matches[1]
            $value = $Matches[2].Trim()
            if ([Environment]::GetEnvironmentVariable($name)) { continue }
            if (($value -match '^"([^"]*)"\s*(#.*)?$') -or ($value -match "^'([^']*)'\s*(#.*)?$")) {
                $value = $Matches[1]
            }
            $value = ($value -replace '\s#.*$', '').Trim()
            [Environment]::SetEnvironmentVariable($name, $value)
            $taken += $name
        }
    }

    # --- Redis
    $OutputEncoding = [System.Text.Encoding]::ASCII  # what goes down the pipe to Python, without a mark
    $check | & (Join-Path $scripts 'python.exe') -I '-'
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }

    # --- the database and all the rest: one line each, with the mend
    & (Join-Path $scripts 'headway.exe') doctor | Out-Host
    if ($LASTEXITCODE -ne 0) {
        Write-Line 'headway doctor found something wrong: the lines above say what, and how to mend it.'
        exit $LASTEXITCODE
    }

    $queue = 'default'
    if ($env:QUEUE_NAME) { $queue = $env:QUEUE_NAME }
    Write-Line "starting the worker for the queue $queue"
    & (Join-Path $scripts 'arq.exe') app.worker.tasks.WorkerSettings @args
    exit $LASTEXITCODE
}
finally {
    # A later start in the same window must read .env anew, not what this one took from it.
    foreach ($name in $taken) { [Environment]::SetEnvironmentVariable($name, $null) }
    Pop-Location
}
