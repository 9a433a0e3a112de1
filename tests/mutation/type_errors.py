"""mypy for mutmut: the type errors of mutants, one JSON object per line.

mutmut needs no test for a mutant that mypy rejects. It writes the mutants of a function next to the original and calls
them through an untyped dispatcher. So errors of the original, which that causes, are no errors of a mutant.

mutmut keeps the results of an earlier run, and takes seconds to find the mutant of an error in a file. So the errors of
files that have not changed since then are not printed again.
"""

import ast
import hashlib
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

_VARIANT = re.compile(r"(.*)__mutmut_(orig|\d+)")
_CHECKED = Path("type-errors.json")  # the hashes of the files of the last run


def main() -> None:
    """Print the errors that are in mutants only, of files that have changed."""
    command = [sys.executable, "-m", "mypy", "chalicelib", "--output", "json", "--disable-error-code", "unused-ignore"]
    output = subprocess.run(command, check=False, capture_output=True, encoding="utf-8").stdout
    errors = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    files = {error["file"]: _hash(error["file"]) for error in errors}
    checked: dict[str, str] = json.loads(_CHECKED.read_text()) if _CHECKED.exists() else {}
    errors = [
        error for error in errors if error["severity"] == "error" and files[error["file"]] != checked.get(error["file"])
    ]
    placed = [(error, _variant_at(error["file"], error["line"])) for error in errors]
    originals = {_key(error, name) for error, (name, number) in placed if number == "orig"}
    for error, (name, number) in placed:
        if number.isdigit() and _key(error, name) not in originals:
            print(json.dumps(error))
    _CHECKED.write_text(json.dumps(checked | files))


def _hash(file: str) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


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
