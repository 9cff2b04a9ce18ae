"""Reads a lake with Spark, by the DDL for it, and writes what it finds as `lake_readers.py` does.

Arguments: a file with the statements, a JSON array of queries over `events`, an empty folder to work in.
"""

import json
import os
import sys
import time
from datetime import date, datetime

from pyspark.sql import Row, SparkSession

os.environ["TZ"] = "UTC"
time.tzset()
DDL, QUERIES, FOLDER = open(sys.argv[1]).read(), json.loads(sys.argv[2]), sys.argv[3]
os.chdir(FOLDER)

NAMES = {
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
    if isinstance(value, Row):
        return value.asDict()
    if isinstance(value, list):
        return [cell(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


settings = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.warehouse.dir": f"{FOLDER}/warehouse",
    "spark.driver.extraJavaOptions": f"-Dderby.system.home={FOLDER}",
}
builder = SparkSession.builder.master("local[2]").enableHiveSupport()
for name, value in settings.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
lines = [line for line in DDL.splitlines(True) if not line.startswith("--")]
for statement in "".join(lines).split(";\n"):
    if statement.strip():
        spark.sql(statement)
table = spark.table("auroratrail.events_parquet")
table.createTempView("events")
types = {name: NAMES.get(kind, kind) for name, kind in table.dtypes}
answers = [[[cell(it) for it in row] for row in spark.sql(sql).collect()] for sql in QUERIES]
print(json.dumps({"reader": "Spark", "types": types, "answers": answers}))
