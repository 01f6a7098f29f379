"""A PostgreSQL for benchmarks: a cluster of its own, from Debian's package, in a directory of its own.

It runs without syncs, as in the tests: what is measured is Remuda, not the disk of this machine.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from relay import free_port  # noqa: E402

SETTINGS = ["listen_addresses=127.0.0.1", "fsync=off", "full_page_writes=off", "max_connections=200", "shared_buffers=64MB"]


class Postgres:
    def __init__(self):
        versions = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        if not versions:
            sys.exit("PostgreSQL is not installed (make bench-directory does that)")
        programs = versions[-1].parent
        # The server refuses to be root, and its user must be able to come here.
        self.user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"] if os.getuid() == 0 else []
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="postgres-"))
        if self.user:
            shutil.chown(self.dir, "postgres")
        self.port = free_port()
        initdb = [*self.user, programs / "initdb", "--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8"]
        subprocess.run([*initdb, "--locale=C", "-D", self.dir / "data"], check=True, capture_output=True, cwd=self.dir)
        server = [*self.user, programs / "postgres", "-D", self.dir / "data", "-p", str(self.port)]
        for setting in [*SETTINGS, f"unix_socket_directories={self.dir}"]:
            server += ["-c", setting]
        log = (self.dir / "log").open("wb")
        self.process = subprocess.Popen(server, stdout=log, stderr=log, cwd=self.dir)
        for _ in range(200):
            if subprocess.run(self.psql("postgres", "-c", "SELECT 1"), capture_output=True).returncode == 0:
                break
            time.sleep(0.05)
        else:
            sys.exit(f"PostgreSQL does not answer: {self.dir}/log")
        self.databases = 0

    def psql(self, database, *more):
        return ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *more, self.url(database)]

    def url(self, database):
        return f"postgres://postgres@127.0.0.1:{self.port}/{database}"

    def database(self):
        """Makes an empty one."""
        self.databases += 1
        name = f"bench_{self.databases}"
        subprocess.run(self.psql("postgres", "-c", f"CREATE DATABASE {name}"), check=True, capture_output=True)
        return name

    def transactions(self, database):
        """How many the server has counted in a database; it may be a second late."""
        sql = f"SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{database}'"
        return int(subprocess.run(self.psql("postgres", "-c", sql), check=True, capture_output=True).stdout)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        shutil.rmtree(self.dir, ignore_errors=True)
