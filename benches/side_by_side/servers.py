"""The servers that both generators are held against, each on loopback with a folder of its own."""

import json
import os
import pwd
import re
import subprocess
from pathlib import Path

from .process import Missing, Server, find, free_port, listens

KAFKA_HINT = "tests/stack/stack up kafka fetches it; its jars then lie in ~/.cache/slatest"


def nginx(folder):
    """One nginx process that answers /1k.json with 1,024 bytes."""
    port = free_port()
    folder = Path(folder) / "nginx"
    (folder / "www").mkdir(parents=True)
    body = json.dumps({"items": [{"id": f"task-{n}", "title": "x" * 40} for n in range(13)]})
    (folder / "www" / "1k.json").write_text(body[:-1] + " " * (1024 - len(body)) + body[-1])
    temp = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in
                    ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 3600; default_type"
        f" application/json; open_file_cache max=10; {temp}\n"
        f" server {{ listen 127.0.0.1:{port}; root {folder}/www; }} }}\n")
    make_readable(folder)
    server = Server([find("nginx", "apt-get install nginx-light"), "-c", f"{folder}/nginx.conf"], listens(port),
                    folder / "log")
    return server, port


def redis(folder):
    port = free_port()
    server = Server([find("redis-server", "apt-get install redis-server"), "--port", str(port), "--bind", "127.0.0.1",
                     "--save", "", "--appendonly", "no"], listens(port), Path(folder) / "redis.log")
    return server, port


def service_user():
    """PostgreSQL won't run as root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def postgres(folder):
    """PostgreSQL with pgbench's tables at scale 1, in memory as far as it goes."""
    port = free_port()
    folder = Path(folder) / "postgres"
    folder.mkdir()
    user = service_user()
    make_readable(folder)
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    change = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    data = folder / "data"
    subprocess.run([find("initdb", "apt-get install postgresql"), "-D", data, "-U", "bench", "--auth=trust",
                    "--no-sync", "--locale=C", "-E", "UTF8"], check=True, stdout=subprocess.DEVNULL, **change)
    server = Server([find("postgres"), "-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c",
                     "unix_socket_directories=", "-c", "fsync=off"], listens(port), folder / "log", user=user)
    subprocess.run([find("pgbench", "apt-get install postgresql-contrib"), "-i", "-q", "-h", "127.0.0.1", "-p",
                    str(port), "-U", "bench", "postgres"], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return server, port


def kafka(folder):
    """One Kafka node (broker and controller) with a topic `bench` of 6 partitions."""
    libs = Path(os.environ.get("KAFKA_LIBS", ""))
    if not os.environ.get("KAFKA_LIBS"):
        found = sorted(Path("~/.cache/slatest").expanduser().glob("kafka-*/libs"))
        if not found:
            raise Missing(f"no Kafka: {KAFKA_HINT}; or name its jars' folder in $KAFKA_LIBS")
        libs = found[-1]
    port, controller = free_port(), free_port()
    folder = Path(folder) / "kafka"
    folder.mkdir()
    (folder / "log4j.properties").write_text("log4j.rootLogger=OFF\n")
    (folder / "server.properties").write_text(
        "process.roles=broker,controller\nnode.id=1\n"
        f"controller.quorum.voters=1@127.0.0.1:{controller}\n"
        f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n"
        "controller.listener.names=CONTROLLER\n"
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
        "inter.broker.listener.name=PLAINTEXT\n"
        "offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n"
        "transaction.state.log.min.isr=1\nnum.partitions=6\nauto.create.topics.enable=false\n"
        f"log.dirs={folder}/data\nlog.retention.bytes=268435456\nlog.segment.bytes=67108864\n")
    java = [find("java", "apt-get install default-jre-headless"), "-Xmx768m",
            f"-Dlog4j.configuration=file:{folder}/log4j.properties", "-cp", f"{libs}/*"]
    subprocess.run([*java, "kafka.tools.StorageTool", "format", "-t", "kAAAAAAAAAAAAAAAAAAAAA", "-c",
                    f"{folder}/server.properties"], check=True, stdout=subprocess.DEVNULL)
    server = Server([*java, "kafka.Kafka", f"{folder}/server.properties"], listens(port), folder / "log")
    subprocess.run([*java, "kafka.admin.TopicCommand", "--bootstrap-server", f"127.0.0.1:{port}", "--create", "--topic",
                    "bench", "--partitions", "6", "--replication-factor", "1"], check=True, stdout=subprocess.DEVNULL)
    return server, port


def sandbox(folder, slatest, part="sync"):
    """A part of slatest's own sandbox, whose memory is not counted."""
    log = Path(folder) / f"sandbox-{part}.log"
    pattern = {"sync": r"ws://127\.0\.0\.1:\d+/sync", "api": r"http://127\.0\.0\.1:\d+"}[part]

    def ready():
        return re.search(pattern, log.read_text(errors="replace")) is not None

    server = Server([slatest, "sandbox", "--only", part], ready, log)
    return server, re.search(pattern, log.read_text(errors="replace")).group()


def make_readable(folder):
    """nginx's and PostgreSQL's processes change their user; they must get through."""
    for path in [folder, *folder.parents[:1]]:
        path.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
