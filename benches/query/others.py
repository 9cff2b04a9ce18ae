"""Runs one query in DuckDB or ClickHouse (chdb) and writes its rows as CSV.

Arguments: duckdb or chdb, the number of threads, the query. `check` instead of a query says which
version it is.
"""

import csv
import sys


def duckdb_rows(threads, query):
    import duckdb

    connection = duckdb.connect(config={"threads": threads})
    connection.execute("SET enable_progress_bar = false")
    if query == "check":
        return [("DuckDB", duckdb.__version__)]
    return connection.execute(query).fetchall()


def chdb_rows(threads, query):
    import chdb

    if query == "check":
        return chdb_rows(threads, "SELECT 'ClickHouse', version()")
    more = "," if " SETTINGS " in query else " SETTINGS"
    text = chdb.query(f"{query}{more} max_threads = {threads}", "CSV").bytes().decode()
    # NULL is \N there; an empty text is in quotes.
    return [["" if cell == r"\N" else cell for cell in row] for row in csv.reader(text.splitlines())]


tool, threads, query = sys.argv[1:]
rows = {"duckdb": duckdb_rows, "chdb": chdb_rows}[tool](int(threads), query)
csv.writer(sys.stdout, lineterminator="\n").writerows(rows)
