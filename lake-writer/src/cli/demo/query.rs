//! The query to type, and DuckDB's answer where it is installed.

use std::path::PathBuf;
use std::process::Command;

/// Asks a Python that has the `duckdb` module for a query's rows, tabs between columns.
const IN_PYTHON: &str = "\
import duckdb, sys
relation = duckdb.sql(sys.argv[1])
print('\\t'.join(relation.columns))
for row in relation.fetchall():
    print('\\t'.join(str(value) for value in row))
";

/// The name of the row that counts everything.
pub(super) const ALL_REGIONS: &str = "all regions";

/// Rows of text, the first one being the names of the columns.
pub(super) type Answer = Vec<Vec<String>>;

/// Sales by region and in all; every sale is distinct, so both counts are the same.
pub(super) fn text(data_glob: &str) -> String {
    format!(
        "SELECT coalesce(region, '{ALL_REGIONS}') AS region, count(*) AS sales,\n       \
         count(DISTINCT sale_id) AS distinct_sales, sum(amount) AS revenue\n\
         FROM read_parquet('{}')\nGROUP BY ROLLUP (region) ORDER BY sales DESC, region;",
        data_glob.replace('\'', "''")
    )
}

/// What DuckDB answers; `None` where there is none.
pub(super) fn ask(query: &str) -> Option<Answer> {
    by_command(query).or_else(|| {
        pythons()
            .into_iter()
            .find_map(|python| by_python(&python, query))
    })
}

fn by_command(query: &str) -> Option<Answer> {
    let mut command = Command::new("duckdb");
    command.args(["-list", "-separator", "\t", "-c", query]);
    rows(&mut command)
}

/// The Python that people call, and the one that `make venv` fills.
fn pythons() -> Vec<PathBuf> {
    let cache = std::env::var_os("LAKE_WRITER_CACHE").map(PathBuf::from);
    let made = cache.map(|cache| cache.join("venv/bin/python"));
    std::iter::once(PathBuf::from("python3"))
        .chain(made)
        .collect()
}

fn by_python(python: &PathBuf, query: &str) -> Option<Answer> {
    rows(Command::new(python).args(["-c", IN_PYTHON, query]))
}

fn rows(command: &mut Command) -> Option<Answer> {
    let output = command.output().ok()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        tracing::debug!(?command, %said, "DuckDB was not to be had this way");
        return None;
    }
    let text = String::from_utf8(output.stdout).ok()?;
    let rows: Answer = text
        .lines()
        .map(|line| line.split('\t').map(ToOwned::to_owned).collect())
        .collect();
    (rows.len() > 1).then_some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_an_apostrophe_stays_inside_its_quotes() {
        let query = text("/tmp/l'été/data/**/*.parquet");
        assert!(
            query.contains("read_parquet('/tmp/l''été/data/**/*.parquet')"),
            "{query}"
        );
    }
}
