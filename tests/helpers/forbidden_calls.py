"""What of a module's source could run what a file holds: every mention of a forbidden function, by whatever name it came in.

A mention counts, called or not, so that `load = torch.load` and `map(pickle.loads, files)` are seen as `torch.load(...)` is; so does
`getattr(torch, "load")`, the import of a module that is forbidden whole, and `import *`, behind which a mention could hide.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence

MODULES: dict[str, tuple[str, ...]] = {
    "pickle": ("snnfuse/checkpoints/torch_file.py",),  # the errors that torch.load raises
    **dict.fromkeys(("_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "pandas", "jsonpickle", "imp"), ()),
}
"""Modules that read or write objects with code, and the files that may import them; of pickle, only its errors may be named."""
PICKLE_ERRORS = ("pickle.UnpicklingError", "pickle.PickleError")
TORCH_LOADS = ("torch.load", "torch.serialization.load")
TORCH_FILE = "snnfuse/checkpoints/torch_file.py"
FORBIDDEN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("eval", "exec", "__import__", "builtins.eval", "builtins.exec", "builtins.__import__"), ()),
    **dict.fromkeys(("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"), ()),
    **dict.fromkeys(("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.unsafe_load_all", "yaml.full_load", "yaml.full_load_all"), ()),
    "tarfile.open": ("tools/build_packages.py",),
    **dict.fromkeys(("tarfile.TarFile", "tempfile.mktemp", "numpy.fromfile", "runpy.run_path", "runpy.run_module"), ()),
    **dict.fromkeys(("torch.jit.load", "torch.hub.load", "torch.hub.load_state_dict_from_url", "torch.package.PackageImporter"), ()),
    **dict.fromkeys(TORCH_LOADS, (TORCH_FILE,)),
    "h5py.File": ("export/hdf5.py", "export/netx/file_out.py"),
    **dict.fromkeys(("h5py.h5f.open", "h5py._hl.files.File"), ()),
    **dict.fromkeys(("nir.read", "nir.serialization.read"), ()),
}
"""Functions and classes, and the files that may name them: a netx file is written there, all HDF5 that is read goes through
`snnfuse.export.hdf5`."""
NUMPY_LOADS = ("numpy.load", "numpy.lib.npyio.load", "numpy.lib.format.read_array", "numpy.lib.npyio.NpzFile")
UNSAFE_LOAD = f"{TORCH_FILE}:_unpickle"  # behind --allow-pickle
WHOLE = {name.partition(".")[0] for name in FORBIDDEN if "." in name} | {"numpy", *MODULES}
"""Modules of which nothing may be imported by *, for what is forbidden would come with it."""


def problems(tree: ast.AST, file: str) -> list[str]:
    """Every mention, as `file:line: name`; file from the root of the repository."""
    nodes = list(_within_functions(tree))
    names, found = _imported([node for node, _ in nodes]), []
    for node, function in nodes:
        where = f"{file}:{getattr(node, 'lineno', 0)}"
        found += [f"{where}: {what}" for what in _imports(node, file)]
        found += [f"{where}: {what}" for what in _mentions(node, names, file)]
        if isinstance(node, ast.Call):
            found += [f"{where}: {what}" for what in _arguments(node, _name(node.func, names) or "", f"{file}:{function}")]
    return sorted(set(found))


def _imported(nodes: Sequence[ast.AST]) -> dict[str, str]:
    """What each name of a module stands for; assignments of names to names among it."""
    names: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = alias.name if alias.asname else alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in nodes:  # import h5py; h = h5py; h.File(...)
        if isinstance(node, ast.Assign) and isinstance(node.value, (ast.Name, ast.Attribute, ast.Call)):
            stands = _name(node.value, names)
            if stands and stands.partition(".")[0] in WHOLE:
                names |= {target.id: stands for target in node.targets if isinstance(target, ast.Name)}
    return names


def _within_functions(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Every node, and the function that it stands in."""
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    while waiting:
        node, function = waiting.pop()
        yield node, function
        function = node.name if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) else function
        waiting += [(inner, function) for inner in ast.iter_child_nodes(node)]


def _name(node: ast.AST, names: Mapping[str, str]) -> str | None:
    """What an expression names, in full; of `getattr(torch, "load")` and `import_module("pickle")` too."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        owner = _name(node.value, names)
        return owner and f"{owner}.{node.attr}"
    if isinstance(node, ast.Call) and node.args:
        called = _name(node.func, names)
        if called == "getattr" and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
            owner = _name(node.args[0], names)
            return owner and f"{owner}.{node.args[1].value}"
        if called in ("importlib.import_module", "sys.modules.get") and isinstance(node.args[0], ast.Constant):
            return str(node.args[0].value)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return _subscripted(node, str(node.slice.value), names)
    return None


def _subscripted(node: ast.Subscript, key: str, names: Mapping[str, str]) -> str | None:
    """vars(torch)["load"], torch.__dict__["load"], sys.modules["pickle"], globals()["eval"]."""
    if isinstance(node.value, ast.Call):
        called = _name(node.value.func, names)
        if called in ("globals", "locals"):
            return names.get(key, key)
        if called == "vars" and node.value.args:
            owner = _name(node.value.args[0], names)
            return owner and f"{owner}.{key}"
    owner = _name(node.value, names)
    if owner in ("sys.modules", "__builtins__"):
        return key
    return f"{owner.removesuffix('.__dict__')}.{key}" if owner and owner.endswith(".__dict__") else None


def _imports(node: ast.AST, file: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        modules = [node.module]
        if any(alias.name == "*" for alias in node.names) and node.module.partition(".")[0] in WHOLE:
            yield f"from {node.module} import *"
    else:
        return
    for module in modules:
        first = module.partition(".")[0]
        if first in MODULES and file not in MODULES[first]:
            yield f"import {module}"


def _mentions(node: ast.AST, names: Mapping[str, str], file: str) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        mentioned = [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, (ast.Name, ast.Attribute, ast.Call, ast.Subscript)):
        mentioned = [_name(node, names) or ""]
    else:
        return
    for name in mentioned:
        first = name.partition(".")[0]
        if name in FORBIDDEN and file not in FORBIDDEN[name]:
            yield name
        elif first in MODULES and name not in (first, *PICKLE_ERRORS):
            yield name


def _arguments(call: ast.Call, name: str, where: str) -> Iterator[str]:
    """Arguments of a call that make it unsafe; of what is given as **{...} too."""
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    for keyword in call.keywords:
        if keyword.arg is None and isinstance(keyword.value, ast.Dict):
            given |= {
                key.value: value
                for key, value in zip(keyword.value.keys, keyword.value.values, strict=True)
                if isinstance(key, ast.Constant)
            }
    values = {key: getattr(value, "value", None) if isinstance(value, ast.Constant) else ... for key, value in given.items()}
    spread = any(keyword.arg is None and not isinstance(keyword.value, ast.Dict) for keyword in call.keywords)
    yield from (f"{name}({key}=True)" for key in ("shell", "allow_pickle") if values.get(key) is True)
    if name in TORCH_LOADS and values.get("weights_only") is not True and where != UNSAFE_LOAD:
        yield f"{name} without weights_only=True"
    if name.startswith("subprocess.") and (values.get("shell", False) is not False or spread or len(call.args) > 1):
        yield f"{name} with a shell that may be true"
    if name in NUMPY_LOADS and (values.get("allow_pickle", False) is not False or spread or len(call.args) > 2):
        yield f"{name} with an allow_pickle that may be true"
