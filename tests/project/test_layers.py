"""The import arrows of the design's section 6, read from the sources."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "smfs"
MODULES = sorted(PACKAGE.rglob("*.py"))

# cli -> fuse -> tree -> client -> protocol -> crypto -> errors, and cli -> service -> protocol
BELOW: dict[str, set[str]] = {
    "errors": set(),
    "crypto": {"errors"},
    "protocol": {"crypto", "errors"},
    "client": {"protocol", "crypto", "errors"},
    "service": {"protocol", "crypto", "errors"},
    "tree": {"client", "protocol", "crypto", "errors"},
    "fuse": {"tree", "client", "protocol", "crypto", "errors"},
    "config": {"errors"},
    "cli": {"config", "fuse", "tree", "client", "service", "protocol", "crypto", "errors"},
    # The public face of the library: the client, what it is made of, and its errors.
    "": {"client", "protocol", "crypto", "errors"},
}

# Who alone may import a package: prefixes of module names.
ONLY = {
    "nacl": ("smfs.crypto",),
    "cryptography": ("smfs.crypto",),
    "httpx": ("smfs.client", "smfs.service.hooks"),
    "prometheus_client": ("smfs.service.operating",),
    "pyfuse3": ("smfs.fuse",),
    "errno": ("smfs.fuse",),
    "trio": ("smfs.fuse", "smfs.cli"),
    "asyncio": ("smfs.cli",),
    "uvicorn": ("smfs.cli",),
    "click": ("smfs.cli",),
    "sqlite3": ("smfs.service", "smfs.client.cache"),
    "tomllib": ("smfs.config",),
    "tomlkit": ("smfs.config", "smfs.cli"),
}

# Pure: no I/O, no clock, no event loop.
IMPURE = {"anyio", "asyncio", "httpx", "os", "pathlib", "select", "socket", "sqlite3", "ssl"}
IMPURE |= {"subprocess", "threading", "time", "trio", "urllib"}


def name_of(path: Path) -> str:
    """The dotted name of a module."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module: str) -> str:
    """The layer of a module of ours: the second part of its name."""
    return module.split(".")[1] if "." in module else ""


def imports_of(path: Path) -> Iterator[str]:
    """The dotted names that a module imports, wherever in it, those for type checking too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def belongs(name: str, prefix: str) -> bool:
    """Whether a dotted name is that package or lies in it."""
    return name == prefix or name.startswith(prefix + ".")


def test_every_layer_is_known() -> None:
    """A new folder or module at the top needs a place among the arrows."""
    assert {layer_of(name_of(path)) for path in MODULES} <= set(BELOW)
    assert len(MODULES) > 20


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_downwards(path: Path) -> None:
    """A module imports from its own layer and from those below it only."""
    layer = layer_of(name_of(path))
    ours = {name for name in imports_of(path) if belongs(name, "smfs")} - {"smfs.__version__"}
    wrong = {name for name in ours if layer_of(name) not in BELOW[layer] | {layer}}
    assert not wrong, f"{name_of(path)} imports {wrong}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_packages_are_imported_by_their_owners_only(path: Path) -> None:
    """Each outside package has the layers that may know it."""
    module = name_of(path)
    for imported in imports_of(path):
        owners = ONLY.get(imported.split(".")[0])
        if owners:
            assert module.startswith(owners), f"{module} imports {imported}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_pure_layers_stay_pure(path: Path) -> None:
    """Errors and protocol know no network, no clock, no file and no event loop."""
    if layer_of(name_of(path)) in ("errors", "protocol"):
        outside = {imported.split(".")[0] for imported in imports_of(path)}
        assert not outside & IMPURE


def test_the_arrows_have_no_circle() -> None:
    """What is below a layer never has that layer below itself."""
    for layer, below in BELOW.items():
        assert all(layer not in BELOW[each] for each in below)


def test_errors_import_nothing_of_ours() -> None:
    """The exception tree stands alone."""
    imported = set(imports_of(PACKAGE / "errors.py"))
    assert not [name for name in imported if belongs(name, "smfs")]


def test_a_forbidden_import_is_noticed(tmp_path: Path) -> None:
    """The reading of sources sees imports inside functions and under conditions."""
    source = tmp_path / "module.py"
    source.write_text(
        "import os.path\nif True:\n    from smfs import client\n"
        "def f():\n    from smfs.service.store import Store as S\n"
    )
    assert set(imports_of(source)) == {"os.path", "smfs.client", "smfs.service.store.Store"}
