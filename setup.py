"""Name, version and extras of the package; the build backend and the tools are set in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

# The libraries of the ready-made writers (sqlite_writes/writers/libraries.py), where there is one for that Python.
LIBRARIES = [
    "Django==5.2.19; python_version >= '3.10'",
    "SQLAlchemy==2.1.9; python_version >= '3.11'",
    "apsw==3.54.1.0; python_version >= '3.11'",
    "diskcache==5.6.3",
    "huey==3.5.4",
    "litequeue==0.14; python_version >= '3.12'",
    "lmdb==3.0.0",
    "peewee==4.5.3",
    "persist-queue==1.1.0",
    "psycopg[binary]==3.3.9; python_version >= '3.10'",
    "sqlite-utils==4.2.1; python_version >= '3.10'",
    "sqlitedict==2.1.0",
    "sqlmodel==0.0.50; python_version >= '3.11'",
]

# What the command sqlite-writes needs; the last only for its pictures.
COMMAND_LINE = [
    "click==8.5.1",
    "rich==15.0.0",
    "matplotlib==3.11.2; python_version >= '3.11'",
    "matplotlib==3.10.9; python_version == '3.10'",
]

setup(
    name="sqlite-writes",
    version="0.1.0",
    description="How many processes can insert into one SQLite file at the same moment, checked row by row",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    packages=find_packages(include=["sqlite_writes", "sqlite_writes.*"]),
    package_data={"sqlite_writes": ["py.typed"], "sqlite_writes.command_line": ["*.json"]},
    entry_points={"console_scripts": ["sqlite-writes=sqlite_writes.__main__:main"]},
    # What asv measures needs nothing but the standard library.
    install_requires=[],
    extras_require={
        "bench": ["asv==0.6.6", "virtualenv==21.15.8", "python-discovery==1.9.5", "rich==15.0.0"],
        "check": ["scipy==1.17.1"],
        "cli": COMMAND_LINE,
        # Jinja2 fills in the first page, and scipy judges what changed. What the pages run in a browser is copied out
        # of the others, never imported.
        "dashboard": [
            "Jinja2==3.1.6",
            "asv-tachyon==0.5.8",
            "js.bootstrap==3.3.4",
            "js.jquery==3.6.1",
            "js.jquery_flot==0.8.1",
            "scipy==1.17.1",
            "youplot==1.0.0",
        ],
        "libraries": LIBRARIES,
        "test": [
            *COMMAND_LINE,
            *LIBRARIES,
            "check-jsonschema==0.39.0",
            "hypothesis==6.170.17",
            "jsonschema==4.26.0",
            "mypy==2.4.1",
            "playwright==1.65.2",
            "pre-commit==4.6.0",
            "pysqlite3==0.6.1; sys_platform == 'linux'",
            "pytest==9.2.0",
            "pytest-xdist==3.8.0",
            "PyYAML==6.0.4",
            "ruff==0.17.6",
            "zizmor==1.32.0",
        ],
    },
)
