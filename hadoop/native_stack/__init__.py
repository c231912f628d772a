"""The real servers on this machine, without containers: Kafka, HDFS, S3 and MongoDB.

    pinned artifacts -> one folder per instance -> Stack -> lake-writer, tests, developers

For the command line see `hadoop/stack.py`; for tests, `Stack` and the single servers:

    stack = Stack("/tmp/mine", only=["kafka", "hdfs"]); stack.up(); stack.kafka.kill(); stack.kafka.start()
    secured = Kafka(State("/tmp/other"), scram_users={"writer": "secret"})
"""

from .errors import InstallFailed, MissingTool, NotRunning, PortTaken, ServerFailed, StackError
from .hdfs import Hdfs
from .kafka import Kafka
from .kerberos import Kdc
from .mongodb import MongoDb
from .s3 import S3
from .stack import ALL, Stack
from .state import State

__all__ = [
    "ALL",
    "S3",
    "Hdfs",
    "InstallFailed",
    "Kafka",
    "Kdc",
    "MissingTool",
    "MongoDb",
    "NotRunning",
    "PortTaken",
    "ServerFailed",
    "Stack",
    "StackError",
    "State",
]
