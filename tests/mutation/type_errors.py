"""mypy for mutmut: the type errors of mutants, one JSON object per line.

mutmut needs no test for a mutant that mypy rejects. It writes the mutants of a function next to the original and calls
them through an untyped dispatcher. So errors of the original, which that causes, are no errors of a mutant.
"""

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

_VARIANT = re.compile(r"(.*)__mutmut_(orig|\d+)")


def main() -> None:
    """Print the errors that are in mutants only."""
    command = [sys.executable, "-m", "mypy", "chalicelib", "--output", "json", "--disable-error-code", "unused-ignore"]
    output = subprocess.run(command, check=False, capture_output=True, encoding="utf-8").stdout
    errors = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    placed = [(error, _variant_at(error["file"], error["line"])) for error in errors if error["severity"] == "error"]
    originals = {_key(error, name) for error, (name, number) in placed if number == "orig"}
    for error, (name, number) in placed:
        if number.isdigit() and _key(error, name) not in originals:
            print(json.dumps(error))


def _key(error: dict[str, Any], name: str) -> tuple[str, str, str, str]:
    return error["file"], name, error["code"], error["message"]


def _variant_at(file: str, line: int) -> tuple[str, str]:
    """Return the function and the number of the mutant at a line; the number is ``orig`` for the original."""
    for first, last, name in _functions(file):
        if first <= line <= last and (match := _VARIANT.fullmatch(name)):
            return match[1], match[2]
    return "", ""


@cache
def _functions(file: str) -> list[tuple[int, int, str]]:
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return [(node.lineno, node.end_lineno or node.lineno, node.name) for node in nodes]


if __name__ == "__main__":
    main()
