"""What the tests stand on: real servers with conveniences, the two programs, and DuckDB as judge.

    native_stack (hadoop/) -> kafka_cluster, storage -> lake (one table's place) -> programs write -> judge reads

Owns nothing that users see. Fixtures over these classes are in conftest.py.
"""
