"""What may be in the dependency tree, by the rules of deny.toml, wherever cargo-deny itself is not installed.

    Cargo.lock -> cargo metadata -> licences, sources, one version of arrow

Owns the reading of licence expressions (SPDX), as far as crates use them.
"""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import tomllib

from harness.programs import ROOT

# Mixed versions of these would meet in one signature and not fit. arrow-pg is another project's, with its own versions.
TOGETHER = re.compile(r"arrow(-(?!pg$)\w+)*|parquet")


@pytest.fixture(scope="module")
def packages() -> list[dict]:
    done = subprocess.run(
        ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    metadata = json.loads(done.stdout)
    used = {node["id"] for node in metadata["resolve"]["nodes"]}
    return [package for package in metadata["packages"] if package["id"] in used]


def permits(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be fulfilled with the allowed licences alone."""
    # Crates from before SPDX expressions write "/" for OR.
    words = re.findall(r"[()]|[\w.+-]+", expression.replace("/", " OR "))

    def either(at: int) -> tuple[bool, int]:
        result, at = both(at)
        while at < len(words) and words[at] == "OR":
            other, at = both(at + 1)
            result = result or other
        return result, at

    def both(at: int) -> tuple[bool, int]:
        result, at = one(at)
        while at < len(words) and words[at] == "AND":
            other, at = one(at + 1)
            result = result and other
        return result, at

    def one(at: int) -> tuple[bool, int]:
        if words[at] == "(":
            result, at = either(at + 1)
            assert words[at] == ")", expression
            return result, at + 1
        if at + 1 < len(words) and words[at + 1] == "WITH":
            # An exception only gives more rights, so the licence itself may be allowed without it.
            with_exception = " ".join(words[at : at + 3])
            return bool({with_exception, words[at]} & allowed), at + 3
        return words[at] in allowed, at + 1

    result, end = either(0)
    assert end == len(words), f"cannot read the licence {expression!r}"
    return result


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", True),
        ("GPL-3.0", False),
        ("GPL-2.0 OR MIT", True),
        ("MIT/Apache-2.0", True),
        ("MIT AND GPL-3.0", False),
        ("(MIT OR GPL-2.0) AND Apache-2.0", True),
        ("GPL-2.0 OR MIT AND GPL-3.0", False),
        ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", True),
        ("GPL-2.0 WITH Classpath-exception-2.0", False),
    ],
)
def test_licence_expressions_are_read_right(expression: str, expected: bool) -> None:
    assert permits(expression, {"MIT", "Apache-2.0"}) is expected


def test_every_licence_is_allowed(packages: list[dict]) -> None:
    allowed = set(tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"])
    refused = {
        f"{package['name']} {package['version']}": package["license"]
        for package in packages
        if not (package["license"] and permits(package["license"], allowed))
    }
    assert len(packages) > 100
    assert refused == {}


def test_everything_comes_from_the_registry_or_this_workspace(packages: list[dict]) -> None:
    sources = {package["source"] for package in packages}
    assert sources == {None, "registry+https://github.com/rust-lang/crates.io-index"}


def test_arrow_and_parquet_have_one_version(packages: list[dict]) -> None:
    versions = {package["name"]: set() for package in packages if TOGETHER.fullmatch(package["name"])}
    for package in packages:
        if package["name"] in versions:
            versions[package["name"]].add(package["version"])
    assert versions
    assert {version for found in versions.values() for version in found} == {versions["parquet"].copy().pop()}


@pytest.mark.parametrize(
    ("target", "feature"), [("demo", "mongodb"), ("bench-commit-cost", "simulation"), ("test-build", "hdfs")]
)
def test_a_target_builds_the_writer_with_the_feature_that_it_needs(target: str, feature: str) -> None:
    # GIVEN the command by which make would build it
    told = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    [build] = re.findall(r"cargo build .*", told)
    options = re.findall(r"--no-default-features|--features \S+", build)
    # THEN cargo, with those options, takes the feature
    tree = ["cargo", "tree", "--locked", "-p", "lake-writer", "-e", "normal", "--depth", "0", "-f", "{f}"]
    chosen = subprocess.run([*tree, *" ".join(options).split()], cwd=ROOT, capture_output=True, text=True, check=True)
    assert feature in chosen.stdout.strip().split(","), f"{build} leaves {feature} out: {chosen.stdout}"
