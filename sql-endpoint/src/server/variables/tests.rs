use super::*;
use datafusion_postgres::pgwire::error::ErrorInfo;

#[test]
fn parameters_are_in_the_order_of_their_names() {
    assert!(KNOWN.is_sorted_by_key(|known| known.name));
}

#[test]
fn what_drivers_set_is_kept_and_what_cannot_be_is_refused() {
    let mut variables = Variables::default();
    for (name, value, kept) in [
        ("extra_float_digits", "3", "3"),
        ("DateStyle", "iso", "ISO, MDY"),
        ("client_encoding", "utf-8", "UTF8"),
        ("TimeZone", "Europe/Paris", "Europe/Paris"),
        ("timezone", "+2", "<+02>-02"),
        ("statement_timeout", "2s", "2000"),
        ("application_name", "Tableau", "Tableau"),
    ] {
        variables.set(name, Some(value)).unwrap();
        assert_eq!(variables.get(name).unwrap(), kept, "{name}");
    }
    for (name, value, code) in [
        ("extra_float_digits", "4", "22023"),
        ("client_encoding", "LATIN1", "22023"),
        ("timezone", "Mars/Olympus", "22023"),
        ("server_version", "9.6", "55P02"),
        ("standard_conforming_strings", "off", "22023"),
        ("datafusion.execution.batch_size", "1", "42501"),
        ("no_such_thing", "1", "42704"),
    ] {
        let refused = variables.set(name, Some(value)).unwrap_err();
        assert_eq!(ErrorInfo::from(refused).code, code, "{name}");
    }
}

#[test]
fn a_reset_goes_back_to_how_the_session_began() {
    let mut variables = Variables::default();
    variables.begin_with("timezone", "Europe/Paris").unwrap();
    variables.set("timezone", Some("UTC")).unwrap();
    assert_eq!(variables.get("timezone").unwrap(), "UTC");
    variables.reset();
    assert_eq!(variables.get("timezone").unwrap(), "Europe/Paris");
}
