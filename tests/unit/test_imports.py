"""Importing the packages stays light, whatever is installed."""

import subprocess
import sys

import pytest

import confroute
import langchain_confroute
import llamaindex_confroute

HEAVY = ("torch", "transformers", "sklearn", "sentence_transformers", "scipy", "pandas")


def imported_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import confroute, langchain_confroute, llamaindex_confroute",
        "from confroute import *",
        "from confroute.uncertainty import *",
        "import confroute.cli; confroute.cli.main(['--help'], standalone_mode=False)",
    ],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    assert imported_by(code).isdisjoint(HEAVY)


def test_the_command_line_starts_without_numpy_or_a_framework() -> None:
    loaded = imported_by("import confroute.cli; confroute.cli.main(['--help'], standalone_mode=False)")
    assert loaded.isdisjoint({"numpy", "langchain_core", "llama_index", "rich"})


@pytest.mark.parametrize("package", [confroute, langchain_confroute, llamaindex_confroute])
def test_every_public_name_is_there(package: object) -> None:
    names = package.__all__  # type: ignore[attr-defined]  # a module
    assert sorted(names) == list(names)
    for name in names:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        package.nonsense  # type: ignore[attr-defined]  # noqa: B018 - the point of the test
