"""Runs printed DDL in DuckDB or Spark and writes what it finds as one JSON object.

Arguments: duckdb, view, spark or answers; a file with statements; for view a file with records, a JSON object a
line; for answers (Spark's) a JSON array of queries over `events`, which are told as `lake_readers.py` does.
"""

import glob
import json
import os
import sys
import tempfile
import time
from datetime import datetime

WHAT, DDL = sys.argv[1:3]


def statements():
    lines = [line for line in open(DDL) if not line.startswith("--")]
    return [it.strip() for it in "".join(lines).split(";\n") if it.strip()]


def connection():
    import duckdb

    duck = duckdb.connect()
    duck.execute("SET TimeZone = 'UTC'")
    site = os.path.dirname(os.path.dirname(duckdb.__file__))
    [extension] = glob.glob(f"{site}/duckdb_ext/extensions/*/*/delta.duckdb_extension")
    duck.execute(f"LOAD '{extension}'")
    return duck


def with_duckdb():
    duck = connection()
    for statement in statements():
        # There is nothing to download the extension from.
        if not statement.startswith("INSTALL"):
            duck.execute(statement)
    found = {}
    for table in ["events", "events_parquet"]:
        count = f'SELECT count(*), CAST(max(dt) AS VARCHAR), count(DISTINCT eventid) FROM "{table}"'
        found[table] = duck.execute(count).fetchone()
        types = duck.execute(f"DESCRIBE {table}").fetchall()
        found[f"{table}_types"] = {name: kind for name, kind, *_ in types}
    return found


def same(found, expected):
    """Whether a cell is what AWS's table has: text, or a row of texts."""
    if isinstance(found, dict):
        expected = expected if isinstance(expected, dict) else {}
        lower = {name.lower(): value for name, value in expected.items()}
        return all(same(value, lower.get(name)) for name, value in found.items())
    if isinstance(expected, (dict, list)):
        return found is not None and json.loads(found) == expected
    if isinstance(expected, bool):
        expected = str(expected).lower()
    return found == expected


def with_view():
    """DuckDB runs Trino's SQL, with Trino's functions as macros."""
    duck = connection()
    duck.execute("CREATE MACRO json_parse(x) AS CAST(x AS JSON)")
    duck.execute("CREATE MACRO date_format(t, f) AS strftime(t, replace(replace(f, '%i', '%M'), '%s', '%S'))")
    for statement in statements():
        if not statement.startswith("INSTALL"):
            duck.execute(statement)
    rows = duck.execute("SELECT * FROM cloudtrail_logs")
    names = [column[0] for column in rows.description]
    records = {it["eventID"]: it for it in map(json.loads, open(sys.argv[3]))}
    faults, count = [], 0
    folders = ["account", "region", "timestamp", "date", "year", "month", "day", "dt"]
    for row in rows.fetchall():
        row, count = dict(zip(names, row)), count + 1
        record = {name.lower(): value for name, value in records[row["eventid"]].items()}
        day = record["eventtime"][:10]
        expected = [record["recipientaccountid"], record["awsregion"], day.replace("-", "/"), day]
        if [row[name] for name in folders[:7]] != expected + day.split("-"):
            faults.append(["folders", str(row), ""])
        for name in names:
            value, wanted = row[name], record.get(name)
            if name == "resources":
                wanted = wanted and [{k.lower(): v for k, v in it.items()} for it in wanted]
                fine = not value and not wanted or all(map(same, value or [], wanted or []))
            else:
                fine = name in folders or same(value, wanted)
            if not fine:
                faults.append([name, str(value), str(wanted)])
    question = (
        "SELECT count(*) FROM cloudtrail_logs WHERE useridentity.sessioncontext.sessionissuer.username IS NOT NULL "
        "AND readonly = 'true' AND eventtime > '2026-10-01T00:00:00Z'"
    )
    asked = duck.execute(question).fetchone()[0]
    return {"rows": count, "names": names, "faults": faults[:5], "asked": asked}


def spark_session():
    """Runs the statements in Spark, on a metastore of its own."""
    from pyspark.sql import SparkSession

    os.environ["TZ"] = "UTC"
    time.tzset()

    folder = tempfile.mkdtemp(dir=os.path.dirname(DDL))
    os.chdir(folder)
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": f"{folder}/warehouse",
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={folder}",
    }
    builder = SparkSession.builder.master("local[2]").enableHiveSupport()
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    for statement in statements():
        spark.sql(statement)
    return spark


def with_spark():
    table = spark_session().table("auroratrail.events_parquet")
    count = "count(*)", "CAST(max(dt) AS string)", "count(DISTINCT eventid)"
    every = table.selectExpr(*[f"count(`{name}`) AS `{name}`" for name in table.columns])
    return {
        "events_parquet": list(table.selectExpr(*count).collect()[0]),
        "types": dict(table.dtypes),
        "counts": every.collect()[0].asDict(),
        "first": table.selectExpr("date_format(min(eventtime), \"yyyy-MM-dd'T'HH:mm:ss'Z'\")").collect()[0][0],
    }


KINDS = {
    "string": "text",
    "boolean": "bool",
    "bigint": "int64",
    "double": "double",
    "timestamp": "timestamp[us, tz=UTC]",
    "array<string>": ["text"],
    "array<struct<arn:string,accountid:string,type:string>>": [
        {"arn": "text", "accountid": "text", "type": "text"}
    ],
}


def cell(value):
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, list):
        return [cell(item) for item in value]
    # A row in a row.
    return value.asDict() if hasattr(value, "asDict") else value


def with_answers():
    spark = spark_session()
    table = spark.table("auroratrail.events_parquet")
    table.createTempView("events")
    rows = [spark.sql(query).collect() for query in json.loads(sys.argv[3])]
    return {
        "reader": "Spark",
        "types": {name: KINDS.get(kind, kind) for name, kind in table.dtypes},
        "answers": [[[cell(it) for it in row] for row in answer] for answer in rows],
    }


readers = {"duckdb": with_duckdb, "view": with_view, "spark": with_spark, "answers": with_answers}
found = readers[WHAT]()
print(json.dumps(found, default=str))
