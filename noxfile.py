"""`nox -s tests` runs the tests in three minutes, `nox` all checks in twenty, `nox -l` lists the sessions."""

import os
import shutil
import subprocess
import sys
import zipfile
from hashlib import sha256
from itertools import chain
from pathlib import Path

import nox
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

nox.needs_version = ">=2026.4.10"
nox.options.sessions = [
    "lint",
    "types",
    "docs",
    "audit",
    "core",
    "tests",
    "pythons",
    "lowest",
    "coverage",
    "loops",
    "long",
]
# On CI too: a machine need not have every Python, only one of them (see `_find_pythons`).
nox.options.error_on_missing_interpreters = False

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
DIST = Path("dist")
LOCKED = bool(os.environ.get("CI"))
# Builds the wheel that the other sessions install: in CI twice, with tools pinned by hash.
WHEEL = "build" if LOCKED else "wheel"
# One process for each of two cores.
PYTEST = ("-m", "pytest", "-q", "-n", "2")
# Searches whose number of examples JOGG_LONG multiplies.
SEARCHES = ("tests/api", "tests/paging", "tests/requests", "tests/testing", "tests/test_cancellation.py")
# The tree must not shadow the installed wheel.
TEST_ENV = {"PYTHONSAFEPATH": "1"}
# Where nobody tells of this flaw (no service in reach, a mirror without them), silence about others is no health.
KNOWN_BAD, KNOWN_FLAW = "jinja2==2.10", "CVE-2019-10906"
FROM_WHEEL = "import pathlib, sys, jogg_async as j; sys.exit(not pathlib.Path(j.__file__).is_relative_to(sys.prefix))"


def _find_pythons() -> None:
    """Show nox every Python that pyenv keeps, not the active ones alone; stop where none is of use."""
    if "PYENV_VERSION" not in os.environ and (pyenv := shutil.which("pyenv")):
        kept = subprocess.run([pyenv, "versions", "--bare"], capture_output=True, text=True, check=False).stdout
        os.environ["PYENV_VERSION"] = ":".join(reversed(kept.split()))
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if running not in PYTHONS and not any(shutil.which(f"python{version}") for version in PYTHONS):
        sys.exit(f"None of Python {', '.join(PYTHONS)} is on this machine.")


_find_pythons()
NEWEST = next((version for version in reversed(PYTHONS) if shutil.which(f"python{version}")), PYTHONS[0])
LOOP_TESTS = [
    *(f"tests/{name}" for name in ("http", "paging", "requests")),
    *(f"tests/test_{name}.py" for name in ("pager", "retry", "session")),
]


def _group(name: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(PROJECT, name)


# Every bound that a user's installation may meet; but dlt and Dask have a session of their own, `engines`.
EXTRAS = [each for name, each in PROJECT["project"]["optional-dependencies"].items() if name not in ("dask", "dlt")]
BOUNDS = [bound for bound in chain(PROJECT["project"]["dependencies"], *EXTRAS) if ">=" in bound]
# What the sessions behind the README's test command install beside the wheel: where CI is set, from a lock each.
NEEDS = {
    "audit": _group("audit"),
    "build": (*PROJECT["build-system"]["requires"], *_group("build")),
    "coverage": _group("coverage"),
    "tests": (*BOUNDS, *_group("tests")),
    "lowest": (*(bound.replace(">=", "==") for bound in BOUNDS), *_group("tests")),
}
LOCKS = {name: Path(".ci", f"{name}.txt") for name in NEEDS}


def _check_lock(session: nox.Session, name: str) -> None:
    """Stop where pyproject.toml asks for what the lock of session `name` does not hold."""
    lines = LOCKS[name].read_text(encoding="utf-8").splitlines() if LOCKS[name].exists() else []
    pins = [Requirement(line.rstrip("\\ ")) for line in lines if line[:1].isalnum()]
    for need in map(Requirement, NEEDS[name]):
        held = [pin for pin in pins if pin.name == canonicalize_name(need.name)]
        if not held or not all(need.specifier.contains(str(pin.specifier)[2:]) for pin in held):
            session.error(f"{LOCKS[name]} does not hold {need}, which pyproject.toml asks for: run `nox -s lock`")


def _install_needs(session: nox.Session, name: str, *wheel: str) -> None:
    """What session `name` needs: the newest, or where CI is set what its lock pins, by hash, and nothing else."""
    if not LOCKED:
        session.install(*wheel, *NEEDS[name])
        return
    _check_lock(session, name)
    session.install("--require-hashes", "--requirement", str(LOCKS[name]))


def _wheel() -> Path:
    (wheel,) = DIST.glob("*.whl")
    return wheel.resolve()


def _install(session: nox.Session, *requirements: str, extras: str = "[all]") -> None:
    """Install the wheel with `requirements`; anew, since in a reused environment pip would keep the last one."""
    session.install(f"{_wheel()}{extras}", *requirements)
    session.install("--force-reinstall", "--no-deps", str(_wheel()))


def _coverage_file(session: nox.Session, name: str = "") -> Path:
    return session.cache_dir.resolve() / "coverage" / f".coverage{name}"


def _pytest(session: nox.Session, needs: str, *arguments: str, env: dict[str, str] | None = None) -> None:
    """Test the installed wheel with the dependencies `needs`."""
    _install_needs(session, needs, f"{_wheel()}[all]")
    session.install("--force-reinstall", "--no-deps", str(_wheel()))  # apart: pip wants hashes of all or of none
    session.run("python", "-c", FROM_WHEEL, env=TEST_ENV)
    session.run("python", *(arguments or PYTEST), *session.posargs, env={**TEST_ENV, **(env or {})})


@nox.session
def lint(session: nox.Session) -> None:
    """Check rules, format, the layers of the package, and that the locks fit pyproject.toml."""
    for name in NEEDS:
        _check_lock(session, name)
    session.install(*_group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel."""
    shutil.rmtree(DIST, ignore_errors=True)
    session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(DIST), ".")


@nox.session
def build(session: nox.Session) -> None:
    """Build sdist and wheel, compare them with the tree, and build them again: both builds must be equal."""
    if LOCKED:
        session.notify("audit")
    _install_needs(session, "build")
    shutil.rmtree(DIST, ignore_errors=True)
    digests = _build(session, Path(), DIST)
    session.run("twine", "check", "--strict", *map(str, DIST.iterdir()))
    packed = {name for name in zipfile.ZipFile(_wheel()).namelist() if ".dist-info/" not in name}
    tree = {path.as_posix() for pattern in ("*.py", "py.typed") for path in Path("jogg_async").rglob(pattern)}
    if packed != tree:
        session.error(f"The wheel and the tree differ: {sorted(packed ^ tree)}")
    if _build_again(session) != digests:
        session.error("Two builds of the same content differ: see their digests above")


def _build(session: nox.Session, tree: Path, dist: Path, **env: str) -> dict[str, str]:
    """Without isolation, which would install build tools of its own; dated as hatchling does by default."""
    command = ("python", "-m", "build", "--no-isolation", "--outdir", str(dist), str(tree))
    session.run(*command, env={"SOURCE_DATE_EPOCH": None, **env})
    digests = {built.name: sha256(built.read_bytes()).hexdigest() for built in sorted(dist.iterdir())}
    for name, digest in digests.items():
        session.log(f"sha256:{digest} {name}")
    return digests


def _build_again(session: nox.Session) -> dict[str, str]:
    """Build from the unpacked sdist, in an environment where nothing is as it was but the content."""
    scratch = Path(session.create_tmp(), "again")
    shutil.rmtree(scratch, ignore_errors=True)
    (sdist,) = DIST.glob("*.tar.gz")
    shutil.unpack_archive(sdist, scratch, filter="data")
    for path in scratch.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
        os.utime(path, (0, 0))
    mask = os.umask(0o077)
    try:
        tree = scratch / sdist.name.removesuffix(".tar.gz")
        return _build(session, tree, scratch / "dist", LC_ALL="C", TZ="Etc/GMT-14", PYTHONHASHSEED="1")
    finally:
        os.umask(mask)


@nox.session
def audit(session: nox.Session) -> None:
    """Hold the locks against the known vulnerabilities; but for the lowest versions, which are meant to be old."""
    _install_needs(session, "audit")
    command = ("pip-audit", "--strict", "--disable-pip", "--progress-spinner=off")
    known = Path(session.create_tmp(), "known.txt")
    known.write_text(KNOWN_BAD, encoding="utf-8")
    asked = (*command, "--no-deps", "--aliases=on", "--requirement", str(known))
    answer = str(session.run(*asked, silent=True, success_codes=(0, 1)))
    if KNOWN_FLAW not in answer:
        _, _, why = answer.strip().rpartition("\n")
        session.skip(f"NOTHING WAS AUDITED, since nobody tells that {KNOWN_BAD} has {KNOWN_FLAW}: {why}")
    for name in NEEDS:
        if name != "lowest":
            session.run(*command, "--require-hashes", "--requirement", str(LOCKS[name]))


@nox.session
def lock(session: nox.Session) -> None:
    """Pin the newest of what the README's test command installs, by hash, for every Python and platform."""
    session.install(*_group("lock"))
    command = ("uv", "pip", "compile", "--no-config", "--no-build", "--upgrade", "--universal", "--generate-hashes")
    written = ("--quiet", "--no-annotate", "--custom-compile-command", "nox -s lock", "--python-version", PYTHONS[0])
    for name, needs in NEEDS.items():
        wanted = Path(session.create_tmp(), f"{name}.in")
        wanted.write_text("\n".join(needs), encoding="utf-8")
        session.run(*command, *written, "--output-file", str(LOCKS[name]), str(wanted))


@nox.session(requires=[WHEEL])
def core(session: nox.Session) -> None:
    """Import the package as it is without its extras."""
    _install(session, extras="")
    session.run("python", "-W", "error", "-c", "import jogg_async", env=TEST_ENV)
    session.run("python", "-c", FROM_WHEEL, env=TEST_ENV)


@nox.session(requires=[WHEEL])
def types(session: nox.Session) -> None:
    """Types of the package, its tests and this file; and of every public name, as a user's checker sees them."""
    _install(session, *_group("types"))
    session.run("mypy")
    session.run("pyright")
    session.chdir(session.create_tmp())
    session.run("pyright", "--verifytypes", "jogg_async", "--ignoreexternal")


@nox.session(requires=[WHEEL])
def tests(session: nox.Session) -> None:
    """Run the tests on this Python and the newest dependencies."""
    _pytest(session, "tests")


@nox.session(python=PYTHONS[1:], requires=[WHEEL])
def pythons(session: nox.Session) -> None:
    """Run the tests on the other Pythons."""
    _pytest(session, "tests")


@nox.session(python=PYTHONS[0], requires=[WHEEL])
def lowest(session: nox.Session) -> None:
    """Run the tests on the oldest Python and the lowest dependencies, in development mode, and measure coverage."""
    env = {"COVERAGE_FILE": str(_coverage_file(session, ".lowest")), "PYTHONDEVMODE": "1"}
    # The simulations of rate limits take minutes in development mode, and cover nothing that other tests do not.
    left_out = "--ignore=tests/requests/test_rate_limits.py"
    _pytest(session, "lowest", "-m", "coverage", "run", "-m", "pytest", "-q", left_out, env=env)


@nox.session(requires=[WHEEL])
@nox.parametrize(("python", "loop"), [(PYTHONS[0], "uvloop"), (NEWEST, "eager")], ids=["uvloop", "eager"])
def loops(session: nox.Session, loop: str) -> None:
    """Run what schedules tasks and timers under uvloop, and with eager tasks on the newest Python of this machine."""
    if loop == "eager" and session.python == PYTHONS[0]:
        session.skip("Eager tasks need Python 3.12.")
    _install(session, *NEEDS["tests"], *_group("loops"))
    session.run("python", "-c", FROM_WHEEL, env=TEST_ENV)
    session.run("python", *PYTEST, f"--loop={loop}", *(session.posargs or LOOP_TESTS), env=TEST_ENV)


@nox.session(requires=[WHEEL])
def long(session: nox.Session) -> None:
    """Run the searches with all their examples."""
    _pytest(session, "tests", *PYTEST, *SEARCHES, env={"JOGG_LONG": "1"})


@nox.session
def coverage(session: nox.Session) -> None:
    """Compare the coverage that `lowest` measured with the gate."""
    _install_needs(session, "coverage")
    env = {"COVERAGE_FILE": str(_coverage_file(session))}
    session.run("coverage", "combine", env=env)
    session.run("coverage", "report", env=env)


@nox.session(requires=[WHEEL])
def interop(session: nox.Session) -> None:
    """Try the wheel and its fake with tools of others; one that is missing is skipped, and named at the end."""
    _install(session, *_group("interop"))
    path = os.pathsep.join([str(_mitmproxy(session)), *map(str, _prism(session)), os.environ["PATH"]])
    tests = session.posargs or ["tests/interop"]
    session.run("python", "-m", "pytest", *tests, env={**TEST_ENV, "PATH": path})


@nox.session(requires=[WHEEL])
def engines(session: nox.Session) -> None:
    """Load the fake's catalogue through dlt, and read it with a cluster of Dask, one worker of which is killed."""
    _install(session, *_group("engines"), extras="[dask,dlt]")
    session.run("python", "-c", FROM_WHEEL, env=TEST_ENV)
    session.run("python", "-m", "pytest", *(session.posargs or ["tests/engines"]), env=TEST_ENV)


def _mitmproxy(session: nox.Session) -> Path:
    """Where mitmproxy is: in an environment of its own, since it pins what it needs; its newest wants a new Python."""
    folder = session.cache_dir.resolve() / "mitmproxy"
    session.run(f"python{_newest_python(session)}", "-m", "venv", str(folder), external=True)
    session.run(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "mitmproxy>=12", external=True)
    return folder / "bin"


def _prism(session: nox.Session) -> list[Path]:
    """Where Prism is; nowhere on a machine without npm."""
    if not shutil.which("npm"):
        return []
    folder = session.cache_dir.resolve() / "prism"
    session.run("npm", "install", "--silent", "--prefix", str(folder), "@stoplight/prism-cli@5", external=True)
    return [folder / "node_modules" / ".bin"]


@nox.session(requires=[WHEEL])
def docs(session: nox.Session) -> None:
    """The documentation, where a warning or a dead reference is an error."""
    _install(session, *_group("docs"))
    session.run("sphinx-build", "-W", "--keep-going", "-n", "docs", "docs/_build/html", *session.posargs)


@nox.session(requires=[WHEEL])
def bench(session: nox.Session) -> None:
    """Measure the wheel beside its peers and the limit in half an hour; `-- --only cpu errors` for some scenarios."""
    _install(session, *_group("bench"))
    # Its own folder on the path instead of the root, where the tree would shadow the wheel.
    env = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(Path("tests").resolve())}
    session.run("python", "-c", FROM_WHEEL, env=env)
    report = session.cache_dir.resolve() / "bench.json"
    session.run("python", "-m", "bench", "--json", str(report), *_newest(session), *session.posargs, env=env)


@nox.session(requires=[WHEEL])
def soak(session: nox.Session) -> None:
    """Crawl with the wheel under faults and limits for an hour, and watch the process; `-- --help` tells more."""
    _run_beside_the_wheel(session, "soak", "--samples", "soak.csv")


@nox.session(requires=[WHEEL])
def mutants(session: nox.Session) -> None:
    """Plant a sample of small faults, and count which the tests notice; `-- --all` plants all of them, in hours."""
    _install(session, *_group("mutants"))  # for its pytest plugin: the package itself is imported from a copy
    report = session.cache_dir.resolve() / "mutants.json"
    chosen = session.posargs or ["--sample", "50", "--seed", "1"]
    session.run("python", "-m", "tests.mutants", "--json", str(report), *(each for each in chosen if each != "--all"))


@nox.session(requires=[WHEEL])
def fuzz(session: nox.Session) -> None:
    """Fuzz what reads bytes from outside for an hour; `-- --help` tells more. The corpus stays in nox's cache."""
    _run_beside_the_wheel(session, "fuzz", "--folder", "fuzz")


def _run_beside_the_wheel(session: nox.Session, name: str, option: str, place: str) -> None:
    """Run `tests.<name>`, which keeps what it finds at a place in nox's cache."""
    _install(session, *_group(name), extras="")
    # A path behind the wheel's: on PYTHONPATH the tree would shadow the wheel.
    libraries = str(session.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", silent=True))
    Path(libraries.strip(), "tests.pth").write_text(str(Path.cwd()), encoding="utf-8")
    session.run("python", "-c", FROM_WHEEL, env=TEST_ENV)
    kept = str(session.cache_dir.resolve() / place)
    session.run("python", "-m", f"tests.{name}", option, kept, *session.posargs, env={"PYTHONSAFEPATH": "1"})


def _running(session: nox.Session) -> str:
    return str(session.python or f"{sys.version_info.major}.{sys.version_info.minor}")


def _newest_python(session: nox.Session) -> str:
    """The newest Python on this machine."""
    return next((version for version in reversed(PYTHONS) if shutil.which(f"python{version}")), _running(session))


def _newest(session: nox.Session) -> list[str]:
    """The wheel in an environment of the newest Python on this machine, where the session runs on an older one."""
    newest = _newest_python(session)
    if newest == _running(session):
        return []
    python = session.cache_dir.resolve() / f"bench-{newest}" / "bin" / "python"
    session.run(f"python{newest}", "-m", "venv", str(python.parents[1]), external=True)
    session.run(str(python), "-m", "pip", "install", "--quiet", "--force-reinstall", str(_wheel()), external=True)
    return ["--python", f"{newest}={python}"]
