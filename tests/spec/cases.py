"""Every rule of the format: what breaks it, and what is said of it."""

from __future__ import annotations

from tests.spec.specs import INDEXES, PYTHON, application, framework, layer

ON_PYTHON = 'runtime = "python"'
SIX = "linux_x86_64, linux_aarch64, macosx_arm64, macosx_x86_64, win_amd64, win_arm64"
TORCH_FAST = framework("fast", ON_PYTHON, 'package_indexes = {TorcH_x = "fast"}')
TORCH_SLOW = framework("slow", ON_PYTHON, 'package_indexes = {"torch.X" = "slow.er"}')
ACCEPT = "(specify 'index_overrides = {fast = \"slow.er\"}' to accept)"


def runtime(*lines: str, name: str = "python") -> str:
    return layer("runtimes", name, 'python_implementation = "cpython@3.11"', *lines)


CASES: dict[str, tuple[str, str]] = {
    # names
    "no name": (
        '[[runtimes]]\npython_implementation = "cpython@3.11"\nrequirements = []',
        "runtimes[0].name: missing 'name'",
    ),
    "name is a number": (PYTHON.replace('"python"', "3"), "runtimes[0].name: found the number 3, expected a string"),
    "slash": (PYTHON.replace('"python"', '"a/b"'), 'runtimes[0].name: "a/b" is not a valid folder'),
    "dot in front": (PYTHON.replace('"python"', '".py"'), 'runtimes[0].name: ".py" is not a valid folder name'),
    "dots": (PYTHON.replace('"python"', '".."'), 'runtimes[0].name: ".." is not a valid folder name'),
    "empty name": (PYTHON.replace('"python"', '""'), 'runtimes[0].name: "" is not a valid folder name'),
    "blank": (PYTHON.replace('"python"', '"a b"'), 'runtimes[0].name: "a b" is not a valid folder name'),
    "newline": (PYTHON.replace('"python"', '"ab\\n"'), 'runtimes[0].name: "ab\\n" is not a valid folder name'),
    "too long": (PYTHON.replace('"python"', f'"{"a" * 101}"'), "at most 100 characters"),
    "runtime twice": (PYTHON + PYTHON, 'runtimes[1].name: runtime names must be distinct, "python" is defined'),
    "names that differ by case": (
        PYTHON + framework("f", ON_PYTHON) + framework("F", ON_PYTHON),
        'frameworks[1].name: framework names must be distinct, "F" and "f" are one folder on macOS and Windows',
    ),
    "reserved prefix in capitals": (runtime(name="App-x"), '"App-x" starts with the reserved prefix "app-"'),
    "framework twice": (
        PYTHON + framework("f", ON_PYTHON) * 2,
        'frameworks[1].name: framework names must be distinct, "f"',
    ),
    "application twice": (
        PYTHON + application("a", ON_PYTHON) * 2,
        'applications[1].name: application names must be distinct, "a"',
    ),
    "reserved prefix": (runtime(name="app-x"), 'runtimes[0].name: "app-x" starts with the reserved prefix "app-"'),
    # types and keys
    "unknown key": (runtime("verzioned = true"), 'runtimes[0].verzioned: unknown key, did you mean "versioned"?'),
    "far from any key": (runtime("zzz = 1"), "runtimes[0].zzz: unknown key, expected one of dynlib_exclude,"),
    "key of another kind": (
        runtime('launch_module = "main.py"'),
        "runtimes[0].launch_module: unknown key here, only applications have it",
    ),
    "key of two other kinds": (runtime('frameworks = ["x"]'), "only frameworks and applications have it"),
    "no array of tables": ('[runtimes]\nname = "x"', "runtimes: found a table, expected an array of tables, each"),
    "array of strings": ('runtimes = ["x"]', 'runtimes[0]: found the string "x", expected a table'),
    "versioned as text": (runtime('versioned = "yes"'), 'versioned: found the string "yes", expected true or false'),
    "tool is no table": ("tool = 1", "tool: found the number 1, expected a table"),
    "unknown own key": ('[tool.vstore]\nprofil = "x"', 'tool.vstore.profil: unknown key, did you mean "profile"?'),
    "profile name": ('[tool.vstore]\nprofile = "a/b"', 'tool.vstore.profile: "a/b" is not a valid profile name'),
    "profile like a generation's link": (
        '[tool.vstore]\nprofile = "web-3-link"',
        '"web-3-link" is not a valid profile name',
    ),
    # requirements
    "no requirements": (PYTHON.replace("requirements = []", ""), "runtimes[0].requirements: missing 'requirements'"),
    "requirements as text": (
        PYTHON.replace("requirements = []", 'requirements = "numpy"'),
        'runtimes[0].requirements: found the string "numpy", expected an array of strings',
    ),
    "requirement as number": (
        PYTHON.replace("requirements = []", 'requirements = ["numpy", 2]'),
        "runtimes[0].requirements[1]: found the number 2, expected a string",
    ),
    "requirement syntax": (
        PYTHON.replace("requirements = []", 'requirements = ["numpy", "name<>"]'),
        "runtimes[0].requirements[1]: invalid requirement syntax: ",
    ),
    # platforms and targets
    "unknown platform": (
        runtime('platforms = ["linux_x86_64", "win32_x86_64"]'),
        f'runtimes[0].platforms[1]: invalid target platform "win32_x86_64", expected one of {SIX}',
    ),
    "platforms as text": (
        runtime('platforms = "linux_x86_64"'),
        'runtimes[0].platforms: found the string "linux_x86_64", expected an array of strings',
    ),
    "wider than the runtime": (
        runtime('platforms = ["linux_x86_64"]') + application("a", ON_PYTHON, 'platforms = ["win_amd64"]'),
        "applications[0].platforms: not supported by lower layers: win_amd64 (they have linux_x86_64)",
    ),
    "wider than a framework": (
        PYTHON
        + framework("low", ON_PYTHON, 'platforms = ["win_amd64", "linux_x86_64"]')
        + framework("mid", 'frameworks = ["low"]')
        + framework("top", 'frameworks = ["mid"]', 'platforms = ["win_amd64", "win_arm64"]'),
        "frameworks[2].platforms: not supported by lower layers: win_arm64",
    ),
    "above a layer that is switched off": (
        runtime("platforms = []") + application("a", ON_PYTHON, 'platforms = ["win_amd64"]'),
        "applications[0].platforms: not supported by lower layers: win_amd64 (they have none)",
    ),
    "libc without its name": (runtime('linux_target = "2.28"'), 'found "2.28", expected "glibc@2.28"'),
    "libc": (runtime('linux_target = "musl@1.2"'), "Linux libc variant must be one of ['glibc'], not \"musl\""),
    "glibc without minor": (
        runtime('linux_target = "glibc@235"'),
        "runtimes[0].linux_target: Linux libc version must be of the form 'X.Y', not \"235\"",
    ),
    "glibc without version": (runtime('linux_target = "glibc@"'), "must be of the form 'X.Y', not \"\""),
    "glibc in other digits": (runtime('linux_target = "glibc@٢.٣"'), "must be of the form 'X.Y'"),
    "macOS": (runtime('macosx_target = "big-sur"'), 'runtimes[0].macosx_target: found "big-sur", expected a version'),
    "macOS as number": (runtime("macosx_target = 14"), "macosx_target: found the number 14, expected a string"),
    "exclude": (runtime('dynlib_exclude = "*"'), 'dynlib_exclude: found the string "*", expected an array of strings'),
    # interpreters
    "no interpreter": (
        '[[runtimes]]\nname = "p"\nrequirements = []',
        "runtimes[0].python_implementation: missing 'python_implementation', expected a string such as cpython@3.11",
    ),
    "unknown interpreter": (
        PYTHON.replace("cpython@", "jython@"),
        'runtimes[0].python_implementation: found "jython@3.11.13", expected a version such as cpython@3.11',
    ),
    "only a major version": (PYTHON.replace("@3.11.13", "@3"), 'found "cpython@3", expected a version'),
    "old and new name": (
        runtime('fully_versioned_name = "cpython@3.11.1"'),
        "runtimes[0].fully_versioned_name: obsolete, and python_implementation is set as well",
    ),
    # what a layer sits on
    "nothing": (framework("f"), "frameworks[0]: must specify a runtime or at least one framework dependency"),
    "empty list": (framework("f", "frameworks = []"), "must specify a runtime or at least one framework dependency"),
    "both": (
        PYTHON + framework("f", ON_PYTHON, "frameworks = []"),
        "frameworks[0]: must specify a runtime or framework dependencies, not both",
    ),
    "no runtime at all": (
        framework("f", ON_PYTHON),
        'frameworks[0].runtime: unknown runtime "python", the spec defines none above',
    ),
    "unknown runtime": (
        PYTHON + application("a", 'runtime = "pyton"'),
        'applications[0].runtime: unknown runtime "pyton", did you mean "python"?',
    ),
    "unknown framework": (
        PYTHON + framework("f", ON_PYTHON) + application("a", 'frameworks = ["f", "zzz"]'),
        'applications[0].frameworks[1]: unknown framework "zzz", known: f',
    ),
    "an application is no framework": (
        PYTHON + application("a", ON_PYTHON) + application("b", 'frameworks = ["a"]'),
        'applications[1].frameworks[0]: unknown framework "a"',
    ),
    "itself": (
        PYTHON + framework("f", 'frameworks = ["f"]'),
        'frameworks[0].frameworks[0]: unknown framework "f", a framework cannot be built on itself',
    ),
    "defined further down": (
        PYTHON + framework("up", 'frameworks = ["low"]') + framework("low", ON_PYTHON),
        'frameworks[0].frameworks[0]: unknown framework "low", it is defined further down',
    ),
    "a cycle": (
        PYTHON
        + framework("a", ON_PYTHON)
        + framework("b", 'frameworks = ["a", "d"]')
        + framework("c", 'frameworks = ["b"]')
        + framework("d", 'frameworks = ["c"]'),
        'frameworks[1].frameworks[1]: unknown framework "d", they form a cycle: d -> c -> b -> d',
    ),
    "a framework twice": (
        PYTHON + framework("f", ON_PYTHON) + application("a", 'frameworks = ["f", "f"]'),
        'applications[0].frameworks[1]: framework "f" is named twice',
    ),
    "two runtimes": (
        PYTHON
        + runtime(name="other")
        + framework("f", ON_PYTHON)
        + framework("g", 'runtime = "other"')
        + application("a", 'frameworks = ["f", "g"]'),
        'inconsistent frameworks, "f" is built on runtime "python" and "g" on "other"',
    ),
    "orders that contradict": (
        PYTHON
        + framework("a", ON_PYTHON)
        + framework("b", ON_PYTHON)
        + framework("c", 'frameworks = ["a", "b"]')
        + framework("d", 'frameworks = ["b", "a"]')
        + application("x", 'frameworks = ["c", "d"]'),
        "dependency linearization failed, these orders contradict each other: ['a', 'b'] against ['b', 'a']",
    ),
    # modules
    "no launch module": (
        PYTHON + layer("applications", "a", ON_PYTHON),
        "applications[0].launch_module: missing 'launch_module', expected the path",
    ),
    "launch module gone": (
        PYTHON + application("a", ON_PYTHON, 'launch_module = "gone.py"'),
        'applications[0].launch_module: launch module "gone.py" does not exist',
    ),
    "launch module is no Python": (
        PYTHON + application("a", ON_PYTHON, 'launch_module = "stack.toml"'),
        'applications[0].launch_module: found "stack.toml", expected a .py file or a package',
    ),
    "absolute": (
        PYTHON + application("a", ON_PYTHON, 'launch_module = "/etc/x.py"'),
        "expected a file or folder relative",
    ),
    "only dots": (PYTHON + application("a", ON_PYTHON, 'launch_module = "package/../.."'), "expected a file or folder"),
    "nothing named": (PYTHON + application("a", ON_PYTHON, 'launch_module = ""'), 'launch_module: found "", expected'),
    "NUL": (PYTHON + application("a", ON_PYTHON, 'launch_module = "a\\u0000.py"'), "does not exist"),
    "support modules gone": (
        PYTHON + application("a", ON_PYTHON, 'support_modules = ["s.py", "help.py", "r.py"]'),
        'applications[0].support_modules: support modules do not exist: "r.py", "s.py"',
    ),
    "launch and support of one name": (
        PYTHON + application("a", ON_PYTHON, 'launch_module = "package"', 'support_modules = ["../project/package"]'),
        'applications[0].launch_module: "package" conflicts with support module',
    ),
    "support modules of one name": (
        PYTHON + application("a", ON_PYTHON, 'support_modules = ["help.py", "./package/../help.py"]'),
        "applications[0].support_modules: Conflicting support module names: help",
    ),
    # indexes
    "unknown index": (
        runtime('package_indexes = {torch = "fats"}') + INDEXES,
        'runtimes[0].package_indexes.torch: unknown package index "fats", known: fast, slow.er',
    ),
    "no index known": (runtime('package_indexes = {torch = "x"}'), 'unknown package index "x", [tool.uv] names none'),
    "unknown priority": (
        runtime('priority_indexes = ["fast", "fats"]') + INDEXES,
        'runtimes[0].priority_indexes[1]: priority index list references an unknown package index "fats"',
    ),
    "two spellings": (
        runtime('package_indexes = {a-b = "fast", A_b = "fast"}') + INDEXES,
        "runtimes[0].package_indexes.A_b: multiple sources for a-b after name normalization",
    ),
    "index is a number": (
        runtime("package_indexes = {torch = 3}") + INDEXES,
        "runtimes[0].package_indexes.torch: found the number 3, expected a string",
    ),
    "other index than the framework": (
        PYTHON
        + TORCH_FAST
        + application("a", 'frameworks = ["fast"]', 'package_indexes = {torch-X = "slow.er"}')
        + INDEXES,
        "applications[0].package_indexes: declares an inconsistent package index override for torch-x " + ACCEPT,
    ),
    "other index than the runtime": (
        runtime('package_indexes = {torch-x = "fast"}') + TORCH_SLOW + INDEXES,
        "frameworks[0].package_indexes: declares an inconsistent package index override for torch-x " + ACCEPT,
    ),
    "frameworks with different indexes": (
        PYTHON + TORCH_FAST + TORCH_SLOW + application("a", 'frameworks = ["slow", "fast"]') + INDEXES,
        "applications[0].package_indexes: depends on layers with an inconsistent package index override for torch-x "
        + ACCEPT,
    ),
    "the same disagreement through two frameworks is told once": (
        PYTHON
        + TORCH_FAST
        + framework("up", 'frameworks = ["fast"]')
        + TORCH_SLOW
        + application("a", 'frameworks = ["slow", "up"]')
        + INDEXES,
        ACCEPT,
    ),
    "override the wrong way round": (
        PYTHON
        + TORCH_FAST
        + TORCH_SLOW
        + application("a", 'frameworks = ["slow", "fast"]', 'index_overrides = {"slow.er" = "fast"}')
        + INDEXES,
        ACCEPT,
    ),
    "source is no index": ('[tool.uv.sources]\nx = {path = "y"}', "tool.uv.sources.x: must be an index config"),
    "source of an unknown index": (
        '[tool.uv.sources]\nx = {index = "fats"}\n' + INDEXES,
        'tool.uv.sources.x: references an unknown package index "fats"',
    ),
    "source twice": (
        '[tool.uv.sources]\na_b = {index = "fast"}\nA-B = {index = "fast"}\n' + INDEXES,
        "tool.uv.sources.A-B: multiple sources for a-b",
    ),
    "index without URL": ('[[tool.uv.index]]\nname = "x"', "tool.uv.index[0].url: missing 'url'"),
}
