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
    "web",
    "browser",
    "notebooks",
    "engines",
]
# On CI too: a machine need not have every Python, only one of them (see `_find_pythons`).
nox.options.error_on_missing_interpreters = False

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
DIST = Path("dist")
LOCKED = bool(os.environ.get("CI"))
# Builds the wheel that the other sessions install: in CI twice, with tools pinned by hash.
WHEEL = "build" if LOCKED else "wheel"
# One process more than two cores: the tests wait for sockets and processes, too.
PYTEST = ("-m", "pytest", "-q", "-n", "3")
# Searches that take long, and whose code the shorter tests run as well.
LONG_SEARCHES = [
    f"--ignore=tests/{name}.py"
    for name in ("api/test_random_bodies", "requests/test_fairness", "requests/test_rate_limits", "test_cancellation")
]
# Property tests; JOGG_LONG multiplies their number of examples.
SEARCHES = (
    *(f"tests/{name}" for name in ("api", "download", "export", "paging", "requests", "testing")),
    "tests/test_cancellation.py",
)
EXAMPLES = Path("docs", "examples")
# What the wheel holds: code, types, and the page of `jogg-async browse`.
PACKED = ("*.py", "py.typed", "*.css", "*.html", "*.js", "*.svg")
# The tree must not shadow the installed wheel.
TEST_ENV = {"PYTHONSAFEPATH": "1"}
# If this known vulnerability is not reported (no service in reach, a mirror without data), nothing was audited.
KNOWN_BAD, KNOWN_FLAW = "jinja2==2.10", "CVE-2019-10906"
FROM_WHEEL = "import pathlib, sys, jogg_async as j; sys.exit(not pathlib.Path(j.__file__).is_relative_to(sys.prefix))"


def _find_pythons() -> None:
    """Show nox every Python that pyenv has installed, not only the active ones; exit if none is supported."""
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


# Every lower bound of a dependency or an extra. dlt and Dask have a session of their own, `engines`.
EXTRAS = [each for name, each in PROJECT["project"]["optional-dependencies"].items() if name not in ("dask", "dlt")]
BOUNDS = [bound for bound in chain(PROJECT["project"]["dependencies"], *EXTRAS) if ">=" in bound]
# Requirements of the sessions of the README's test command, besides the wheel; if CI is set, from a lock each.
NEEDS = {
    "audit": _group("audit"),
    "build": (*PROJECT["build-system"]["requires"], *_group("build")),
    "coverage": _group("coverage"),
    "tests": (*BOUNDS, *_group("tests")),
    "lowest": (*(bound.replace(">=", "==") for bound in BOUNDS), *_group("tests")),
}
LOCKS = {name: Path(".ci", f"{name}.txt") for name in NEEDS}


def _check_lock(session: nox.Session, name: str) -> None:
    """Fail if the lock of session `name` does not contain a requirement of pyproject.toml."""
    lines = LOCKS[name].read_text(encoding="utf-8").splitlines() if LOCKS[name].exists() else []
    pins = [Requirement(line.rstrip("\\ ")) for line in lines if line[:1].isalnum()]
    for need in map(Requirement, NEEDS[name]):
        found = [pin for pin in pins if pin.name == canonicalize_name(need.name)]
        if not found or not all(need.specifier.contains(str(pin.specifier)[2:]) for pin in found):
            session.error(f"{LOCKS[name]} lacks {need}, which pyproject.toml requires: run `nox -s lock`")


def _install_needs(session: nox.Session, name: str, *wheel: str) -> None:
    """Install the requirements of session `name`: the newest, or if CI is set exactly those of its lock, by hash."""
    if not LOCKED:
        session.install(*wheel, *NEEDS[name])
        return
    _check_lock(session, name)
    session.install("--require-hashes", "--requirement", str(LOCKS[name]))


def _wheel() -> Path:
    (wheel,) = DIST.glob("*.whl")
    return wheel.resolve()


def _install(session: nox.Session, *requirements: str, extras: str = "[all]") -> None:
    """Install the wheel with `requirements`. It is reinstalled: pip would keep that of a reused environment."""
    session.install(f"{_wheel()}{extras}", *requirements)
    session.install("--force-reinstall", "--no-deps", str(_wheel()))


def _coverage_file(session: nox.Session, name: str = "") -> Path:
    return session.cache_dir.resolve() / "coverage" / f".coverage{name}"


def _pytest(session: nox.Session, needs: str, *arguments: str, env: dict[str, str] | None = None) -> None:
    """Test the installed wheel with the dependencies `needs`."""
    _install_needs(session, needs, f"{_wheel()}[all]")
    session.install("--force-reinstall", "--no-deps", str(_wheel()))  # separately: pip requires hashes for all or none
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
    tree = {path.as_posix() for pattern in PACKED for path in Path("jogg_async").rglob(pattern)}
    if packed != tree:
        session.error(f"The wheel and the tree differ: {sorted(packed ^ tree)}")
    if _build_again(session) != digests:
        session.error("Two builds of the same content differ: see their digests above")


def _build(session: nox.Session, tree: Path, dist: Path, **env: str) -> dict[str, str]:
    """Build and return the digests; without isolation, which would install other build tools than the lock's."""
    command = ("python", "-m", "build", "--no-isolation", "--outdir", str(dist), str(tree))
    session.run(*command, env={"SOURCE_DATE_EPOCH": None, **env})
    digests = {built.name: sha256(built.read_bytes()).hexdigest() for built in sorted(dist.iterdir())}
    for name, digest in digests.items():
        session.log(f"sha256:{digest} {name}")
    return digests


def _build_again(session: nox.Session) -> dict[str, str]:
    """Build from the unpacked sdist, with other paths, times, modes, locale, time zone and hash seed."""
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
    """Check the locks for known vulnerabilities, except the lowest versions, which are meant to be old."""
    _install_needs(session, "audit")
    command = ("pip-audit", "--strict", "--disable-pip", "--progress-spinner=off")
    known = Path(session.create_tmp(), "known.txt")
    known.write_text(KNOWN_BAD, encoding="utf-8")
    probe = (*command, "--no-deps", "--aliases=on", "--requirement", str(known))
    report = str(session.run(*probe, silent=True, success_codes=(0, 1)))
    if KNOWN_FLAW not in report:
        _, _, reason = report.strip().rpartition("\n")
        session.skip(f"NOTHING WAS AUDITED: {KNOWN_FLAW} of {KNOWN_BAD} was not reported: {reason}")
    for name in NEEDS:
        if name != "lowest":
            session.run(*command, "--require-hashes", "--requirement", str(LOCKS[name]))


@nox.session
def lock(session: nox.Session) -> None:
    """Pin the newest versions of what the README's test command installs, by hash, for every Python and platform."""
    session.install(*_group("lock"))
    command = ("uv", "pip", "compile", "--no-config", "--no-build", "--upgrade", "--universal", "--generate-hashes")
    written = ("--quiet", "--no-annotate", "--custom-compile-command", "nox -s lock", "--python-version", PYTHONS[0])
    for name, needs in NEEDS.items():
        wanted = Path(session.create_tmp(), f"{name}.in")
        wanted.write_text("\n".join(needs), encoding="utf-8")
        session.run(*command, *written, "--output-file", str(LOCKS[name]), str(wanted))


@nox.session(requires=[WHEEL])
def core(session: nox.Session) -> None:
    """Import the package without its extras."""
    _install(session, extras="")
    session.run("python", "-W", "error", "-c", "import jogg_async", env=TEST_ENV)
    session.run("python", "-c", FROM_WHEEL, env=TEST_ENV)


@nox.session(requires=[WHEEL])
def types(session: nox.Session) -> None:
    """Check the types of the package, its tests and this file, and of every public name as a user's checker sees it."""
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
    """Run the tests on the other Pythons: on the newest all of them, else without the long searches."""
    left_out = [] if session.python == NEWEST else LONG_SEARCHES
    _pytest(session, "tests", *PYTEST, *left_out)


@nox.session(python=PYTHONS[0], requires=[WHEEL])
def lowest(session: nox.Session) -> None:
    """Run the tests on the oldest Python and the lowest dependencies, in development mode, and measure coverage."""
    env = {"COVERAGE_FILE": str(_coverage_file(session, ".lowest")), "PYTHONDEVMODE": "1"}
    _pytest(session, "lowest", "-m", "coverage", "run", *PYTEST, *LONG_SEARCHES, env=env)


@nox.session(requires=[WHEEL])
@nox.parametrize(("python", "loop"), [(PYTHONS[0], "uvloop"), (NEWEST, "eager")], ids=["uvloop", "eager"])
def loops(session: nox.Session, loop: str) -> None:
    """Run the tests that depend on the event loop under uvloop, and with eager tasks on the newest Python."""
    if loop == "eager" and session.python == PYTHONS[0]:
        session.skip("Eager tasks need Python 3.12.")
    _install(session, *NEEDS["tests"], *_group("loops"))
    session.run("python", "-c", FROM_WHEEL, env=TEST_ENV)
    session.run("python", *PYTEST, f"--loop={loop}", *(session.posargs or LOOP_TESTS), env=TEST_ENV)


@nox.session(requires=[WHEEL])
def long(session: nox.Session) -> None:
    """Run the property tests with all their examples."""
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
    """Test the wheel and its fake with tools of other projects; missing tools are skipped and listed at the end."""
    _install(session, *_group("interop"))
    path = os.pathsep.join([str(_mitmproxy(session)), *map(str, _prism(session)), os.environ["PATH"]])
    tests = session.posargs or ["tests/interop"]
    session.run("python", "-m", "pytest", *tests, env={**TEST_ENV, "PATH": path})


@nox.session(requires=[WHEEL])
def notebooks(session: nox.Session) -> None:
    """Run cells and the notebook of the documentation in a real kernel."""
    _install(session, *_group("tests"), *_group("kernel"))
    tests = session.posargs or [f"tests/interop/test_{name}.py" for name in ("notebook", "notebook_cells", "tour")]
    session.run("python", *PYTEST, *tests, env=TEST_ENV)


@nox.session(requires=[WHEEL])
def web(session: nox.Session) -> None:
    """Serve the web apps of docs/examples to 200 clients at once; run the examples of traces and metrics."""
    _install(session, *_group("web"))
    session.run("python", "-c", FROM_WHEEL, env=TEST_ENV)
    session.run("mypy", *map(str, sorted(EXAMPLES.glob("*.py"))), env={"MYPYPATH": str(EXAMPLES)})
    session.run("python", *PYTEST, *(session.posargs or ["tests/web"]), env=TEST_ENV)


@nox.session(requires=[WHEEL])
def engines(session: nox.Session) -> None:
    """Load the fake's catalogue through dlt and into a local S3; kill one of the workers of Dask that read it."""
    _install(session, *_group("engines"), extras="[dask,dlt]")
    session.run("python", "-c", FROM_WHEEL, env=TEST_ENV)
    session.run("python", "-m", "pytest", *(session.posargs or ["tests/engines"]), env=TEST_ENV)


def _mitmproxy(session: nox.Session) -> Path:
    """Install mitmproxy in an environment of its own, since it pins its dependencies, and return its folder."""
    folder = session.cache_dir.resolve() / "mitmproxy"
    session.run(f"python{_newest_python(session)}", "-m", "venv", str(folder), external=True)
    session.run(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "mitmproxy>=12", external=True)
    return folder / "bin"


def _prism(session: nox.Session) -> list[Path]:
    """Install Prism, and return its folder; an empty list on a machine without npm."""
    if not shutil.which("npm"):
        return []
    folder = session.cache_dir.resolve() / "prism"
    session.run("npm", "install", "--silent", "--prefix", str(folder), "@stoplight/prism-cli@5", external=True)
    return [folder / "node_modules" / ".bin"]


@nox.session(requires=[WHEEL])
def browser(session: nox.Session) -> None:
    """Choose music on the page of `browse` with a real Chromium, and look for obstacles with axe-core."""
    _install_chromium(session)
    _install(session, *_group("browser"))
    session.run("python", "-c", FROM_WHEEL, env=TEST_ENV)
    session.run("python", *PYTEST, *(session.posargs or ["tests/browser"]), env=TEST_ENV)


@nox.session(requires=[WHEEL])
def screenshots(session: nox.Session) -> None:
    """Take the pictures of `browse` for the documentation."""
    _install_chromium(session)
    _install(session, *_group("browser"))
    env = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(Path("tests").resolve())}
    session.run("python", "-m", "browser.screenshots", *session.posargs, env=env)


def _install_chromium(session: nox.Session) -> None:
    """Install Debian's Chromium where it is missing and we may; else skip the session."""
    if any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        session.skip("NOTHING WAS SEEN, since there is no Chromium: apt-get install chromium fonts-inter")
    session.run("apt-get", "update", "-qq", external=True)
    session.run("apt-get", "install", "-qq", "--no-install-recommends", "chromium", "fonts-inter", external=True)


@nox.session(requires=[WHEEL])
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning, a broken reference or an outdated generated page is an error."""
    _install(session, *_group("docs"))
    session.run("python", "-m", "tests.site", "--check")
    session.run("sphinx-build", "-W", "--keep-going", "-n", "docs", "docs/_build/html", *session.posargs)


@nox.session(requires=[WHEEL])
def site(session: nox.Session) -> None:
    """Write the generated parts of the documentation: the command line, llms.txt, the notebook's outputs, pictures."""
    _install_chromium(session)
    _install(session, *_group("site"))
    session.run("python", "-m", "tests.site", "--notebook", *session.posargs)


@nox.session(requires=[WHEEL])
def bench(session: nox.Session) -> None:
    """Run the benchmark of the wheel, its peers and the limit in half an hour; `-- --only cpu errors` for a part."""
    _install(session, *_group("bench"), *(_group("bench-crawl") if "crawl" in session.posargs else ()))
    # `tests` is on the path instead of the root, where the tree would shadow the wheel.
    env = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(Path("tests").resolve())}
    session.run("python", "-c", FROM_WHEEL, env=env)
    report = session.cache_dir.resolve() / "bench.json"
    session.run("python", "-m", "bench", "--json", str(report), *_newest(session), *session.posargs, env=env)


@nox.session(requires=[WHEEL])
def soak(session: nox.Session) -> None:
    """Crawl with the wheel under faults and limits for an hour, and check for leaks; see `-- --help`."""
    _run_beside_the_wheel(session, "soak", "--samples", "soak.csv")


@nox.session(requires=[WHEEL])
def mutants(session: nox.Session) -> None:
    """Plant a sample of small faults, and count those that tests notice; `-- --all` plants all, which takes hours."""
    _install(session, *_group("mutants"))  # for its pytest plugin: the package itself is imported from a copy
    report = session.cache_dir.resolve() / "mutants.json"
    chosen = session.posargs or ["--sample", "50", "--seed", "1"]
    session.run("python", "-m", "tests.mutants", "--json", str(report), *(each for each in chosen if each != "--all"))


@nox.session(requires=[WHEEL])
def fuzz(session: nox.Session) -> None:
    """Fuzz the code that reads external input for an hour; see `-- --help`. The corpus is kept in nox's cache."""
    _run_beside_the_wheel(session, "fuzz", "--folder", "fuzz")


def _run_beside_the_wheel(session: nox.Session, name: str, option: str, place: str) -> None:
    """Run `tests.<name>`, with its files in nox's cache."""
    _install(session, *_group(name), extras="")
    # A path after the wheel's: on PYTHONPATH the tree would shadow the wheel.
    libraries = str(session.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", silent=True))
    Path(libraries.strip(), "tests.pth").write_text(str(Path.cwd()), encoding="utf-8")
    session.run("python", "-c", FROM_WHEEL, env=TEST_ENV)
    kept = str(session.cache_dir.resolve() / place)
    session.run("python", "-m", f"tests.{name}", option, kept, *session.posargs, env={"PYTHONSAFEPATH": "1"})


def _running(session: nox.Session) -> str:
    return str(session.python or f"{sys.version_info.major}.{sys.version_info.minor}")


def _newest_python(session: nox.Session) -> str:
    """Return the newest Python on this machine."""
    return next((version for version in reversed(PYTHONS) if shutil.which(f"python{version}")), _running(session))


def _newest(session: nox.Session) -> list[str]:
    """Install the wheel for the newest Python as well, if the session runs on an older one; return the option."""
    newest = _newest_python(session)
    if newest == _running(session):
        return []
    python = session.cache_dir.resolve() / f"bench-{newest}" / "bin" / "python"
    session.run(f"python{newest}", "-m", "venv", str(python.parents[1]), external=True)
    session.run(str(python), "-m", "pip", "install", "--quiet", "--force-reinstall", str(_wheel()), external=True)
    return ["--python", f"{newest}={python}"]
