//! A broker that asks for a password.

use std::collections::BTreeMap;

use lake_writer::settings::Kafka;
use lake_writer::source::{Source as _, SourceEvent};

use crate::halt;
use crate::real::unique;
use crate::support::{Member, settings};

/// Settings for the brokers that ask for a password: all properties of a client that they let in.
fn secured_settings(password: Option<&str>) -> (Kafka, String) {
    let text = std::env::var("LAKE_WRITER_TEST_KAFKA_SASL")
        .expect("LAKE_WRITER_TEST_KAFKA_SASL holds a client's properties as JSON");
    let mut properties: BTreeMap<String, String> =
        serde_json::from_str(&text).expect("names and values");
    let brokers = properties
        .remove("bootstrap.servers")
        .expect("bootstrap.servers among them");
    let right = properties["sasl.password"].clone();
    let mut settings = settings(&brokers, &unique("secured"));
    for (key, value) in properties {
        settings.client.insert(key, value);
    }
    if let Some(password) = password {
        settings.client.insert("sasl.password", password);
    }
    (settings, right)
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA_SASL: JSON properties of a client of a secured broker"]
fn a_wrong_password_is_said_at_once_and_never_shown() {
    let (settings, _) = secured_settings(Some("open sesame"));
    let mut member = Member::new(&settings);
    let words = halt(&member.source.identify().expect_err("must be refused"));
    assert!(words.contains("refuse the connection"), "{words}");
    assert!(
        words.to_lowercase().contains("authentication failed"),
        "{words}"
    );
    assert!(
        words.contains("sasl.*") && !words.contains("open sesame"),
        "{words}"
    );

    // Without that question it is told as an event, once.
    member.until("away", |member| !member.events.is_empty());
    for _ in 0..100 {
        member.poll().expect("a poll");
    }
    assert_eq!(member.events.len(), 1);
    let Some(SourceEvent::Away(words)) = member.events.first() else {
        panic!("{:?}", member.events);
    };
    assert!(words.to_lowercase().contains("authentication"), "{words}");
    member.source.close();
}

#[test]
#[ignore = "needs LAKE_WRITER_TEST_KAFKA_SASL: JSON properties of a client of a secured broker"]
fn the_right_password_is_let_in() {
    // The topic is missing, which only one who was let in is told.
    let (settings, right) = secured_settings(None);
    let words = halt(
        &Member::new(&settings)
            .source
            .identify()
            .expect_err("no such topic"),
    );
    assert!(
        words.contains("does not exist") && !words.contains(&right),
        "{words}"
    );
}
