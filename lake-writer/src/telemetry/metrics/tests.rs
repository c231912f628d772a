//! What a scrape and a snapshot show.

use super::*;

#[test]
fn a_scrape_shows_what_was_told() {
    // GIVEN a writer that read, rejected and committed
    let metrics = Metrics::new("file:///lake/sales");
    metrics.consumed(1_000);
    metrics.dead_letters(RejectReason::MissingField, 3);
    metrics.lag(2, 70);
    metrics.lag_age(2, Duration::from_millis(1_500));
    metrics.phase(Phase::Publish, Duration::from_millis(3));
    metrics.away(Away::Store, true);
    metrics.restart("rebalance");
    metrics.state(EngineState::Running);
    metrics.committed(&CommitReport {
        record: 42,
        rows: 990,
        dead_letters: 3,
        tombstones: 7,
        files: 4,
        bytes: 12_345,
        at_micros: 1_767_225_600_500_000,
    });

    // WHEN it is scraped
    let text = metrics.encode();

    // THEN every figure stands there under its name, labelled with the table
    let table = "table=\"file:///lake/sales\"";
    for line in [
        format!("lake_writer_messages_consumed_total{{{table}}} 1000\n"),
        format!("lake_writer_messages_rejected_total{{{table},reason=\"missing_field\"}} 3\n"),
        format!("lake_writer_lag_messages{{{table},partition=\"2\"}} 70\n"),
        format!("lake_writer_lag_seconds{{{table},partition=\"2\"}} 1.5\n"),
        format!("lake_writer_phase_duration_seconds_count{{{table},phase=\"publish\"}} 1\n"),
        format!("lake_writer_away{{{table},what=\"store\"}} 1\n"),
        format!("lake_writer_away{{{table},what=\"source\"}} 0\n"),
        format!("lake_writer_engine_restarts_total{{{table},cause=\"rebalance\"}} 1\n"),
        format!("lake_writer_engine_state{{{table},state=\"running\"}} 1\n"),
        format!("lake_writer_engine_state{{{table},state=\"starting\"}} 0\n"),
        format!("lake_writer_rows_committed_total{{{table}}} 990\n"),
        format!("lake_writer_last_commit_record{{{table}}} 42\n"),
        format!("lake_writer_last_commit_timestamp_seconds{{{table}}} 1767225600.5\n"),
    ] {
        assert!(text.contains(&line), "missing {line}in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn lag_of_partitions_given_away_is_no_longer_reported() {
    // GIVEN lag on two partitions
    let metrics = Metrics::new("file:///lake/sales");
    metrics.lag(0, 10);
    metrics.lag(1, 20);
    assert_eq!(metrics.snapshot().lag, 30);

    // WHEN one goes to another writer
    metrics.released(&[1]);

    // THEN the other one alone is left, in the sum and in the scrape
    assert_eq!(metrics.snapshot().lag, 10);
    assert!(!metrics.encode().contains("partition=\"1\""));
}

#[test]
fn a_snapshot_knows_no_commit_before_the_first() {
    let metrics = Metrics::new("file:///lake/sales");
    assert_eq!(metrics.snapshot().last_commit_micros, None);
    assert_eq!(metrics.snapshot().state, EngineState::Starting);
}
