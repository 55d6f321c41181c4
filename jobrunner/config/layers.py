"""The layers of configuration, strongest last, and the spec that results from them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin

from jobrunner import spec
from jobrunner.catalog import models
from jobrunner.catalog.backends import BACKENDS, DEFAULT, BackendFacts
from jobrunner.catalog.gpus import PROFILES
from jobrunner.config import file as files
from jobrunner.config.derived import derived
from jobrunner.config.file import ConfigFile
from jobrunner.config.flags import Flag, from_text
from jobrunner.config.variables import PREFIX
from jobrunner.config.variables import flags as of_environment
from jobrunner.errors import SpecError, UsageError
from jobrunner.spec import RunSpec
from jobrunner.spec.paths import nested, settings, unknown
from jobrunner.spec.source import FIELD, Source
from jobrunner.spec.types import is_remote, storage_url


@dataclass(frozen=True, kw_only=True)
class Value:
    """A value and its origin."""

    value: Any
    origin: str


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """All values of a run, by dotted path, before they become a spec."""

    values: dict[str, Value]
    backend: str
    """Name of the backend, from `catalog/backends.py`."""
    profile: str | None = None

    @property
    def facts(self) -> BackendFacts:
        """Facts about the backend."""
        return BACKENDS[self.backend]

    def spec(self) -> RunSpec:
        """The run that the values describe.

        Raises:
            SpecError: names the first wrong field and the origin of its value.
        """
        lang = self.values["lang"]
        if lang.value is None:
            raise SpecError(
                "lang",
                "is missing.",
                hint="Give --lang, such as --lang el; `jobrunner languages` lists them.",
            )
        return self._parse(lang.value)

    def check(self) -> None:
        """Raises the same errors as `spec`, except for a missing language."""
        self._parse(self.values["lang"].value or "en")

    def _parse(self, lang: Any) -> RunSpec:
        given = {path: value.value for path, value in self.values.items()}
        try:
            return spec.parse(nested({**given, "lang": lang}))
        except SpecError as error:
            raise self._with_origin(error) from None

    def _with_origin(self, error: SpecError) -> SpecError:
        value = self.values.get(error.field)
        if value is None or value.origin == "default":
            return error
        problem = error.message.removeprefix(f"{error.field}: ").removesuffix(".")
        return SpecError(error.field, f"{problem} (from {value.origin}).", hint=error.hint)


def load(
    *,
    flags: Sequence[Flag] = (),
    arguments: Mapping[str, Any] | None = None,
    config: str | None = None,
    profile: str | None = None,
    backend: str = "",
    environment: Mapping[str, str] | None = None,
) -> Configuration:
    """Loads every value of a run with its origin.

    Args:
        flags: values that were typed.
        arguments: values that a program gives, by dotted path, in the fields' own types.
        config: a file to read instead of ./jobrunner.toml.
        profile: name of a profile.
        backend: the backend to use, whatever the files say.
        environment: variables; those of this process unless given.

    Raises:
        UsageError: a file, profile, key or value cannot be used.
    """
    variables = os.environ if environment is None else environment
    user, project = _user_file(), _project_file(config)
    chosen = variables.get(f"{PREFIX}BACKEND") or project.backend or user.backend or DEFAULT
    if chosen not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise SpecError("backend", f"must be one of {known}, not {chosen!r} (JOBRUNNER_BACKEND).")
    backend = backend or chosen
    profile = profile or variables.get(f"{PREFIX}PROFILE") or project.profile or user.profile
    given = {
        **_from_file(user),
        **_from_file(project),
        **(_from_profile(profile, user, project) if profile else {}),
        **_from_text(of_environment(variables)),
        **_from_text(flags),
        **_from_arguments(arguments or {}),
    }
    following = derived({path: value.value for path, value in given.items()})
    values = {
        path: Value(value=setting.default, origin="default") for path, setting in settings().items()
    }
    values |= {
        path: Value(value=value, origin=origin) for path, (value, origin) in following.items()
    }
    if BACKENDS[backend].is_here:
        values["storage"] = Value(value=str(_local_storage()), origin="default for local runs")
    return Configuration(values={**values, **given}, backend=backend, profile=profile)


def _user_file() -> ConfigFile:
    from platformdirs import user_config_path

    path = user_config_path("jobrunner") / files.NAME
    return _file_if_there(path, str(path))


def _project_file(config: str | None) -> ConfigFile:
    if config is not None:
        return files.read(Path(config).expanduser(), config)
    return _file_if_there(Path(files.NAME), f"./{files.NAME}")


def _file_if_there(path: Path, shown: str) -> ConfigFile:
    if not os.path.lexists(path):
        return ConfigFile(shown=shown, folder=path.absolute().parent)
    return files.read(path, shown)


def _local_storage() -> Path:
    from platformdirs import user_data_path

    return user_data_path("jobrunner")


def _from_file(read: ConfigFile) -> dict[str, Value]:
    return _values(read.values, read.shown, read.folder)


def _from_profile(name: str, user: ConfigFile, project: ConfigFile) -> dict[str, Value]:
    """The built-in profile of that name, overridden by the user's, then by the project's."""
    found: dict[str, Value] = {}
    if name in PROFILES:
        found |= _values(PROFILES[name], f"profile {name}", Path())
    for read in (user, project):
        if name in read.profiles:
            origin = f"{read.shown}, profile {name}"
            found |= _values(read.profiles[name], origin, read.folder)
    if name not in {*PROFILES, *user.profiles, *project.profiles}:
        known = ", ".join(dict.fromkeys([*PROFILES, *user.profiles, *project.profiles]))
        raise UsageError(f"profile: there is no profile {name[:60]!r}.", hint=f"There are {known}.")
    return found


def _values(raw: Mapping[str, Any], origin: str, folder: Path) -> dict[str, Value]:
    return {
        path: Value(value=_placed(path, _listed(path, value), folder, origin), origin=origin)
        for path, value in raw.items()
        # As written by `jobrunner init`: a run on this machine has a default that is not empty.
        if not (path == "storage" and value == "")
    }


def _from_text(flags: Sequence[Flag]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for flag in flags:
        before = found.get(flag.path)
        if before:
            origins = dict.fromkeys((before.origin, flag.origin))
            raise SpecError(flag.path, f"is given twice, by {' and by '.join(origins)}.")
        value = _placed(flag.path, from_text(flag), Path(), flag.origin)
        found[flag.path] = Value(value=value, origin=flag.origin)
    return found


def _from_arguments(arguments: Mapping[str, Any]) -> dict[str, Value]:
    for path in arguments:
        if path not in settings():
            raise unknown(path, "argument")
    plain = {path: _plain(value) for path, value in arguments.items()}
    return _values(plain, "argument", Path())


def _plain(value: Any) -> Any:
    """Turns a list into a tuple and a path into text, the types of the spec."""
    return (
        tuple(value)
        if isinstance(value, list)
        else str(value)
        if isinstance(value, Path)
        else value
    )


def _listed(path: str, value: Any) -> Any:
    """Splits a list that TOML gives as one text, `"el,en"`."""
    if isinstance(value, str) and get_origin(settings()[path].kind) is tuple:
        return from_text(Flag(origin="", path=path, text=value))
    return value


def _placed(path: str, value: Any, folder: Path, origin: str) -> Any:
    """Makes a folder absolute, relative to the folder of the file that names it."""
    if not isinstance(value, str) or not value:
        return value
    if path == "storage":
        return _storage(value, folder, origin)
    if path == "model" and value not in models.PRESETS:
        place = _absolute(value, folder)
        return place if models.is_folder(value) or _is_folder(place) else models.canonical(value)
    return _source(value, folder) if path == FIELD else value


def _storage(text: str, folder: Path, origin: str) -> str:
    """Makes a folder absolute, after which nothing would show what was written."""
    try:
        url = storage_url(text)
    except ValueError as error:
        raise SpecError("storage", f"{error} (from {origin}).") from None
    return url if is_remote(url) else _absolute(url, folder)


def _source(text: str, folder: Path) -> str:
    """Makes the folder of a source absolute; a bare path of a folder is a source too."""
    try:
        source = Source.parse(text)
    except SpecError:
        place = _absolute(text, folder)
        return f"folder:{place}" if _is_folder(place) else text
    place = _absolute(source.place, folder)
    if source.place and (source.facts.place == "required" or _is_folder(place)):
        return source.placed(Path(place)).text
    return text


def _absolute(place: str, folder: Path) -> str:
    try:
        home = str(Path(place).expanduser())
    except RuntimeError:  # `~nobody`: there is no such user, and so no such folder
        home = place
    return os.path.abspath(os.path.join(folder, home))


def _is_folder(place: str) -> bool:
    try:
        return Path(place).is_dir()
    except OSError:  # longer than a path can be
        return False
