"""The layout holds: no module imports from above itself, and no two modules import each other in a circle."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# From the bottom up; a module may import from its own layer and from those before it.
LAYERS = (
    ("errors", "pictures", "progress", "statistics"),
    ("identity", "plugins", "settings"),
    ("rules",),
    ("examples",),
    ("rehearsal", "teacher"),
    ("models",),
    ("run",),
    ("datasets", "metrics", "student"),
    ("context",),
    ("clustering", "extraction", "resolution", "synthesis"),
    ("distillation",),
    ("teleprompter",),
    ("programs",),
    ("experiment",),
    ("report",),
    ("cli",),
    ("optimizers",),
    ("testing",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def modules() -> dict[str, Path]:
    """All modules of the product, by the names under which they are imported."""
    folders = {"pld_dspy": "pld_dspy", "programs": "pld_dspy.programs", "optimizers": "pld_dspy.optimizers"}
    found = {}
    for folder, package in folders.items():
        for path in (ROOT / folder).rglob("*.py"):
            parts = [package, *path.relative_to(ROOT / folder).with_suffix("").parts]
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


MODULES = modules()


def imports(module: str) -> list[tuple[int, str]]:
    """The project's modules that a module imports, anywhere in it, each with its line."""
    found = []
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                found.append((node.lineno, whole if whole in MODULES else node.module))
        elif isinstance(node, ast.Import):
            found += [(node.lineno, name.name) for name in node.names]
    return [(line, name) for line, name in found if name in MODULES]


def place(module: str) -> str:
    """The folder or file directly under the package."""
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"pld_dspy"}))
def test_a_module_imports_nothing_from_above(module):
    wrong = [
        f"{MODULES[module].relative_to(ROOT)}:{line} imports {name}, which is above {place(module)}"
        for line, name in imports(module)
        if (name == "pld_dspy" and place(module) not in ("optimizers", "cli", "testing"))
        or (name != "pld_dspy" and LEVEL[place(name)] > LEVEL[place(module)])
    ]
    assert not wrong, "\n".join(wrong)


def test_no_two_modules_import_each_other():
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"a circle: {' → '.join((*way[way.index(module) :], module))}"
        if module not in done:
            for _, name in imports(module):
                if name != module and not module.startswith(f"{name}."):  # a package's own front is no circle
                    visit(name, (*way, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


def test_every_folder_has_its_layer():
    assert {place(module) for module in MODULES} - {""} == set(LEVEL), "a new folder needs a place in LAYERS"
