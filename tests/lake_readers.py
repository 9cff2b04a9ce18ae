"""Reads a lake with other tools and writes what each finds as a line of JSON:

    {"reader": "DuckDB", "types": {"eventid": "text", ...}, "answers": [[[cell, ...], ...], ...]}

Arguments: the lake's folder, a JSON array of queries over `events`.
"""

import glob
import json
import sys
from datetime import date, datetime

import deltalake
import duckdb
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
import pyarrow.types as kinds

LAKE, QUERIES = sys.argv[1], json.loads(sys.argv[2])
FILES = sorted(glob.glob(f"{LAKE}/dt=*/*.parquet"))


def kind(type):
    if kinds.is_list(type) or kinds.is_large_list(type):
        return [kind(type.value_type)]
    if kinds.is_struct(type):
        return {field.name: kind(field.type) for field in type}
    if kinds.is_string(type) or kinds.is_large_string(type) or kinds.is_string_view(type):
        return "text"
    return str(type)


def cell(value):
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat() if isinstance(value, date) else value


def rows(table):
    names = range(table.num_columns)
    columns = [[cell(value) for value in table.column(index).to_pylist()] for index in names]
    return [list(row) for row in zip(*columns)]


def tell(reader, schema, ask):
    types = {field.name: kind(field.type) for field in schema}
    answers = [rows(ask(query)) for query in QUERIES]
    print(json.dumps({"reader": reader, "types": types, "answers": answers}))


def connection():
    duck = duckdb.connect()
    duck.execute("SET TimeZone = 'UTC'")
    return duck, lambda query: duck.sql(query).to_arrow_table()


def with_duckdb():
    duck, ask = connection()
    duck.execute(
        f"CREATE VIEW events AS SELECT * FROM read_parquet('{LAKE}/dt=*/*.parquet', "
        "hive_partitioning = true, hive_types = {'dt': VARCHAR}, union_by_name = true)"
    )
    tell("DuckDB", ask("SELECT * FROM events LIMIT 0").schema, ask)


def with_pyarrow():
    """pyarrow reads the files, DuckDB answers over what it reads."""
    schema = pyarrow.unify_schemas([pyarrow.parquet.read_schema(file) for file in FILES])
    day = pyarrow.schema([("dt", pyarrow.string())])
    events = pyarrow.dataset.dataset(
        FILES,
        schema=pyarrow.unify_schemas([schema, day]),
        partitioning=pyarrow.dataset.partitioning(day, flavor="hive"),
        partition_base_dir=LAKE,
    )
    duck, ask = connection()
    duck.register("events", events)
    tell("pyarrow", events.schema, ask)


def with_delta():
    table = deltalake.DeltaTable(LAKE)
    events = deltalake.QueryBuilder().register("events", table)
    ask = lambda query: pyarrow.table(events.execute(query))
    tell("delta-rs", pyarrow.schema(table.schema().to_arrow()), ask)


with_duckdb()
with_pyarrow()
with_delta()
