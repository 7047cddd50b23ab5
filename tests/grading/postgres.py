"""A PostgreSQL server for the tests: of the system's programs, in a folder of its own,
reached by a socket in that folder and by no network."""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

USER = "postgres"  # the server refuses to be started by root


def programs() -> Path | None:
    """The newest installed version's folder of programs; None if there is none."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: int(path.parts[-3]),
    )
    on_path = shutil.which("initdb")
    if on_path:
        found.append(Path(on_path))
    return found[-1].parent if found else None


class Server:
    """A server with nothing in it, ended by `close`."""

    def __init__(self, programs: Path):
        self.programs = programs
        # A socket's path may have no more than 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.owner = None
        if os.geteuid() == 0:
            self.owner = pwd.getpwnam(USER).pw_uid
            os.chown(self.folder, self.owner, -1)
        self._run("initdb", "--no-sync", "-U", USER, "-A", "trust", "-E", "UTF8")
        options = f"-k {self.folder} -h '' -c fsync=off -c max_connections=20"
        self._run("pg_ctl", "-w", "-o", options, "-l", f"{self.folder}/log", "start")

    def _run(self, program, *arguments):
        subprocess.run(
            [self.programs / program, *arguments],
            env={"PGDATA": f"{self.folder}/data", "LC_ALL": "C.UTF-8"},
            cwd=self.folder,
            user=self.owner,
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def url(self, name: str) -> str:
        """The address of a database, as SQLAlchemy writes it."""
        return f"postgresql+psycopg://{USER}@/{name}?host={self.folder}"

    def database(self, template: str = "template1") -> str:
        """The name of a new database, a copy of `template`."""
        import psycopg

        name = f"course_{uuid.uuid4().hex}"
        # Not as SQLAlchemy writes it.
        place = {"host": str(self.folder), "user": USER, "dbname": "postgres"}
        with psycopg.connect(**place, autocommit=True) as connection:
            connection.execute(f"create database {name} template {template}")
        return name

    def close(self):
        """End it; nothing of it stays."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")
        shutil.rmtree(self.folder)
