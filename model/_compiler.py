"""torch's compiler, torch._dynamo, imported only by those who use it.

torch and torchvision import it on the way: 2,300 modules, sympy among them, which cost a process 1.5 s of processor
time (6 s without bytecode) and 85 MB (torch 2.13, torchvision 0.28). Some ask for it that don't compile:

- An optimizer's first step. `torch._compile` wants `disable`, which keeps the compiler out of a function, and
  `torch.optim.optimizer` wants `graph_break`. While nobody compiles, the first can give back the function as it is, and
  the second does nothing anyway.
- `torchvision.ops.roi_align`, for one function of an operator that no classifier calls.
- `torch.profiler`, for a setting of the compiler that says whether it uses CUDA graphs.

`install` puts a finder before Python's own. Where one of its two modules is the first to import
torch._dynamo, it gets a package that has not been executed, and those two answers. All else that anybody asks of that
package, or of a module in it, executes it: in the same object, so that references to it stay good, and by the import
system, so that threads wait for each other as always. Where anybody else is the first, there is only the real package.
The other two ask once, and get a stand-in for as long as that takes.

So another torch, which asks for more, gets the real package, and pays for it.
"""

import importlib
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import FrameType, FunctionType, ModuleType
from typing import Any, Final

from model._stand_in import StandIn, real_attribute, remove_stand_ins, standing_in

_TORCH: Final = "torch"
_NAME: Final = "torch._dynamo"
_UTILS: Final = "torch._dynamo.utils"
_INDUCTOR: Final = "torch._inductor"
_CONFIG: Final = "torch._inductor.config"
# Where `torch._compile` keeps what `disable` returned for a function.
_KEPT: Final = "__dynamo_disable"


class _Package(ModuleType):
    """torch._dynamo until it has been executed; then the object's class is ModuleType."""

    # Asked only for names that the object doesn't have.
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":
            # The import system's own names, which it sets where they are missing.
            raise AttributeError(name)
        answer = _ANSWERS.get((_asker(), name))
        if answer is None:
            _FINDER.load()
            return ModuleType.__getattribute__(self, name)
        return answer

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("__"):
            _FINDER.load()
        ModuleType.__setattr__(self, name, value)

    def __dir__(self) -> list[str]:
        _FINDER.load()
        return list(ModuleType.__dir__(self))


class _Triton:
    """The section of that name in torch._inductor.config, where nobody has set anything."""

    cudagraphs = False

    def __getattr__(self, name: str) -> Any:
        return getattr(real_attribute(_CONFIG, "triton"), name)


class _Finder(MetaPathFinder):
    """Finds torch._dynamo: one that is not executed for those who don't compile, else the real one."""

    def __init__(self) -> None:
        self._package: _Package | None = None
        self._needed = False
        self._disabled: weakref.WeakSet[FunctionType] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._begun = threading.Event()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == _NAME:
            if self._package is None and _asker() not in {asker for asker, _ in _ANSWERS}:
                self._remove()
                return None
            spec = PathFinder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(self, spec.loader)
            return spec
        if fullname.startswith(f"{_NAME}.") and self._package is not None and not self._needed:
            self.load()
            # Executing the package imports most modules in it, and importing them again would make them twice.
            if (module := sys.modules.get(fullname)) is not None:
                return ModuleSpec(fullname, _Imported(module))
        return None

    def package(self) -> ModuleType:
        """The object that is torch._dynamo."""
        if self._package is None:
            self._package = _Package(_NAME)
        return self._package

    def execute(self, loader: Loader, package: ModuleType) -> None:
        """Make the object the real package, if it is needed."""
        if not self._needed:
            return
        self._begun.set()
        loader.exec_module(package)
        package.__class__ = ModuleType
        with self._lock:
            for function in self._disabled:
                # The next call asks the real `disable`.
                vars(function).pop(_KEPT, None)
        self._remove()

    def load(self) -> None:
        """Execute the package; where another thread is doing that, wait for its end."""
        with self._lock:
            if first := not self._needed:
                # Another thread may be making the object.
                importlib.import_module(_NAME)
                self._needed = True
                remove_stand_ins(_TORCH)
                sys.modules.pop(_NAME, None)
        if first or "importlib._bootstrap" not in _callers():
            importlib.import_module(_NAME)
        else:
            # Not for the end: that thread may want a module whose lock this one has. From here on the package is in
            # sys.modules, as Python expects where a module in it is imported.
            self._begun.wait()

    def disable(self, function: object = None, recursive: bool = True, **others: Any) -> Any:
        """torch._dynamo.disable, for `torch._compile`."""
        if isinstance(function, FunctionType) and others == {"wrapping": False}:
            with self._lock:
                self._disabled.add(function)
            return function
        self.load()
        return importlib.import_module(_NAME).disable(function, recursive, **others)

    def _remove(self) -> None:
        remove_stand_ins(_TORCH)
        if self in sys.meta_path:
            sys.meta_path.remove(self)


class _Loader(Loader):
    """Loads torch._dynamo, and executes it when it is needed."""

    def __init__(self, finder: _Finder, real: Loader) -> None:
        self._finder, self._real = finder, real

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002 - the interface
        return self._finder.package()

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._real
        self._finder.execute(self._real, module)


class _Imported(Loader):
    """Loads a module that is there already."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002 - the interface
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def _callers() -> Iterator[str]:
    """The names of the modules whose code is running in this thread, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield str(frame.f_globals.get("__name__"))
        frame = frame.f_back


def _asker() -> str:
    """The name of the module whose code imports or asks: the innermost that is neither of ours nor importlib."""
    ours = (__name__, StandIn.__module__)
    return next((name for name in _callers() if name not in ours and name.partition(".")[0] != "importlib"), "")


_FINDER: Final = _Finder()
_ANSWERS: Final[Mapping[tuple[str, str], Callable[..., Any]]] = {
    ("torch._compile", "disable"): _FINDER.disable,
    ("torch.optim.optimizer", "graph_break"): lambda *_arguments, **_named: None,
}


def install() -> None:
    """From now on an optimizer's steps don't import the compiler; called before the first."""
    if _NAME not in sys.modules and _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def importing_torchvision() -> AbstractContextManager[None]:
    """Inside, importing torchvision doesn't import the compiler; afterwards it is as if nobody had asked for it."""
    return standing_in(StandIn(_UTILS, "is_compile_supported"))


def starting_a_profiler() -> AbstractContextManager[None]:
    """Inside, starting torch's profiler doesn't import the compiler; afterwards it is as if nobody had asked for it."""
    if "TORCHINDUCTOR_CUDAGRAPHS" in os.environ:
        # The setting's default comes from there.
        return nullcontext()
    config = StandIn(_CONFIG, triton=_Triton())
    return standing_in(StandIn(_INDUCTOR, config=config), config)


install()
